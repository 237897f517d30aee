//! Comparison on owned fields: what we want against what the API server holds.
//! Pure; it decides nothing about ownership.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Hex SHA-256 over the canonical JSON of a value: object keys sorted, list order kept, because the order of
/// arguments, variables and init containers matters.
#[must_use]
pub fn content_hash(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    let digest = hasher.finalize();
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        use std::fmt::Write;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Key order is fixed here because a build in which some dependency asks serde_json to keep insertion order must give
/// the same hash.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            hasher.update(b"{");
            for (key, value) in fields {
                hasher.update(Value::from(key.as_str()).to_string());
                feed(hasher, value);
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        scalar => hasher.update(scalar.to_string()),
    }
}

/// Takes the value at a JSON pointer out of what is hashed.
pub(crate) fn blank(value: &mut Value, pointer: &str) {
    if let Some(field) = value.pointer_mut(pointer) {
        *field = Value::Null;
    }
}

/// The first place where `live` does not hold what `desired` asks for, as a field path; `None` when nothing differs.
///
/// A field that `desired` leaves out belongs to somebody else (the API server's defaults, an autoscaler) and is not
/// looked at. Empty values equal absent ones, quantities are compared as numbers, lists item by item or, where
/// the API server merges them by key, entry by entry. Selectors are compared whole, as the API server treats them: one key
/// too many selects something else.
#[must_use]
pub fn first_difference(desired: &Value, live: &Value) -> Option<String> {
    walk(desired, Some(live), &mut Vec::new())
}

fn walk<'v>(desired: &'v Value, live: Option<&Value>, path: &mut Vec<&'v str>) -> Option<String> {
    match (desired, live) {
        (_, None | Some(Value::Null)) => (!is_zero(desired)).then(|| at(path)),
        (Value::Object(want), Some(Value::Object(have))) if is_atomic(path) => {
            (want != have).then(|| at(path))
        }
        (Value::Object(want), Some(Value::Object(have))) => want.iter().find_map(|(key, value)| {
            path.push(key);
            let found = walk(value, have.get(key), path);
            path.pop();
            found
        }),
        (Value::Array(want), Some(Value::Array(have))) => {
            if let Some(pairs) = pair_by_key(path, want, have) {
                return pairs.into_iter().find_map(|(value, other)| walk(value, other, path));
            }
            if want.len() != have.len() {
                return Some(at(path));
            }
            want.iter().zip(have).find_map(|(value, other)| walk(value, Some(other), path))
        }
        (Value::String(want), Some(Value::String(have))) => {
            (want != have && !(holds_quantities(path) && same_quantity(want, have))).then(|| at(path))
        }
        (want, Some(have)) => (want != have).then(|| at(path)),
    }
}

/// Entries of a list that the API server merges by key, each with its counterpart; `None` for any other list. Server-side
/// apply leaves an entry of somebody else in such a list, so one entry too many is no difference: to write because of
/// it would change nothing, at every pass.
fn pair_by_key<'v, 'l>(
    path: &[&str],
    want: &'v [Value],
    have: &'l [Value],
) -> Option<Vec<(&'v Value, Option<&'l Value>)>> {
    let fields: &[&str] = match *path.last()? {
        "env" | "containers" | "initContainers" | "volumes" | "imagePullSecrets" => &["name"],
        "volumeMounts" => &["mountPath"],
        "ownerReferences" => &["uid"],
        "ports" => &["containerPort", "port"],
        _ => return None,
    };
    let key = |item: &Value| -> Option<Vec<Value>> {
        let mut values: Vec<Value> = fields.iter().filter_map(|field| item.get(*field).cloned()).collect();
        if values.is_empty() {
            return None;
        }
        if path.last() == Some(&"ports") {
            values.push(item.get("protocol").cloned().unwrap_or_else(|| "TCP".into()));
        }
        Some(values)
    };
    let pairs = want.iter().map(|item| {
        let wanted = key(item)?;
        Some((item, have.iter().find(|other| key(other).as_ref() == Some(&wanted))))
    });
    pairs.collect()
}

fn at(path: &[&str]) -> String {
    if path.is_empty() { ".".to_owned() } else { path.join(".") }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn is_atomic(path: &[&str]) -> bool {
    matches!(path.last(), Some(&("selector" | "nodeSelector")))
}

fn holds_quantities(path: &[&str]) -> bool {
    let parent = path.len().checked_sub(2).map(|at| path[at]);
    matches!(path.last(), Some(&("sizeLimit" | "divisor")))
        || matches!(parent, Some("limits" | "requests" | "capacity" | "overhead"))
}

fn same_quantity(left: &str, right: &str) -> bool {
    matches!((quantity_value(left), quantity_value(right)), (Some(left), Some(right)) if left == right)
}

/// The value of a quantity in billionths, or `None` when it does not parse or does not fit.
fn quantity_value(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits_end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && matches!(c, '+' | '-'))))
        .map_or(text.len(), |(at, _)| at);
    let (number, suffix) = text.split_at(digits_end);
    let (sign, number) = match number.as_bytes().first()? {
        b'-' => (-1, &number[1..]),
        b'+' => (1, &number[1..]),
        _ => (1, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?;
    let (multiplier, exponent): (i128, i32) = match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        other => (1, other.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let power = exponent.checked_add(9)?.checked_sub(scale)?;
    let value = mantissa.checked_mul(multiplier)?;
    let ten = |power: i32| 10_i128.checked_pow(u32::try_from(power).ok()?);
    let value = if power >= 0 {
        value.checked_mul(ten(power)?)?
    } else {
        // The API server rounds up below one billionth.
        let divisor = ten(power.checked_neg()?)?;
        value.checked_add(divisor - 1)? / divisor
    };
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn server_defaults_are_no_difference() {
        let desired =
            json!({"spec": {"ports": [{"name": "http", "port": 8000}], "paused": false, "labels": {}}});
        let live =
            json!({"spec": {"clusterIP": "x", "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}]}});
        assert_eq!(first_difference(&desired, &live), None);
    }

    #[test]
    fn a_changed_owned_field_is_named_by_its_path() {
        let desired = json!({"spec": {"replicas": 2}});
        assert_eq!(
            first_difference(&desired, &json!({"spec": {"replicas": 1}})).as_deref(),
            Some("spec.replicas")
        );
        assert_eq!(first_difference(&desired, &json!({})).as_deref(), Some("spec"));
    }

    #[test]
    fn quantities_are_compared_as_numbers_only_where_quantities_live() {
        let desired = json!({"limits": {"cpu": "1000m", "memory": "1024Mi"}});
        assert_eq!(first_difference(&desired, &json!({"limits": {"cpu": "1", "memory": "1Gi"}})), None);
        let desired = json!({"args": ["1000m"]});
        assert!(first_difference(&desired, &json!({"args": ["1"]})).is_some());
    }

    #[test]
    fn the_hash_ignores_key_order_and_keeps_list_order() {
        let hash = |text: &str| content_hash(&serde_json::from_str(text).unwrap());
        assert_eq!(hash(r#"{"a":1,"b":[1,2]}"#), hash(r#"{"b":[1,2],"a":1}"#));
        assert_ne!(hash(r#"{"b":[1,2]}"#), hash(r#"{"b":[2,1]}"#));
        assert_eq!(hash("{}").len(), 64);
    }

    #[test]
    fn a_selector_with_one_key_too_many_differs() {
        let desired = json!({"spec": {"selector": {"app": "a"}}, "metadata": {"labels": {"app": "a"}}});
        let live =
            json!({"spec": {"selector": {"app": "a"}}, "metadata": {"labels": {"app": "a", "b": "c"}}});
        assert_eq!(first_difference(&desired, &live), None);
        let live =
            json!({"spec": {"selector": {"app": "a", "b": "c"}}, "metadata": {"labels": {"app": "a"}}});
        assert_eq!(first_difference(&desired, &live).as_deref(), Some("spec.selector"));
    }

    #[test]
    fn a_shorter_or_longer_list_differs() {
        let desired = json!({"args": ["a"]});
        assert!(first_difference(&desired, &json!({"args": ["a", "b"]})).is_some());
        assert!(first_difference(&desired, &json!({"args": []})).is_some());
    }

    #[test]
    fn an_entry_of_a_stranger_in_a_keyed_list_is_no_difference_and_a_missing_one_of_ours_is() {
        let env = |names: &[&str]| {
            let list: Vec<Value> = names.iter().map(|name| json!({"name": name, "value": "1"})).collect();
            json!({"env": list})
        };
        assert_eq!(first_difference(&env(&["A", "B"]), &env(&["B", "X", "A"])), None);
        assert_eq!(first_difference(&env(&["A", "B"]), &env(&["A", "X"])).as_deref(), Some("env"));
        let ports = json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": "http"}]});
        let live = json!({"ports": [{"port": 80, "protocol": "UDP"}, {"port": 80, "protocol": "TCP", "targetPort": 1}]});
        assert_eq!(first_difference(&ports, &live).as_deref(), Some("ports.targetPort"));
    }

    #[test]
    fn quantity_values_follow_the_suffixes() {
        let value = quantity_value;
        assert_eq!(value("1"), Some(1_000_000_000));
        assert_eq!(value("500m"), Some(500_000_000));
        assert_eq!(value("1e3"), value("1k"));
        assert_eq!(value("1.5Gi"), value("1536Mi"));
        assert_eq!(value("-2"), Some(-2_000_000_000));
        for bad in [
            "",
            "abc",
            "1x",
            "1e",
            "--1",
            "99999999999999999999999999999999999999999",
            ".",
            "1.70141183460469231731687303715884105727",
        ] {
            assert_eq!(value(bad), None, "{bad}");
        }
    }
}
