//! From the Rust types to the schema the API server enforces: what derives cannot say is added here.
//! Must not invent rules: every one stands in `api.md` or in core/v1.

mod core_rules;
mod descriptions;
mod parts;
mod structural;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

pub(crate) use parts::{bytes, embedded_object, open_object, plain_integer, plain_number};

/// A type has no structural schema. Only a change of our own types can cause it; a test builds all of them.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A reference names a definition that the generator did not emit.
    #[error("schema at {path} refers to {reference}, which is not among the definitions")]
    MissingDefinition {
        /// Where the reference stands.
        path: String,
        /// The reference.
        reference: String,
    },
    /// A rule names a field that its type does not have (any more).
    #[error(
        "a rule is for field {field} of {definition}, which has no such field: adapt the rule to the core types"
    )]
    UnknownField {
        /// Name of the definition, for example `io.k8s.api.core.v1.Container`.
        definition: String,
        /// Name of the field; empty if the definition is missing as a whole.
        field: String,
    },
}

/// Names, on an object, the type it was made from. Only for the field reference.
pub(crate) const TYPE: &str = "x-type";

/// The `openAPIV3Schema` of a root type: references resolved, structural, with the rules of core/v1 that
/// the derived schema lacks.
///
/// # Errors
/// When the types and the rules of this module do not fit together.
pub fn open_api_schema<K: JsonSchema>() -> Result<Value, SchemaError> {
    let mut schema = typed_schema::<K>()?;
    drop_types(&mut schema);
    Ok(schema)
}

/// The schema of `metadata`, which the definitions leave to the API server.
///
/// # Errors
/// When a reference of the schema has no definition.
pub fn metadata_schema() -> Result<Value, SchemaError> {
    let root =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ObjectMeta>().to_value();
    let mut definitions = match root.get("$defs") {
        Some(Value::Object(definitions)) => definitions.clone(),
        _ => Map::new(),
    };
    descriptions::shorten_core(&mut definitions);
    structural::resolve(&root, &definitions)
}

/// The same with the name of its type, under the key `x-type`, on every object that has one.
pub(crate) fn typed_schema<K: JsonSchema>() -> Result<Value, SchemaError> {
    let root = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<K>().to_value();
    let mut definitions = match root.get("$defs") {
        Some(Value::Object(definitions)) => definitions.clone(),
        _ => Map::new(),
    };
    core_rules::apply(&mut definitions)?;
    descriptions::shorten_core(&mut definitions);
    for (name, definition) in &mut definitions {
        if let Value::Object(definition) = definition {
            definition.insert(TYPE.to_owned(), json!(name));
        }
    }
    let mut schema = structural::resolve(&root, &definitions)?;
    complete_root(&mut schema);
    descriptions::make_helm_safe(&mut schema);
    Ok(schema)
}

/// Takes the names of types away; the API server would refuse them.
pub(crate) fn drop_types(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove(TYPE);
            fields.values_mut().for_each(drop_types);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_types),
        _ => {}
    }
}

/// Marks, on a spec, the rules of the whole object: its type is made by a derive that takes no schema attributes.
const ROOT_VALIDATIONS: &str = "x-root-validations";

/// Adds what every object has, and takes back that `spec` is required (`api.md` 1).
fn complete_root(schema: &mut Value) {
    let Value::Object(root) = schema else { return };
    root.remove("required");
    let rules = root
        .get_mut("properties")
        .and_then(|properties| properties.get_mut("spec"))
        .and_then(Value::as_object_mut)
        .and_then(|spec| spec.remove(ROOT_VALIDATIONS));
    if let Some(rules) = rules {
        root.insert("x-kubernetes-validations".to_owned(), rules);
    }
    let properties = root.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.insert(
            "apiVersion".to_owned(),
            json!({ "type": "string", "description": "Version of the API this object is written in." }),
        );
        properties
            .insert("kind".to_owned(), json!({ "type": "string", "description": "Kind of this object." }));
        properties.insert("metadata".to_owned(), json!({ "type": "object" }));
    }
}
