//! What is wrong with pods, as kubelets, schedulers and the Deployment controller tell it: one judge for the operator,
//! which reports it, and for tools that explain it. Pure; nothing here knows whose pods they are.

mod missing;
pub mod trouble;

use k8s_openapi::api::apps::v1::Deployment;

/// The label of the ReplicaSet's revision.
pub const REVISION: &str = "pod-template-hash";

/// The revision of the newest ReplicaSet. The Deployment's controller names that, in quotation marks, in each message
/// of the condition `Progressing` but that of a pause.
#[must_use]
pub fn newest_revision(deployment: &Deployment) -> Option<&str> {
    let conditions = deployment.status.as_ref()?.conditions.as_deref()?;
    let progressing = conditions.iter().find(|condition| condition.type_ == "Progressing")?;
    let replica_set = progressing.message.as_deref()?.split('"').nth(1)?;
    let revision = replica_set.strip_prefix(deployment.metadata.name.as_deref()?)?.strip_prefix('-')?;
    (!revision.is_empty()).then_some(revision)
}
