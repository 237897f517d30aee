//! A schema in the words of those who write manifests: type, rules, description, children. Nothing is written here.

use serde::Serialize;
use serde_json::Value;

use crate::schema::lookup::Found;

/// A field.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Field {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    /// From the object on, or the name alone for a child.
    pub(super) path: String,
    #[serde(rename = "type")]
    pub(super) type_: String,
    pub(super) required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<Value>,
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub(super) allowed: Vec<Value>,
    /// Such as `at least 0`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) rules: Vec<String>,
    pub(super) description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fields: Vec<Field>,
}

impl Field {
    /// The field with its children; with all that is below when it is `recursive`.
    pub(super) fn of(found: &Found, recursive: bool) -> Self {
        let depth = if recursive { usize::MAX } else { 1 };
        let mut field = Self::build(&found.schema, found.path.clone(), found.is_required, depth);
        field.kind = found.kind.to_owned();
        field
    }

    fn build(schema: &Value, path: String, required: bool, depth: usize) -> Self {
        Self {
            kind: String::new(),
            path,
            type_: type_of(schema),
            required,
            default: schema.get("default").cloned(),
            allowed: schema["enum"].as_array().cloned().unwrap_or_default(),
            rules: rules(schema),
            description: schema["description"].as_str().unwrap_or_default().to_owned(),
            fields: if depth == 0 { Vec::new() } else { children(schema, depth - 1) },
        }
    }
}

/// The fields of an object, of the items of a list, or of what a key of the user's leads to.
fn children(schema: &Value, depth: usize) -> Vec<Field> {
    if let Some(properties) = schema["properties"].as_object() {
        let is_required = |name: &str| {
            schema["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name))
        };
        let child =
            |(name, schema): (&String, &Value)| Field::build(schema, name.clone(), is_required(name), depth);
        return properties.iter().map(child).collect();
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            return children(&schema[inner], depth);
        }
    }
    Vec::new()
}

/// Such as `integer`, `list of Object`, `map of string`.
fn type_of(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "integer or string".to_owned();
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map of name to {}", type_of(&schema["additionalProperties"]))
        }
        Some("object") if schema["x-kubernetes-preserve-unknown-fields"] == true => "any object".to_owned(),
        Some(name) => name.to_owned(),
        None => "any".to_owned(),
    }
}

fn rules(schema: &Value) -> Vec<String> {
    let mut rules = Vec::new();
    for (key, words) in [
        ("minimum", "at least {}"),
        ("maximum", "at most {}"),
        ("minLength", "{} characters or more"),
        ("maxLength", "at most {} characters"),
        ("minItems", "{} items or more"),
        ("maxItems", "at most {} items"),
        ("maxProperties", "at most {} entries"),
        ("format", "format {}"),
    ] {
        if key == "minLength" && schema[key] == 1 {
            rules.push("not empty".to_owned());
        } else if let Some(value) = schema.get(key) {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            rules.push(words.replace("{}", &value));
        }
    }
    match schema["pattern"].as_str() {
        Some(pattern) if pattern.contains("numkMGTPE") => {
            rules.push("a quantity, such as \"2\", \"500m\" or \"64Gi\"".to_owned());
        }
        Some(pattern) => rules.push(format!("matches {pattern}")),
        None => {}
    }
    let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !keys.is_empty() {
        rules.push(format!("each item has its own {}", keys.join(" and ")));
    }
    let validations = schema["x-kubernetes-validations"].as_array();
    rules.extend(
        validations.into_iter().flatten().filter_map(|rule| Some(rule["message"].as_str()?.to_owned())),
    );
    rules
}
