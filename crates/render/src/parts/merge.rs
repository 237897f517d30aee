//! Merging what a user wrote over a default, field by field (`workload.md` section 6.3).
//! Maps and structs merge by key, a list replaces; what zero values do is the caller's choice.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// What a value of the user that is `0`, `false` or an empty list does where the base has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// It does not count, as in the reference.
    Yield,
    /// It overrides: what is written is meant.
    Override,
}

/// `user` over `base`. An empty text stays only where the base has nothing.
///
/// # Errors
/// When the merged value does not fit the type; the message names the field.
pub fn over<T: Serialize + DeserializeOwned>(
    base: &T,
    user: &T,
    zeros: Zeros,
) -> Result<T, serde_json::Error> {
    let mut merged = serde_json::to_value(base)?;
    merge(&mut merged, serde_json::to_value(user)?, zeros);
    serde_json::from_value(merged)
}

/// Handlers of a probe exclude each other.
const HANDLERS: [&str; 4] = ["exec", "grpc", "httpGet", "tcpSocket"];

fn merge(base: &mut Value, user: Value, zeros: Zeros) {
    match (base, user) {
        (Value::Object(base), Value::Object(user)) => merge_maps(base, user, zeros),
        (base, user) => {
            if base.is_null() || !yields(&user, zeros) {
                *base = user;
            }
        }
    }
}

fn merge_maps(base: &mut Map<String, Value>, user: Map<String, Value>, zeros: Zeros) {
    if let Some(chosen) = HANDLERS.into_iter().find(|handler| user.contains_key(*handler)) {
        base.retain(|key, _| key == chosen || !HANDLERS.contains(&key.as_str()));
    }
    for (key, value) in user {
        match base.get_mut(&key) {
            // A port that the default names is not displaced by a number: pods of the reference keep the name.
            Some(Value::String(_)) if key == "port" && value.is_number() => {}
            Some(known) => merge(known, value, zeros),
            None => {
                base.insert(key, value);
            }
        }
    }
}

fn yields(value: &Value, zeros: Zeros) -> bool {
    let is_meant = zeros == Zeros::Override;
    match value {
        Value::Null => true,
        // An empty text says nothing, and the name of a container is always written.
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(value) => !value && !is_meant,
        Value::Number(number) => number.as_f64() == Some(0.0) && !is_meant,
        Value::Array(items) => items.is_empty() && !is_meant,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut base: Value, user: Value) -> Value {
        merge(&mut base, user, Zeros::Yield);
        base
    }

    #[test]
    fn zero_values_that_are_meant_override_but_an_empty_text_does_not() {
        let mut base = json!({"grace": 60, "tty": true, "args": ["a"], "name": "main"});
        merge(&mut base, json!({"grace": 0, "tty": false, "args": [], "name": ""}), Zeros::Override);
        assert_eq!(base, json!({"grace": 0, "tty": false, "args": [], "name": "main"}));
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
