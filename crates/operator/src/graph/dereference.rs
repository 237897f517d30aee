//! What the cluster says about a graph before it is rendered. Reads of caches only.

use dynamo_api::{
    conditions::{TRUE, types},
    labels::{self, annotations},
    v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment},
};
use dynamo_kubekit::{apply::is_orphan, cache::controller_of};
use dynamo_render::{
    GraphFacts,
    credentials::Credentials,
    facts::{LiveComponent, Origin},
    names,
};
use kube::Resource;

use crate::{accounts::fallback, checkpoint, context::Context, registry};

pub(super) fn dereference(
    ctx: &Context,
    dgd: &DynamoGraphDeployment,
    credentials: Credentials,
) -> GraphFacts {
    let namespace = dgd.metadata.namespace.as_deref().unwrap_or_default();
    let name = dgd.metadata.name.as_deref().unwrap_or_default();
    let mut facts = GraphFacts {
        pull_secrets: registry::pull_secrets(&ctx.caches.registries, namespace),
        component_account: fallback::first(&ctx.caches.pod_accounts, namespace),
        credentials,
        ..GraphFacts::default()
    };
    for (service, spec) in &dgd.spec.services {
        let child = names::component(name, service);
        if let Some(dcd) = ctx.caches.components.get(namespace, &child).filter(|dcd| is_its(&**dcd, dgd)) {
            let said = &dcd.spec.shared.annotations;
            let live = LiveComponent {
                restarted_at: said.get(annotations::RESTART_AT).cloned(),
                ready: is_ready(&dcd),
            };
            facts.components.insert(service.clone(), live);
            facts.origin = Some(Origin(said.get(annotations::ORIGIN_VERSION).cloned()));
        }
        let adapter = ctx.caches.adapters.get(namespace, &child).filter(|adapter| is_its(&**adapter, dgd));
        if let Some(replicas) = adapter.and_then(|adapter| adapter.spec.replicas) {
            facts.adapter_replicas.insert(service.clone(), replicas);
        }
        let checkpoint = spec.checkpoint.as_ref();
        if let Some(found) = checkpoint.and_then(|asked| checkpoint::found(ctx, namespace, asked)) {
            facts.checkpoints.insert(service.clone(), found);
        }
    }
    facts
}

/// Whether a child belongs to the graph, or was left behind by one of its name and will be taken up again.
fn is_its<K: Resource>(child: &K, dgd: &DynamoGraphDeployment) -> bool {
    match controller_of(child) {
        Some(owner) => Some(&owner.uid) == dgd.metadata.uid.as_ref(),
        None => {
            let label = child.meta().labels.as_ref().and_then(|all| all.get(labels::GRAPH_NAME));
            is_orphan(child) && label == dgd.metadata.name.as_ref()
        }
    }
}

/// Whether a component is available on its newest generation.
pub(super) fn is_ready(dcd: &DynamoComponentDeployment) -> bool {
    let Some(status) = &dcd.status else { return false };
    let available = status.conditions.iter().find(|condition| condition.type_ == types::AVAILABLE);
    status.observed_generation >= dcd.metadata.generation
        && available.is_some_and(|condition| condition.status == TRUE)
}
