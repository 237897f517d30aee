//! Every rule a graph or component must meet before it is rendered.
//! Pure, and called alike by the controllers and by everything else that judges a manifest.

mod component;
mod graph;
mod ignored;
mod quantities;

use std::fmt;

pub use component::{ValidatedComponent, component};
pub use graph::{ValidatedGraph, graph};
pub use ignored::ignored;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, such as `spec.services[Worker].replicas`.
    pub field: String,
    /// The offending value as text; `None` when the field is missing.
    pub value: Option<String>,
    /// What is allowed, and how to put it right.
    pub rule: String,
}

impl FieldError {
    #[must_use]
    pub fn new(field: impl Into<String>, value: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { field: field.into(), value: Some(value.into()), rule: rule.into() }
    }

    #[must_use]
    pub fn missing(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { field: field.into(), value: None, rule: rule.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: {value:?}: {}", self.field, self.rule),
            None => write!(f, "{} {}", self.field, self.rule),
        }
    }
}

/// All broken rules of one object, in the order of its fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    fn check(&mut self, result: Result<(), FieldError>) {
        self.0.extend(result.err());
    }

    fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}
