//! Who uses a checkpoint (`workload.md` section 6.8): which one a service's settings lead to, and who is woken when one
//! comes, goes or gets on. Reads of caches only.

use dynamo_api::v1alpha1::{
    CheckpointPhase, DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment,
    ServiceCheckpointConfig, SharedSpec,
};
use dynamo_kubekit::{
    cache::{Cache, Change, Feed, reference},
    key_of,
};
use dynamo_render::{
    checkpoint::{Wanted, identity_hash, wanted},
    facts::FoundCheckpoint,
};

use crate::{context::Context, wiring::Trigger};

/// The checkpoint of the namespace that a service's settings lead to: by name, else by identity, whoever made it; of
/// several with one identity a ready one. The identity counts and not its label, which says the same once the
/// checkpoint was looked at.
pub(crate) fn found(
    ctx: &Context,
    namespace: &str,
    asked: &ServiceCheckpointConfig,
) -> Option<FoundCheckpoint> {
    let checkpoints = &ctx.caches.checkpoints;
    match wanted(asked)? {
        Wanted::Named(name) => checkpoints.get(namespace, name).map(|checkpoint| fact(&checkpoint)),
        Wanted::Identified(hash) => {
            let all = checkpoints.in_namespace(namespace).into_iter().map(|checkpoint| fact(&checkpoint));
            let mut same: Vec<FoundCheckpoint> = all.filter(|fact| fact.hash == hash).collect();
            // The order of the names stays within each half.
            same.sort_by_key(|fact| !fact.ready);
            same.into_iter().next()
        }
    }
}

fn fact(checkpoint: &DynamoCheckpoint) -> FoundCheckpoint {
    FoundCheckpoint {
        name: key_of(checkpoint).1,
        hash: identity_hash(&checkpoint.spec.identity),
        ready: phase(checkpoint) == Some(&CheckpointPhase::Ready),
    }
}

fn phase(checkpoint: &DynamoCheckpoint) -> Option<&CheckpointPhase> {
    checkpoint.status.as_ref()?.phase.as_ref()
}

/// Wakes the components and graphs that use a checkpoint when it comes, goes, or its phase changes.
pub(crate) fn wake_users(
    checkpoints: &mut Feed<DynamoCheckpoint>,
    components: (Cache<DynamoComponentDeployment>, Trigger<DynamoComponentDeployment>),
    graphs: (Cache<DynamoGraphDeployment>, Trigger<DynamoGraphDeployment>),
) {
    checkpoints.on_change(move |change| {
        if let Change::Applied { now, before: Some(before) } = change
            && phase(now) == phase(before)
            && now.metadata.uid == before.metadata.uid
        {
            return;
        }
        let (namespace, name) = key_of(&**change.object());
        let hash = identity_hash(&change.object().spec.identity);
        let uses = |spec: &SharedSpec| match spec.checkpoint.as_ref().and_then(wanted) {
            Some(Wanted::Named(named)) => named == name,
            Some(Wanted::Identified(identified)) => identified == hash,
            None => false,
        };
        for dcd in components.0.in_namespace(&namespace).iter().filter(|dcd| uses(&dcd.spec.shared)) {
            components.1.send(reference(&**dcd));
        }
        for dgd in graphs.0.in_namespace(&namespace).iter().filter(|dgd| dgd.spec.services.values().any(uses))
        {
            graphs.1.send(reference(&**dgd));
        }
    });
}
