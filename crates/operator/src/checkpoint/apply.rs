//! Writes of checkpoints: the ones that graphs lack, the label by which one is found, and the Job that makes it.
//! A Job that exists is left as it is: its pods cannot be changed.

use dynamo_api::{labels, v1alpha1::DynamoCheckpoint};
use dynamo_kubekit::{apply::ApplyError, key_of};
use dynamo_render::{checkpoint::build_job, config::CheckpointConfig};
use kube::Api;
use serde_json::json;
use tracing::info;

use crate::{
    context::{Context, failed, owner_of},
    writes,
};

/// Makes the checkpoints that a graph lacks. They belong to nobody; one that somebody else made meanwhile is used as it
/// is.
///
/// # Errors
/// [`ApplyError::Api`] of the first that could not be made.
pub(crate) async fn ensure(ctx: &Context, missing: Vec<DynamoCheckpoint>) -> Result<(), ApplyError> {
    for checkpoint in missing {
        let (namespace, name) = key_of(&checkpoint);
        let api = Api::<DynamoCheckpoint>::namespaced(ctx.client.clone(), &namespace);
        let made = writes::create(&api, &checkpoint).await.map_err(failed("create", &checkpoint))?;
        if let Some(made) = made {
            info!(%namespace, %name, "checkpoint created");
            ctx.caches.checkpoints.note_written(made);
        }
    }
    Ok(())
}

/// Puts the hash of its identity on a checkpoint that was made by hand.
pub(super) async fn label(
    ctx: &Context,
    checkpoint: &DynamoCheckpoint,
    hash: &str,
) -> Result<(), ApplyError> {
    let known = checkpoint.metadata.labels.as_ref().and_then(|all| all.get(labels::CHECKPOINT_HASH));
    if known.is_some_and(|known| known == hash) {
        return Ok(());
    }
    let (namespace, name) = key_of(checkpoint);
    // The UID binds the change to this very object.
    let change =
        json!({"metadata": {"uid": checkpoint.metadata.uid, "labels": {labels::CHECKPOINT_HASH: hash}}});
    let api = Api::<DynamoCheckpoint>::namespaced(ctx.client.clone(), &namespace);
    let labelled = writes::merge(&api, &name, &change).await.map_err(failed("label", checkpoint))?;
    ctx.caches.checkpoints.note_written(labelled);
    Ok(())
}

pub(super) async fn make_job(
    ctx: &Context,
    checkpoint: &DynamoCheckpoint,
    config: &CheckpointConfig,
) -> Result<(), ApplyError> {
    let job = build_job(checkpoint, config);
    ctx.applier.apply(&ctx.caches.jobs, job, &owner_of(checkpoint)).await.map(drop)
}
