//! The closed list of rules: every refusal and every warning of the platform is one of these.
//! Facts about rules only; judging objects is the business of the modules beside this one.

mod table;

use std::fmt;

pub use table::Rule;

/// A kind of this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Graph,
    Component,
    Model,
    Request,
    ScalingAdapter,
    Checkpoint,
    WorkerMetadata,
}

impl Kind {
    /// The kind as it stands in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Graph => "DynamoGraphDeployment",
            Self::Component => "DynamoComponentDeployment",
            Self::Model => "DynamoModel",
            Self::Request => "DynamoGraphDeploymentRequest",
            Self::ScalingAdapter => "DynamoGraphDeploymentScalingAdapter",
            Self::Checkpoint => "DynamoCheckpoint",
            Self::WorkerMetadata => "DynamoWorkerMetadata",
        }
    }
}

/// When a rule is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Create,
    Update,
    Both,
}

/// What a broken rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The object is refused.
    Error,
    /// The object is accepted and its user is told.
    Warning,
}

/// Why an object is refused, as a label of metrics (`operator-process.md` weak spot 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    Required,
    Invalid,
    Immutable,
    Forbidden,
}

impl Reason {
    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Invalid => "invalid",
            Self::Immutable => "immutable",
            Self::Forbidden => "forbidden",
        }
    }
}

/// Who refuses an object that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    /// This crate, wherever it is called.
    Admission,
    /// The API server, by the schema or the CEL rules of the CRD; this crate does not repeat it.
    Schema,
}

/// What is known about a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleSpec {
    /// Name of the rule, in kebab-case; also the name of its file of cases.
    pub id: &'static str,
    pub kinds: &'static [Kind],
    pub on: On,
    pub level: Level,
    pub reason: Reason,
    pub enforced: Enforced,
    /// The words that clients look for in the message; `…` stands for any text between two of them.
    pub words: &'static str,
    /// Where the rule comes from: document and section of the contract, or `ours: ` and why.
    pub source: &'static str,
}

impl RuleSpec {
    /// True for a rule that the reference does not have. Such a rule never blocks the change of an object that broke
    /// it before.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.source.starts_with("ours: ")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec().id)
    }
}
