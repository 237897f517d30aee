//! The checkpoints that the services of a graph ask for and that do not exist yet (`workload.md` section 6.8).
//! They belong to nobody: other graphs use them, too, and they outlive the graph.

use std::collections::BTreeMap;

use dynamo_api::{
    labels,
    v1alpha1::{
        CheckpointIdentity, CheckpointJob, CheckpointMode, DynamoCheckpoint, DynamoCheckpointSpec,
        DynamoComponentDeployment,
    },
};
use k8s_openapi::{api::core::v1::PodTemplateSpec, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::{Wanted, wanted};
use crate::{
    backend,
    component::{ComponentType, pod::build_pod},
    config::OperatorConfig,
    facts::{Facts, GraphFacts},
    validate::{ValidatedComponent, ValidatedGraph},
};

/// One checkpoint per identity that is asked for in mode Auto, sorted by name. `components` are those of the graph. A
/// pod that cannot be rendered makes none: its component says why.
pub(crate) fn build_missing(
    graph: &ValidatedGraph<'_>,
    components: &[DynamoComponentDeployment],
    config: &OperatorConfig,
    facts: &GraphFacts,
) -> Vec<DynamoCheckpoint> {
    if config.checkpoint.is_none() {
        return Vec::new();
    }
    let mut by_hash = BTreeMap::new();
    for component in components {
        let service = component.spec.shared.service_name.as_deref().unwrap_or_default();
        let Some((hash, identity)) = asked_for(component) else { continue };
        if !facts.checkpoints.contains_key(service)
            && !by_hash.contains_key(&hash)
            && let Some(checkpoint) = build(graph, component, (&hash, identity), config, facts)
        {
            by_hash.insert(hash, checkpoint);
        }
    }
    by_hash.into_values().collect()
}

/// Hash and identity of the checkpoint that is made for a component unless there is one.
fn asked_for(component: &DynamoComponentDeployment) -> Option<(String, &CheckpointIdentity)> {
    let asked = component.spec.shared.checkpoint.as_ref()?;
    match (wanted(asked)?, &asked.mode) {
        (Wanted::Identified(hash), CheckpointMode::Auto) => Some((hash, asked.identity.as_ref()?)),
        _ => None,
    }
}

fn build(
    graph: &ValidatedGraph<'_>,
    component: &DynamoComponentDeployment,
    (hash, identity): (&str, &CheckpointIdentity),
    config: &OperatorConfig,
    facts: &GraphFacts,
) -> Option<DynamoCheckpoint> {
    static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();
    let spec = &component.spec.shared;
    let of_pod = ValidatedComponent {
        name: component.metadata.name.as_deref().unwrap_or_default(),
        namespace: graph.namespace,
        spec,
        metadata_labels: component.metadata.labels.as_ref().unwrap_or(&NO_LABELS),
        component_type: ComponentType::of(spec),
        backend: backend::of(spec, component.spec.backend_framework.as_ref()).ok().flatten(),
        graph: graph.name,
        dynamo_namespace: spec.dynamo_namespace.as_deref().unwrap_or_default(),
    };
    let known = Facts {
        pull_secrets: facts.pull_secrets.clone(),
        component_account: facts.component_account.clone(),
        credentials: facts.credentials.clone(),
        ..Facts::default()
    };
    let mut pod = build_pod(&of_pod, config, &known).ok()?;
    pod.restart_policy = Some("Never".to_owned());
    // The Job saves the first container, and sidecars stand before the engine in a pod of the component.
    pod.containers.rotate_right(1);
    let service = spec.service_name.clone().unwrap_or_default();
    Some(DynamoCheckpoint {
        metadata: ObjectMeta {
            name: Some(hash.to_owned()),
            namespace: Some(graph.namespace.to_owned()),
            labels: Some(BTreeMap::from([
                (labels::CHECKPOINT_HASH.to_owned(), hash.to_owned()),
                (labels::COMPONENT.to_owned(), service),
                (labels::GRAPH_NAME.to_owned(), graph.name.to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        spec: DynamoCheckpointSpec {
            identity: identity.clone(),
            job: CheckpointJob {
                pod_template_spec: PodTemplateSpec { metadata: None, spec: Some(pod) },
                ..CheckpointJob::default()
            },
        },
        status: None,
    })
}
