//! Who is woken when a checkpoint comes, goes or gets on (`workload.md` section 6.8). Which one a service's settings lead
//! to is said in `dynamo-render`.

use dynamo_api::v1alpha1::{
    CheckpointPhase, DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment, SharedSpec,
};
use dynamo_kubekit::{
    cache::{Cache, Change, Feed, reference},
    key_of,
};
use dynamo_render::checkpoint::{Wanted, identity_hash, wanted};

use crate::wiring::Trigger;

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
