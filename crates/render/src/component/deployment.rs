//! The Deployment of a component (`workload.md` section 8).
//! Replicas and strategy here; the pod is a module of its own.

use std::collections::BTreeMap;

use dynamo_api::labels::{self, annotations};
use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{BuildError, pod};
use crate::{config::OperatorConfig, facts::Facts, validate::ValidatedComponent};

const DEFAULT_BUDGET: &str = "25%";

pub(super) fn build_deployment(
    component: &ValidatedComponent<'_>,
    config: &OperatorConfig,
    facts: &Facts,
) -> Result<Deployment, BuildError> {
    Ok(Deployment {
        metadata: ObjectMeta {
            name: Some(component.name.to_owned()),
            namespace: Some(component.namespace.to_owned()),
            labels: Some(pod::component_labels(component)),
            annotations: Some(component_annotations(component)),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(component.spec.replicas.unwrap_or(1)),
            selector: LabelSelector {
                match_labels: Some(BTreeMap::from([(
                    labels::SELECTOR.to_owned(),
                    component.name.to_owned(),
                )])),
                ..LabelSelector::default()
            },
            strategy: Some(build_strategy(component)),
            template: pod::build_template(component, config, facts)?,
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}

/// Annotations of the Deployment and the Service: the component's, its pods', its base model
/// (`workload.md` section 7).
pub(super) fn component_annotations(component: &ValidatedComponent<'_>) -> BTreeMap<String, String> {
    let mut all = component.spec.annotations.clone();
    if let Some(extra) = &component.spec.extra_pod_metadata {
        all.extend(extra.annotations.clone());
    }
    if let Some(model) = pod::base_model(component) {
        all.insert(annotations::BASE_MODEL.to_owned(), model.to_owned());
    }
    all
}

fn build_strategy(component: &ValidatedComponent<'_>) -> DeploymentStrategy {
    let said = component_annotations(component);
    if said.get(annotations::DEPLOYMENT_STRATEGY).map(String::as_str) == Some("Recreate") {
        return DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
    }
    let budget = |key: &str| {
        let text = said.get(key).map_or(DEFAULT_BUDGET, String::as_str);
        Some(text.parse().map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int))
    };
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: budget(annotations::MAX_SURGE),
            max_unavailable: budget(annotations::MAX_UNAVAILABLE),
        }),
    }
}
