//! What the cluster says about a graph before it is rendered. Reads of caches only.

use dynamo_api::{
    conditions::{TRUE, types},
    labels::annotations,
    v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment},
};
use dynamo_render::{GraphFacts, facts::LiveComponent};

use crate::{accounts::fallback, checkpoint, context::Context, registry};

pub(super) fn dereference(ctx: &Context, dgd: &DynamoGraphDeployment) -> GraphFacts {
    let uid = dgd.metadata.uid.as_deref().unwrap_or_default();
    let components = ctx.caches.components.owned_by(uid).into_iter();
    let components = components.filter_map(|dcd| {
        let shared = &dcd.spec.shared;
        let live = LiveComponent {
            restarted_at: shared.annotations.get(annotations::RESTART_AT).cloned(),
            ready: is_ready(&dcd),
        };
        Some((shared.service_name.clone()?, live))
    });
    let adapters = ctx.caches.adapters.owned_by(uid).into_iter();
    let adapter_replicas = adapters
        .filter_map(|adapter| Some((adapter.spec.dgd_ref.service_name.clone(), adapter.spec.replicas?)));
    let namespace = dgd.metadata.namespace.as_deref().unwrap_or_default();
    let checkpoints = dgd.spec.services.iter().filter_map(|(service, spec)| {
        Some((service.clone(), checkpoint::found(ctx, namespace, spec.checkpoint.as_ref()?)?))
    });
    GraphFacts {
        components: components.collect(),
        adapter_replicas: adapter_replicas.collect(),
        checkpoints: checkpoints.collect(),
        pull_secrets: registry::pull_secrets(&ctx.caches.registries, namespace),
        component_account: fallback::first(&ctx.caches.pod_accounts, namespace),
    }
}

/// Whether a component is available on its newest generation.
pub(super) fn is_ready(dcd: &DynamoComponentDeployment) -> bool {
    let Some(status) = &dcd.status else { return false };
    let available = status.conditions.iter().find(|condition| condition.type_ == types::AVAILABLE);
    status.observed_generation >= dcd.metadata.generation
        && available.is_some_and(|condition| condition.status == TRUE)
}
