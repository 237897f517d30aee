//! Reading what older writers left behind: nulls, empty strings and zero quantities mean "unset" (`api.md` 2).
//! Only decoding; must not decide whether a value is allowed.

use std::collections::BTreeMap;

use k8s_openapi::{
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{Condition, Time},
    },
    jiff::Timestamp,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// A value whose null means the default.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    d: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// An optional string: null and `""` are unset, numbers and booleans are taken by their text.
///
/// # Errors
/// A list or an object.
pub(crate) fn text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(d)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Value::Bool(value) => Ok(Some(value.to_string())),
        Value::Number(value) => Ok(Some(value.to_string())),
        Value::Array(_) => Err(serde::de::Error::custom("expected a string, found a list")),
        Value::Object(_) => Err(serde::de::Error::custom("expected a string, found an object")),
    }
}

/// A required string: null reads as `""`, so that validation can name the field.
pub(crate) fn required_text<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(text(d)?.unwrap_or_default())
}

/// An optional open enum: null and `""` are unset.
pub(crate) fn choice<'de, D: Deserializer<'de>, T: From<String>>(d: D) -> Result<Option<T>, D::Error> {
    Ok(text(d)?.map(T::from))
}

/// A map of strings, with the same tolerance for each value as [`text`]; a null value reads as `""`.
pub(crate) fn text_map<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "required_text")] String);

    let map = Option::<BTreeMap<String, Text>>::deserialize(d)?.unwrap_or_default();
    Ok(map.into_iter().map(|(key, Text(value))| (key, value)).collect())
}

/// A map whose null is empty and whose null values are defaults.
pub(crate) fn map<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(
    d: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    let map = Option::<BTreeMap<String, Option<T>>>::deserialize(d)?.unwrap_or_default();
    Ok(map.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

/// A quantity whose zero means unset, as the reference operator writes `"0"` for an absent one.
pub(crate) fn quantity<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Quantity>, D::Error> {
    Ok(Option::<Quantity>::deserialize(d)?.filter(|quantity| !is_zero(&quantity.0)))
}

fn is_zero(text: &str) -> bool {
    let text = text.trim_start_matches(['+', '-']);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].chars().all(|c| c == '0' || c == '.') && (end > 0 || text.is_empty())
}

/// A signed integer of any size an object can hold; a fraction of zero is dropped as the API server does.
pub(crate) fn integer<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(d)? {
        Value::Null => Ok(None),
        value => match value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)) {
            Some(number) => Ok(Some(number)),
            None => Err(serde::de::Error::custom(format!("expected an integer, found {value}"))),
        },
    }
}

/// A 32-bit integer; a number outside the range is moved to its nearest end, for validation to refuse.
pub(crate) fn int32<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i32>, D::Error> {
    Ok(integer(d)?
        .map(|number| i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })))
}

/// A point in time for display: null, `""` and what is no RFC 3339 time are unset.
pub(crate) fn time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Time>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(d)?).ok())
}

/// Conditions, whatever time they give. One beyond the range of the type, which the schema admits, reads as 1970.
pub(crate) fn conditions<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Condition>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Stored {
        #[serde(rename = "type", deserialize_with = "required_text")]
        type_: String,
        #[serde(deserialize_with = "required_text")]
        status: String,
        #[serde(deserialize_with = "required_text")]
        reason: String,
        #[serde(deserialize_with = "required_text")]
        message: String,
        #[serde(deserialize_with = "integer")]
        observed_generation: Option<i64>,
        #[serde(deserialize_with = "time")]
        last_transition_time: Option<Time>,
    }

    let conditions = Option::<Vec<Stored>>::deserialize(d)?.unwrap_or_default();
    let typed = conditions.into_iter().map(|stored| Condition {
        type_: stored.type_,
        status: stored.status,
        reason: stored.reason,
        message: stored.message,
        observed_generation: stored.observed_generation,
        last_transition_time: stored.last_transition_time.unwrap_or(Time(Timestamp::UNIX_EPOCH)),
    });
    Ok(typed.collect())
}

/// A type of core/v1 that may hold ports. The schema admits any integer as a port, the type only 32 bits of it: a
/// larger one is moved to the nearest end, and refused when the pod is made.
pub(crate) fn with_ports<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    d: D,
) -> Result<Option<T>, D::Error> {
    let mut value = Value::deserialize(d)?;
    clamp_ports(&mut value);
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

pub(crate) fn clamp_ports(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_f64() {
                    Some(port) if key == "port" && port > f64::from(i32::MAX) => *value = i32::MAX.into(),
                    Some(port) if key == "port" && port < f64::from(i32::MIN) => *value = i32::MIN.into(),
                    _ => clamp_ports(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clamp_ports),
        _ => {}
    }
}

/// True for `false`; keeps unset switches out of what we write.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

/// Gives a spec type a decoder that reads a missing or null `spec` as an empty one: the schema of every kind allows
/// both (`api.md` 1), and one such object must not stop a watch.
macro_rules! optional_spec {
    ($name:ident) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Present($name);
                impl<'de> serde::Deserialize<'de> for Present {
                    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        $name::deserialize(deserializer).map(Present)
                    }
                }
                let spec = <Option<Present> as serde::Deserialize>::deserialize(deserializer)?;
                Ok(spec.map(|Present(spec)| spec).unwrap_or_default())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $name::serialize(self, serializer)
            }
        }
    };
}

pub(crate) use optional_spec;
