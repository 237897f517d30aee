//! The API's own schemas, as the chart installs them. Read from what the build put into the program: no cluster, and no
//! time to make them from the types.

pub mod judge;
pub mod lookup;
mod texts;

use std::{cell::OnceCell, collections::HashMap, rc::Rc};

use serde_json::Value;

/// A kind of this API with its schema.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    pub kind: &'static str,
    pub plural: &'static str,
    pub short_names: &'static [&'static str],
    text: &'static str,
}

/// Every kind, in the order of their plurals.
pub static DEFINITIONS: &[Definition] = include!(concat!(env!("OUT_DIR"), "/definitions.rs"));

impl Definition {
    /// The one of a kind.
    pub fn of(kind: &str) -> Option<&'static Self> {
        DEFINITIONS.iter().find(|definition| definition.kind == kind)
    }

    /// The schema, with that of `metadata`, which the definitions leave to the API server.
    pub fn schema(&self) -> Value {
        // The build wrote it; a program without it would answer nothing.
        let mut schema: Value = serde_json::from_str(self.text).unwrap_or_default();
        if let Ok(metadata) = dynamo_api::schema::metadata_schema() {
            schema["properties"]["metadata"] = metadata;
        }
        schema
    }
}

/// Schemas that were asked for already.
#[derive(Debug, Default)]
pub struct Schemas(HashMap<&'static str, OnceCell<Rc<Value>>>);

impl Schemas {
    /// The schema of a kind of this API.
    pub fn of(&mut self, kind: &str) -> Option<Rc<Value>> {
        let definition = Definition::of(kind)?;
        let known = self.0.entry(definition.kind).or_default();
        Some(Rc::clone(known.get_or_init(|| Rc::new(definition.schema()))))
    }
}
