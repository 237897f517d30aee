//! Turns a generated JSON schema into a structural one: no references, no null types, no derived defaults.
//! Must not know any type by name.

use serde_json::{Map, Value};

use super::SchemaError;

const REFERENCE_PREFIX: &str = "#/$defs/";

/// Keys a structural schema cannot carry or that only the generator needs.
const DROPPED: &[&str] = &["$schema", "$defs", "title", "default", REQUIRED, NOTHING_REQUIRED];

/// Marks, on a property, that its parent requires it: a decoder that forgives its absence hides that from the derive.
const REQUIRED: &str = "x-required";

/// Marks, on an object, that none of its properties is required, whatever its type says.
const NOTHING_REQUIRED: &str = "x-nothing-required";

/// Becomes the `default` of a property; the derived one is only the decoder's.
const DEFAULT: &str = "x-default";

/// Resolves every reference of `schema` against `definitions` and cleans the result.
///
/// # Errors
/// When a reference has no definition.
pub(super) fn resolve(schema: &Value, definitions: &Map<String, Value>) -> Result<Value, SchemaError> {
    node(schema, definitions, &mut Vec::new())
}

fn node(
    schema: &Value,
    definitions: &Map<String, Value>,
    path: &mut Vec<String>,
) -> Result<Value, SchemaError> {
    let Value::Object(fields) = schema else { return Ok(schema.clone()) };
    let mut fields = unwrap(fields, definitions, path)?;
    mark_required(&mut fields);
    let mut out = Map::new();
    for (key, value) in fields {
        if DROPPED.contains(&key.as_str()) {
            continue;
        }
        let value = match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let mut resolved = Map::new();
                for (name, property) in properties {
                    path.push(name.clone());
                    resolved.insert(name, node(&property, definitions, path)?);
                    path.pop();
                }
                Value::Object(resolved)
            }
            ("items" | "additionalProperties", value) => {
                path.push(if key == "items" { "[]" } else { "{}" }.to_owned());
                let resolved = node(&value, definitions, path)?;
                path.pop();
                resolved
            }
            ("type", Value::Array(types)) => {
                types.into_iter().find(|name| name != "null").unwrap_or_else(|| Value::from("object"))
            }
            ("required", Value::Array(mut names)) => {
                names.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                if names.is_empty() {
                    continue;
                }
                Value::Array(names)
            }
            ("enum", Value::Array(values)) => {
                Value::Array(values.into_iter().filter(|value| !value.is_null()).collect())
            }
            (_, value) => value,
        };
        out.insert(if key == DEFAULT { "default".to_owned() } else { key }, value);
    }
    Ok(Value::Object(out))
}

/// Sets `required` from the marks on the properties and the object.
fn mark_required(fields: &mut Map<String, Value>) {
    if fields.contains_key(NOTHING_REQUIRED) {
        fields.remove("required");
        return;
    }
    let Some(Value::Object(properties)) = fields.get("properties") else { return };
    let marked = properties.iter().filter(|(_, property)| property.get(REQUIRED).is_some());
    let marked: Vec<Value> = marked.map(|(name, _)| Value::from(name.as_str())).collect();
    if let Value::Array(required) = fields.entry("required").or_insert_with(|| Value::Array(Vec::new())) {
        required.extend(marked);
    }
}

/// Replaces a reference, or a choice between one schema and null, by the schema; keys beside it win.
fn unwrap(
    fields: &Map<String, Value>,
    definitions: &Map<String, Value>,
    path: &[String],
) -> Result<Map<String, Value>, SchemaError> {
    let mut outer = fields.clone();
    if let Some(Value::String(reference)) = outer.remove("$ref") {
        let target = reference.strip_prefix(REFERENCE_PREFIX).and_then(|name| definitions.get(name));
        let Some(Value::Object(target)) = target else {
            return Err(SchemaError::MissingDefinition { path: path.join("."), reference });
        };
        return Ok(merge(unwrap(target, definitions, path)?, outer));
    }
    for key in ["anyOf", "allOf", "oneOf"] {
        let Some(Value::Array(choices)) = outer.get(key) else { continue };
        let mut real = choices.iter().filter(|choice| choice.get("type") != Some(&Value::from("null")));
        if let (Some(Value::Object(only)), None) = (real.next(), real.next()) {
            let only = only.clone();
            outer.remove(key);
            return Ok(merge(unwrap(&only, definitions, path)?, outer));
        }
    }
    Ok(outer)
}

fn merge(mut inner: Map<String, Value>, outer: Map<String, Value>) -> Map<String, Value> {
    inner.extend(outer);
    inner
}
