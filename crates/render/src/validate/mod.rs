//! Every rule an object must meet, judged in one place: the webhook, the controllers and the command line call this.
//! Pure, and total: whatever decodes gets a verdict, never a panic.

mod amount;
mod claims;
mod component;
mod configured;
mod epp;
mod findings;
mod graph;
mod graph_update;
mod judged;
mod model;
mod pod;
mod probes;
mod request;
mod resources;
mod restart;
mod rollout;
mod rules;
mod texts;
mod traps;

use std::fmt;

pub use component::{ValidatedComponent, component};
pub use findings::{Verdict, Warning};
pub use graph::{ValidatedGraph, graph};
pub use judged::Judged;
pub use rules::{Enforced, Kind, Level, On, Reason, Rule, RuleSpec};
pub use traps::{Trap, component_traps, traps};

use crate::config::OperatorConfig;

/// What a verdict depends on beside the object: facts of the installation and the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    pub config: &'a OperatorConfig,
    /// True for an operator of one namespace: it cannot read nodes.
    pub restricted: bool,
    /// Whether the API group `inference.networking.k8s.io` is there; `None` is not judged.
    pub inference_pools: Option<bool>,
}

impl<'a> Policy<'a> {
    /// What controllers and the command line know: the configuration, and nothing of the cluster
    /// (`operator-process.md` section 8).
    #[must_use]
    pub fn stateless(config: &'a OperatorConfig) -> Self {
        Self { config, restricted: false, inference_pools: None }
    }
}

/// Who asks for a change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Requester<'a> {
    /// User name of the review; without one nothing that needs trust is allowed.
    pub username: Option<&'a str>,
    /// Full user names, `system:serviceaccount:<namespace>:<name>`, that may set the replicas that an adapter owns.
    pub trusted: &'a [String],
}

impl Requester<'_> {
    /// Whether the caller may set replicas that a scaling adapter owns, in an object of `namespace`: a trusted user or
    /// the planner of that very namespace, by exact name (`operator-process.md` weak spot 14).
    #[must_use]
    pub fn may_scale(&self, namespace: &str) -> bool {
        let Some(user) = self.username else { return false };
        let planner = format!("system:serviceaccount:{namespace}:planner-serviceaccount");
        self.trusted.iter().any(|trusted| trusted == user) || (!namespace.is_empty() && user == planner)
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub rule: Rule,
    /// Path of the field, such as `spec.services[Worker].replicas`.
    pub field: String,
    /// The offending value as text; `None` when the field is missing.
    pub value: Option<String>,
    /// The whole message: the field, the value, what is allowed, and how to put it right.
    pub text: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The broken rules of one object, in the order of its fields: the first 100, and how many there are beside them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldErrors(pub Vec<FieldError>, pub usize);

impl FieldErrors {
    /// The words for `more` errors that are not told.
    #[must_use]
    pub fn say_more(more: usize) -> String {
        format!("and {more} more errors")
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
        if self.1 > 0 {
            write!(f, "; {}", Self::say_more(self.1))?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}
