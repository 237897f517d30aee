//! From the objects of a namespace to the facts that rendering needs: which of them count, and what is taken from each.
//! Nothing is looked up here: whoever asks brings the objects, from a watch as the operator, from a list as the command
//! line.

use std::{collections::BTreeMap, sync::Arc};

use dynamo_api::{
    conditions::{TRUE, types},
    labels::{self, annotations},
    v1alpha1::{
        CheckpointPhase, DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment,
        DynamoGraphDeploymentScalingAdapter, ServiceCheckpointConfig,
    },
};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::PodSpec},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::Resource;

use crate::{
    checkpoint::{Wanted, identity_hash, wanted},
    credentials::Credentials,
    facts::{Facts, FoundCheckpoint, GraphFacts, LiveComponent, Origin},
    names,
};

/// The objects of one namespace.
pub trait Observed {
    fn component(&self, name: &str) -> Option<Arc<DynamoComponentDeployment>>;
    /// All of them, sorted by name.
    fn components(&self) -> Vec<Arc<DynamoComponentDeployment>>;
    fn adapter(&self, name: &str) -> Option<Arc<DynamoGraphDeploymentScalingAdapter>>;
    fn deployment(&self, name: &str) -> Option<Arc<Deployment>>;
    fn checkpoint(&self, name: &str) -> Option<Arc<DynamoCheckpoint>>;
    /// All of them, sorted by name.
    fn checkpoints(&self) -> Vec<Arc<DynamoCheckpoint>>;
    /// Names of the accounts with the label for pods that name none, sorted.
    fn pod_accounts(&self) -> Vec<String>;
    /// Names of registry Secrets by host, sorted.
    fn pull_secrets(&self) -> BTreeMap<String, Vec<String>>;
}

/// The facts about a graph.
pub fn graph_facts(
    observed: &impl Observed,
    dgd: &DynamoGraphDeployment,
    credentials: Credentials,
) -> GraphFacts {
    let name = dgd.metadata.name.as_deref().unwrap_or_default();
    let mut facts = GraphFacts {
        pull_secrets: observed.pull_secrets(),
        component_account: observed.pod_accounts().into_iter().next(),
        credentials,
        ..GraphFacts::default()
    };
    for (service, spec) in &dgd.spec.services {
        let child = names::component(name, service);
        if let Some(dcd) = observed.component(&child).filter(|dcd| is_child(&**dcd, dgd)) {
            let said = &dcd.spec.shared.annotations;
            let live = LiveComponent {
                restarted_at: said.get(annotations::RESTART_AT).cloned(),
                ready: is_ready(&dcd),
            };
            facts.components.insert(service.clone(), live);
            facts.origin = Some(Origin(said.get(annotations::ORIGIN_VERSION).cloned()));
        }
        let adapter = observed.adapter(&child).filter(|adapter| is_child(&**adapter, dgd));
        if let Some(replicas) = adapter.and_then(|adapter| adapter.spec.replicas) {
            facts.adapter_replicas.insert(service.clone(), replicas);
        }
        let checkpoint = spec.checkpoint.as_ref();
        if let Some(found) = checkpoint.and_then(|asked| find_checkpoint(observed, asked)) {
            facts.checkpoints.insert(service.clone(), found);
        }
    }
    facts
}

/// The facts about a component.
pub fn component_facts(
    observed: &impl Observed,
    dcd: &DynamoComponentDeployment,
    credentials: Credentials,
) -> Facts {
    let name = dcd.metadata.name.as_deref().unwrap_or_default();
    let mut pull_secrets = observed.pull_secrets();
    let labelled = observed.pod_accounts();
    let mut component_account = labelled.first().cloned();
    if let Some(live) = observed.deployment(name) {
        // Likewise their account, as long as it is one of those that are meant for them.
        let account = pod(&live).and_then(|pod| pod.service_account_name.clone());
        component_account = account.filter(|name| labelled.contains(name)).or(component_account);
        // Pods that run keep their order, whoever chose it: another order of the same Secrets would replace them all.
        let order = pull_secret_names(&live);
        for names in pull_secrets.values_mut() {
            names.sort_by_key(|name| order.iter().position(|known| known == name).unwrap_or(usize::MAX));
        }
    }
    Facts {
        pull_secrets,
        component_account,
        model_sharers: model_sharers(observed, dcd),
        checkpoint: dcd.spec.shared.checkpoint.as_ref().and_then(|asked| find_checkpoint(observed, asked)),
        credentials,
    }
}

fn pod(deployment: &Deployment) -> Option<&PodSpec> {
    deployment.spec.as_ref()?.template.spec.as_ref()
}

fn pull_secret_names(deployment: &Deployment) -> Vec<&str> {
    let secrets = pod(deployment).and_then(|pod| pod.image_pull_secrets.as_deref()).unwrap_or_default();
    secrets.iter().map(|secret| secret.name.as_str()).collect()
}

/// Whether a child belongs to the graph, or was left behind by one of its name and will be taken up again.
pub fn is_child<K: Resource>(child: &K, dgd: &DynamoGraphDeployment) -> bool {
    let meta = child.meta();
    match meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true)) {
        Some(owner) => Some(&owner.uid) == dgd.metadata.uid.as_ref(),
        None => {
            let has_owner = meta.owner_references.iter().flatten().next().is_some();
            let was_made =
                meta.annotations.as_ref().is_some_and(|all| all.contains_key(annotations::LAST_APPLIED_HASH));
            let label = meta.labels.as_ref().and_then(|all| all.get(labels::GRAPH_NAME));
            !has_owner && was_made && label == dgd.metadata.name.as_ref()
        }
    }
}

/// Whether a component is available on its newest generation.
#[must_use]
pub fn is_ready(dcd: &DynamoComponentDeployment) -> bool {
    let Some(status) = &dcd.status else { return false };
    let available = status.conditions.iter().find(|condition| condition.type_ == types::AVAILABLE);
    status.observed_generation >= dcd.metadata.generation
        && available.is_some_and(|condition| condition.status == TRUE)
}

/// Name of the model that a component serves; `None` also for one that is on its way out.
#[must_use]
pub fn served_model(dcd: &DynamoComponentDeployment) -> Option<&str> {
    let name = dcd.spec.shared.model_ref.as_ref().map(|model| model.name.as_str());
    name.filter(|name| !name.is_empty() && dcd.metadata.deletion_timestamp.is_none())
}

/// The other components of the namespace that serve the model of `dcd`, as owners of its Service.
fn model_sharers(observed: &impl Observed, dcd: &DynamoComponentDeployment) -> Vec<OwnerReference> {
    let Some(served) = served_model(dcd) else { return Vec::new() };
    observed
        .components()
        .into_iter()
        .filter(|other| other.metadata.uid != dcd.metadata.uid && served_model(other) == Some(served))
        .map(|other| OwnerReference { controller: None, ..owner_of(&*other) })
        .collect()
}

/// The controlling owner reference to `parent`.
pub fn owner_of<K: Resource<DynamicType = ()>>(parent: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: parent.meta().name.clone().unwrap_or_default(),
        uid: parent.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The checkpoint of the namespace that a service's settings lead to: by name, else by identity, whoever made it; of
/// several with one identity a ready one. The identity counts and not its label, which says the same once the
/// checkpoint was looked at.
pub fn find_checkpoint(observed: &impl Observed, asked: &ServiceCheckpointConfig) -> Option<FoundCheckpoint> {
    match wanted(asked)? {
        Wanted::Named(name) => observed.checkpoint(name).map(|checkpoint| fact(&checkpoint)),
        Wanted::Identified(hash) => {
            let all = observed.checkpoints().into_iter().map(|checkpoint| fact(&checkpoint));
            let mut same: Vec<FoundCheckpoint> = all.filter(|fact| fact.hash == hash).collect();
            // The order of the names stays within each half.
            same.sort_by_key(|fact| !fact.ready);
            same.into_iter().next()
        }
    }
}

fn fact(checkpoint: &DynamoCheckpoint) -> FoundCheckpoint {
    let phase = checkpoint.status.as_ref().and_then(|status| status.phase.as_ref());
    FoundCheckpoint {
        name: checkpoint.metadata.name.clone().unwrap_or_default(),
        hash: identity_hash(&checkpoint.spec.identity),
        ready: phase == Some(&CheckpointPhase::Ready),
    }
}
