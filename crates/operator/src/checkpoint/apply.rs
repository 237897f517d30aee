//! Writes of checkpoints: the ones that graphs lack, the label by which one is found, and the Job that makes it.
//! A Job that exists is left as it is: its pods cannot be changed.

use dynamo_api::{labels, v1alpha1::DynamoCheckpoint};
use dynamo_kubekit::{apply::ApplyError, key_of};
use dynamo_render::{checkpoint::build_job, config::CheckpointConfig};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tracing::info;

use crate::context::{Context, FIELD_MANAGER, failed, owner_of};

/// Makes the checkpoints that a graph lacks. They belong to nobody; one that somebody else made meanwhile is used as it
/// is.
///
/// # Errors
/// [`ApplyError::Api`] of the first that could not be made.
pub(crate) async fn ensure(ctx: &Context, missing: Vec<DynamoCheckpoint>) -> Result<(), ApplyError> {
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    for checkpoint in missing {
        let (namespace, name) = key_of(&checkpoint);
        let api = Api::<DynamoCheckpoint>::namespaced(ctx.client.clone(), &namespace);
        match api.create(&params, &checkpoint).await {
            Ok(made) => {
                info!(%namespace, %name, "checkpoint created");
                note(ctx, made);
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(failed("create", &checkpoint)(error)),
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
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let api = Api::<DynamoCheckpoint>::namespaced(ctx.client.clone(), &namespace);
    let labelled =
        api.patch(&name, &params, &Patch::Merge(&change)).await.map_err(failed("label", checkpoint))?;
    note(ctx, labelled);
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

fn note(ctx: &Context, mut written: DynamoCheckpoint) {
    written.metadata.managed_fields = None;
    ctx.caches.checkpoints.note_written(written);
}
