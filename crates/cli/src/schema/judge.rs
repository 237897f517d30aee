//! What an API server finds in an object by its structural schema: fields that it does not know, and values that do not
//! fit. No rule of its own: everything said here stands in the schema.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::texts;

/// Findings of one object that are told; a manifest of another kind would break rules without end.
const MOST: usize = 100;

/// Something that the schema has against an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// Such as `spec.services[Worker].replicas`.
    pub path: String,
    /// The whole message: the field, the value, what is allowed, and how to put it right.
    pub text: String,
}

/// What an API server does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It drops the field, unless the client asks to have it refused.
    Unknown,
    /// It drops the field when the object is created or patched, and refuses it in server-side apply.
    Empty,
    /// It refuses the object.
    Refused,
}

/// Everything that `schema` has against `object`, in the order of the object's fields.
pub fn judge(schema: &Value, object: &Value) -> Vec<Fault> {
    let mut judge = Judge::default();
    judge.node(schema, object, "");
    judge.faults
}

#[derive(Default)]
struct Judge {
    faults: Vec<Fault>,
    /// Compiled once each: a schema repeats a few.
    patterns: BTreeMap<String, Option<Regex>>,
}

impl Judge {
    fn say(&mut self, kind: FaultKind, path: &str, words: &str) {
        if self.faults.len() < MOST {
            let text = if path.is_empty() { words.to_owned() } else { format!("{path}{words}") };
            self.faults.push(Fault { kind, path: path.to_owned(), text });
        }
    }

    fn refuse(&mut self, path: &str, words: &str) {
        self.say(FaultKind::Refused, path, words);
    }

    fn node(&mut self, schema: &Value, value: &Value, path: &str) {
        if self.faults.len() >= MOST {
            return;
        }
        if schema["x-kubernetes-int-or-string"] == true {
            match value {
                Value::String(text) => self.pattern(schema, text, path),
                Value::Number(number) if number.as_i64().is_some() => {}
                other => self.refuse(path, &texts::wrong_type("quantity", other)),
            }
            return;
        }
        let expected = schema["type"].as_str().unwrap_or_default();
        if !fits(expected, value) {
            self.refuse(path, &texts::wrong_type(expected, value));
            return;
        }
        if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
            self.refuse(path, &texts::not_among(value, allowed));
        }
        match value {
            Value::Object(fields) => self.object(schema, fields, path),
            Value::Array(items) => self.list(schema, items, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) => {
                if let (Some(least), Some(given)) = (schema["minimum"].as_f64(), number.as_f64())
                    && given < least
                {
                    self.refuse(path, &format!(": {number}: must be {least} or more"));
                }
                if let (Some(most), Some(given)) = (schema["maximum"].as_f64(), number.as_f64())
                    && given > most
                {
                    self.refuse(path, &format!(": {number}: must be {most} or less"));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        let length = text.chars().count();
        if let Some(least) = limit(schema, "minLength").filter(|least| length < *least) {
            let words = match length {
                0 => ": \"\": must not be empty".to_owned(),
                _ => format!(": {text:?}: must have {least} characters or more"),
            };
            self.refuse(path, &words);
        }
        if let Some(most) = limit(schema, "maxLength").filter(|most| length > *most) {
            self.refuse(path, &format!(": has {length} characters: {most} are allowed"));
        }
        self.pattern(schema, text, path);
    }

    fn pattern(&mut self, schema: &Value, text: &str, path: &str) {
        let Some(pattern) = schema["pattern"].as_str() else { return };
        let compiled = self.patterns.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
        if compiled.as_ref().is_some_and(|compiled| !compiled.is_match(text)) {
            self.refuse(path, &texts::not_matching(text, pattern));
        }
    }

    fn object(&mut self, schema: &Value, fields: &Map<String, Value>, path: &str) {
        if let Some(most) = limit(schema, "maxProperties").filter(|most| fields.len() > *most) {
            self.refuse(path, &format!(": has {} entries: {most} are allowed", fields.len()));
        }
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let has_default = properties.get(name).is_some_and(|property| property.get("default").is_some());
            if !has_default && fields.get(name).is_none_or(Value::is_null) {
                self.refuse(&join(path, name), &texts::required(properties.get(name)));
            }
        }
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let keeps_others = schema["x-kubernetes-preserve-unknown-fields"] == true;
        for (name, value) in fields {
            match (properties.get(name), others) {
                (Some(_), _) | (None, Some(_)) if value.is_null() => {
                    let path = match properties.contains_key(name) {
                        true => join(path, name),
                        false => format!("{path}[{name}]"),
                    };
                    self.say(FaultKind::Empty, &path, texts::EMPTY);
                }
                (Some(property), _) => self.node(property, value, &join(path, name)),
                (None, Some(others)) => self.node(others, value, &format!("{path}[{name}]")),
                (None, None) if keeps_others => {}
                (None, None) => {
                    let words = texts::unknown(name, properties);
                    self.say(FaultKind::Unknown, &join(path, name), &words);
                }
            }
        }
    }

    fn list(&mut self, schema: &Value, items: &[Value], path: &str) {
        if let Some(most) = limit(schema, "maxItems").filter(|most| items.len() > *most) {
            self.refuse(path, &format!(": has {} items: {most} are allowed", items.len()));
        }
        if let Some(least) = limit(schema, "minItems").filter(|least| items.len() < *least) {
            self.refuse(path, &format!(": has {} items: must have {least} or more", items.len()));
        }
        for (at, item) in items.iter().enumerate() {
            self.node(&schema["items"], item, &format!("{path}[{at}]"));
        }
        self.repeated(schema, items, path);
    }

    /// Items of a list that is kept by keys, or as a set.
    fn repeated(&mut self, schema: &Value, items: &[Value], path: &str) {
        let keys: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
            Some("map") => {
                let keys = schema["x-kubernetes-list-map-keys"].as_array();
                keys.into_iter().flatten().filter_map(Value::as_str).collect()
            }
            Some("set") => Vec::new(),
            _ => return,
        };
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for (at, item) in items.iter().enumerate() {
            let value_of = |key: &&str| {
                let default = || schema["items"]["properties"][*key].get("default");
                item.get(*key).or_else(default).cloned().unwrap_or_default()
            };
            let values: Vec<Value> =
                if keys.is_empty() { vec![item.clone()] } else { keys.iter().map(value_of).collect() };
            if !values.iter().any(|value| value.is_string() || value.is_number()) {
                continue;
            }
            let identity = Value::Array(values.clone()).to_string();
            if let Some(first) = known.insert(identity, at) {
                let first = format!("{path}[{first}]");
                self.refuse(&format!("{path}[{at}]"), &texts::repeated(&keys, &values, &first));
            }
        }
    }
}

fn limit(schema: &Value, key: &str) -> Option<usize> {
    usize::try_from(schema[key].as_u64()?).ok()
}

fn fits(expected: &str, value: &Value) -> bool {
    match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        _ => true,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(schema: Value, value: Value) -> Vec<String> {
        judge(&json!({"type": "object", "properties": {"x": schema}}), &json!({"x": value}))
            .into_iter()
            .map(|fault| fault.text)
            .collect()
    }

    #[test]
    fn values_that_do_not_fit_are_told_with_what_to_write() {
        for (schema, value, told) in [
            (json!({"type": "string"}), json!(1), "x: 1: must be text: put it in quotes, as \"1\""),
            (
                json!({"type": "integer"}),
                json!("2"),
                "x: \"2\": must be a whole number: take the quotes away",
            ),
            (json!({"type": "integer"}), json!("two"), "x: \"two\": must be a whole number, such as 2"),
            (json!({"type": "boolean"}), json!("yes"), "x: \"yes\": must be true or false, without quotes"),
            (json!({"type": "array"}), json!({"a": 1}), "x: must be a list: begin each item with \"- \""),
            (json!({"type": "object"}), json!([1]), "x: must be fields (lines of key: value), not a list"),
            (json!({"type": "integer", "minimum": 0}), json!(-1), "x: -1: must be 0 or more"),
            (json!({"type": "string", "minLength": 1}), json!(""), "x: \"\": must not be empty"),
            (
                json!({"type": "string", "enum": ["vllm", "sglang"]}),
                json!("vlm"),
                "x: \"vlm\": must be one of vllm, sglang: did you mean \"vllm\"?",
            ),
        ] {
            assert_eq!(found(schema.clone(), value), [told], "{schema}");
        }
    }

    #[test]
    fn nothing_is_said_about_what_an_api_server_takes() {
        for (schema, value) in [
            (json!({"type": "integer"}), json!(2.0)),
            (json!({"x-kubernetes-int-or-string": true}), json!("50%")),
            (json!({"x-kubernetes-int-or-string": true}), json!(1)),
            (json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}), json!({"any": [1]})),
            (json!({"type": "object", "additionalProperties": {"type": "string"}}), json!({"any": "thing"})),
            (json!({"type": "object", "required": ["a"], "properties": {"a": {"default": 1}}}), json!({})),
        ] {
            assert_eq!(found(schema.clone(), value), [""; 0], "{schema}");
        }
    }

    #[test]
    fn a_field_without_a_value_is_told_apart_from_a_wrong_one() {
        let schema = json!({"type": "object", "properties": {"x": {"type": "string"}}});
        let faults = judge(&schema, &json!({"x": null}));
        assert_eq!((faults.len(), faults[0].kind), (1, FaultKind::Empty));
    }

    #[test]
    fn items_of_one_key_are_told_and_their_defaults_count() {
        let schema = json!({"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"properties": {"port": {}, "protocol": {"default": "TCP"}}}});
        let told = found(schema.clone(), json!([{"port": 1}, {"port": 1, "protocol": "TCP"}]));
        assert_eq!(told, ["x[1]: port 1, protocol \"TCP\" is already that of x[0]: give each item its own"]);
        assert!(found(schema, json!([{"port": 1}, {"port": 1, "protocol": "UDP"}])).is_empty());
    }

    #[test]
    fn a_schema_without_end_of_faults_is_told_up_to_a_limit() {
        let value: Map<String, Value> = (0..1_000).map(|at| (format!("f{at}"), json!(1))).collect();
        assert_eq!(judge(&json!({"type": "object"}), &value.into()).len(), MOST);
    }
}
