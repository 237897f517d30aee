//! What was found in one document, each with its place. Only the shape of the answer: who finds what is elsewhere.

use serde::Serialize;

use crate::manifest::{Marked, Place};

/// What a finding means for the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// The document is refused.
    Error,
    Warning,
}

/// Who would say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    /// Whoever reads the text.
    Yaml,
    /// The API server, by the schema of the kind.
    Schema,
    /// The admission webhook of the platform.
    Admission,
    /// Nobody: it bites later.
    Hint,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) by: By,
    /// Name of the rule, for findings of admission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<&'static str>,
    /// Path of the field; empty for the document as a whole.
    pub(super) field: String,
    /// Where the field stands, or the nearest one above it; `None` where the text breaks off.
    #[serde(flatten)]
    pub(super) place: Option<Place>,
    pub(super) message: String,
}

/// The verdict on one document. The field `errors` is what the admission webhook has against it, or why it cannot be
/// asked; `findings` is everything, with places.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) source: String,
    pub(super) document: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    pub(super) accepted: bool,
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) findings: Vec<Finding>,
}

/// Collects findings, with the places of one document.
pub(super) struct Findings<'a> {
    marks: Option<&'a Marked>,
    pub(super) all: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(marks: Option<&'a Marked>) -> Self {
        Self { marks, all: Vec::new() }
    }

    pub(super) fn add(&mut self, level: Level, by: By, field: &str, message: String) {
        let place = self.marks.map(|marks| marks.find(field));
        self.all.push(Finding { level, by, rule: None, field: field.to_owned(), place, message });
    }

    pub(super) fn add_rule(&mut self, level: Level, rule: &'static str, field: &str, message: String) {
        self.add(level, By::Admission, field, message);
        if let Some(last) = self.all.last_mut() {
            last.rule = Some(rule);
        }
    }

    /// Whether somebody has refused this very field, or one inside it, before.
    pub(super) fn is_refused(&self, field: &str) -> bool {
        self.all.iter().filter(|known| known.level == Level::Error).any(|known| {
            known
                .field
                .strip_prefix(field)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// In the order of the text; what has no place comes first.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.all.sort_by_key(|finding| finding.place);
        self.all
    }
}
