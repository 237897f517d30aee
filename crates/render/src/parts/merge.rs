//! Merging what a user wrote over a default, field by field (`workload.md` section 6.3).
//! Maps and structs merge by key, a non-empty list replaces, a zero value never overrides.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// `user` over `base`. A zero value of the user's (`0`, `false`, `""`) stays only where the base has nothing.
///
/// # Errors
/// When the merged value does not fit the type; the message names the field.
pub fn over<T: Serialize + DeserializeOwned>(base: &T, user: &T) -> Result<T, serde_json::Error> {
    let mut merged = serde_json::to_value(base)?;
    merge(&mut merged, serde_json::to_value(user)?);
    serde_json::from_value(merged)
}

/// Handlers of a probe exclude each other.
const HANDLERS: [&str; 4] = ["exec", "grpc", "httpGet", "tcpSocket"];

fn merge(base: &mut Value, user: Value) {
    match (base, user) {
        (Value::Object(base), Value::Object(user)) => merge_maps(base, user),
        (base, user) => {
            if base.is_null() || !is_zero(&user) {
                *base = user;
            }
        }
    }
}

fn merge_maps(base: &mut Map<String, Value>, user: Map<String, Value>) {
    if let Some(chosen) = HANDLERS.into_iter().find(|handler| user.contains_key(*handler)) {
        base.retain(|key, _| key == chosen || !HANDLERS.contains(&key.as_str()));
    }
    for (key, value) in user {
        match base.get_mut(&key) {
            // A port that the default names is not displaced by a number: pods of the reference keep the name.
            Some(Value::String(_)) if key == "port" && value.is_number() => {}
            Some(known) => merge(known, value),
            None => {
                base.insert(key, value);
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut base: Value, user: Value) -> Value {
        merge(&mut base, user);
        base
    }

    #[test]
    fn zero_values_do_not_override_but_stay_where_nothing_was() {
        assert_eq!(merged(json!({"grace": 60}), json!({"grace": 0})), json!({"grace": 60}));
        assert_eq!(merged(json!({}), json!({"automount": false})), json!({"automount": false}));
    }

    #[test]
    fn lists_replace_and_maps_merge() {
        assert_eq!(
            merged(
                json!({"args": ["a", "b"], "node": {"x": "1"}}),
                json!({"args": ["c"], "node": {"y": "2"}})
            ),
            json!({"args": ["c"], "node": {"x": "1", "y": "2"}})
        );
        assert_eq!(merged(json!({"args": ["a"]}), json!({"args": []})), json!({"args": ["a"]}));
    }

    #[test]
    fn a_probe_ends_with_one_handler() {
        let base = json!({"httpGet": {"path": "/live", "port": "system"}, "periodSeconds": 5});
        assert_eq!(
            merged(base.clone(), json!({"exec": {"command": ["true"]}})),
            json!({"exec": {"command": ["true"]}, "periodSeconds": 5})
        );
        assert_eq!(
            merged(base, json!({"httpGet": {"path": "/x", "port": 9090}, "periodSeconds": 7})),
            json!({"httpGet": {"path": "/x", "port": "system"}, "periodSeconds": 7})
        );
    }
}
