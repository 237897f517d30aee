//! Checkpoints of engines (`workload.md` section 6.8, `api.md` section 10): the hash that identifies one, the objects
//! that make one, and the pods that start from one. Whether one exists is a fact that the caller brings.

mod identity;
mod job;
mod missing;
mod mounts;
mod pod;

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::{ServiceCheckpointConfig, ServiceCheckpointStatus, SharedSpec};
pub use identity::identity_hash;
pub use job::{build_job, job_name, location};
pub(crate) use missing::build_missing;
pub(crate) use mounts::volume_names;
pub(crate) use pod::prepare_pod;

use crate::{
    config::{CheckpointConfig, OperatorConfig},
    facts::{FoundCheckpoint, GraphFacts},
    validate::ValidatedGraph,
};

/// Why the pods of a component cannot use a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error(
        "spec.checkpoint.enabled: true: checkpoints are off: start the operator with --checkpoint-enabled, or leave \
         enabled out"
    )]
    Off,
    #[error(
        "spec.checkpoint.checkpointRef: {0:?}: there is no DynamoCheckpoint of this name in the namespace: create it, \
         or give identity instead of checkpointRef"
    )]
    NotFound(String),
    #[error(
        "spec.checkpoint: names no checkpoint: give checkpointRef, or identity with model and backendFramework"
    )]
    Unidentified,
    #[error(
        "spec.checkpoint.enabled: true: the flag --{0} of the operator is empty, and checkpoints are stored there: \
         set it"
    )]
    Unset(&'static str),
}

/// How a service's checkpoint is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The one of this name, whatever it is of.
    Named(&'a str),
    /// Any with this hash of its identity.
    Identified(String),
}

/// The checkpoint that a service asks for: its reference wins over the identity. `None` while it asks for none, and
/// where neither is given.
#[must_use]
pub fn wanted(config: &ServiceCheckpointConfig) -> Option<Wanted<'_>> {
    if !config.enabled {
        return None;
    }
    if let Some(name) = config.checkpoint_ref.as_deref().filter(|name| !name.is_empty()) {
        return Some(Wanted::Named(name));
    }
    config.identity.as_ref().map(|identity| Wanted::Identified(identity_hash(identity)))
}

/// The checkpoint of each service that uses one, as the status of the graph tells it (`workload.md` section 6.8). One
/// that does not exist yet is told by the name and hash that it will have.
pub(crate) fn describe_uses(
    graph: &ValidatedGraph<'_>,
    facts: &GraphFacts,
) -> BTreeMap<String, ServiceCheckpointStatus> {
    let used = graph.services.iter().filter_map(|(service, spec)| {
        let wanted = wanted(spec.checkpoint.as_ref()?)?;
        let status = match (facts.checkpoints.get(service), wanted) {
            (Some(found), _) => ServiceCheckpointStatus {
                checkpoint_name: Some(found.name.clone()),
                identity_hash: Some(found.hash.clone()),
                ready: found.ready,
            },
            (None, Wanted::Named(name)) => ServiceCheckpointStatus {
                checkpoint_name: Some(name.to_owned()),
                ..ServiceCheckpointStatus::default()
            },
            (None, Wanted::Identified(hash)) => ServiceCheckpointStatus {
                checkpoint_name: Some(hash.clone()),
                identity_hash: Some(hash),
                ready: false,
            },
        };
        Some((service.clone(), status))
    });
    used.collect()
}

/// Whether the pods of a service are made for checkpoints.
pub(crate) fn is_enabled(spec: &SharedSpec) -> bool {
    spec.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.enabled)
}

/// The settings and the hash that the pods of a service get, whether its checkpoint exists already or not; `None` for
/// a service without checkpoints.
pub(crate) fn resolve<'a>(
    spec: &SharedSpec,
    config: &'a OperatorConfig,
    found: Option<&FoundCheckpoint>,
) -> Result<Option<(&'a CheckpointConfig, String)>, CheckpointError> {
    let Some(asked) = spec.checkpoint.as_ref().filter(|checkpoint| checkpoint.enabled) else {
        return Ok(None);
    };
    let config = config.checkpoint.as_ref().ok_or(CheckpointError::Off)?;
    let hash = match (wanted(asked), found) {
        (None, _) => return Err(CheckpointError::Unidentified),
        (Some(Wanted::Identified(hash)), _) => hash,
        (Some(Wanted::Named(_)), Some(found)) => found.hash.clone(),
        (Some(Wanted::Named(name)), None) => return Err(CheckpointError::NotFound(name.to_owned())),
    };
    Ok(Some((config, hash)))
}
