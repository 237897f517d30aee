//! Checkpoints of engines (`workload.md` section 6.8, `api.md` section 10): the hash that identifies one, the objects
//! that make one, and the pods that start from one. Whether one exists is a fact that the caller brings.

use dynamo_api::v1alpha1::DynamoCheckpoint;

use crate::{config::OperatorConfig, facts::GraphFacts, validate::ValidatedGraph};

/// The checkpoints that a graph asks for and that nobody has made yet, sorted by name. They belong to nobody.
#[must_use]
pub fn build_missing(_: &ValidatedGraph<'_>, _: &OperatorConfig, _: &GraphFacts) -> Vec<DynamoCheckpoint> {
    Vec::new()
}
