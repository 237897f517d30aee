//! The scaling adapters of a graph (`workload.md` section 14): one for each service whose number of replicas an
//! autoscaler may set. What an adapter does is not decided here.

use std::collections::BTreeMap;

use dynamo_api::{
    labels,
    v1alpha1::{
        DynamoGraphDeploymentScalingAdapter, DynamoGraphDeploymentScalingAdapterSpec, GraphServiceRef,
        SharedSpec,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{facts::GraphFacts, names, validate::ValidatedGraph};

/// Whether an adapter owns the replicas of a service.
#[must_use]
pub fn is_enabled(service: &SharedSpec) -> bool {
    service.scaling_adapter.as_ref().is_some_and(|adapter| adapter.enabled)
}

/// One adapter per service that asks for it. Its replicas are the graph's only while there is no adapter yet: from then
/// on they are those of whoever scales it.
#[must_use]
pub fn build_adapters(
    graph: &ValidatedGraph<'_>,
    facts: &GraphFacts,
) -> Vec<DynamoGraphDeploymentScalingAdapter> {
    let scaled = graph.services.iter().filter(|(_, spec)| is_enabled(spec));
    scaled.map(|(service, spec)| build_adapter(graph, service, spec, facts)).collect()
}

fn build_adapter(
    graph: &ValidatedGraph<'_>,
    service: &str,
    spec: &SharedSpec,
    facts: &GraphFacts,
) -> DynamoGraphDeploymentScalingAdapter {
    let replicas = facts.adapter_replicas.get(service).copied();
    DynamoGraphDeploymentScalingAdapter {
        metadata: ObjectMeta {
            name: Some(names::component(graph.name, service)),
            namespace: Some(graph.namespace.to_owned()),
            labels: Some(BTreeMap::from([
                (labels::COMPONENT.to_owned(), service.to_owned()),
                (labels::GRAPH_NAME.to_owned(), graph.name.to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        spec: DynamoGraphDeploymentScalingAdapterSpec {
            replicas: Some(replicas.or(spec.replicas).unwrap_or(1)),
            dgd_ref: GraphServiceRef { name: graph.name.to_owned(), service_name: service.to_owned() },
        },
        status: None,
    }
}
