//! The Service of a component (`workload.md` section 9): its address, and under Kubernetes discovery the source of
//! the EndpointSlices that say which pods are ready. One per component; see D-001 of the deviations list.

use std::collections::BTreeMap;

use dynamo_api::labels;
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use super::{ComponentType, defaults, deployment, pod};
use crate::{
    config::{DiscoveryBackend, OperatorConfig},
    graph::effective_backend,
    validate::ValidatedComponent,
};

pub(super) fn build_service(component: &ValidatedComponent<'_>, config: &OperatorConfig) -> Service {
    let mut service_labels = pod::component_labels(component);
    let backend = effective_backend(Some(&component.spec.annotations), config);
    if backend == DiscoveryBackend::Kubernetes.as_str() {
        service_labels.insert(labels::DISCOVERY_BACKEND.to_owned(), backend.to_owned());
        service_labels.insert(labels::DISCOVERY_ENABLED.to_owned(), "true".to_owned());
    }
    Service {
        metadata: ObjectMeta {
            name: Some(component.name.to_owned()),
            namespace: Some(component.namespace.to_owned()),
            labels: Some(service_labels),
            annotations: Some(deployment::component_annotations(component)),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(build_selector(component)),
            ports: Some(vec![build_port(component.component_type)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn build_selector(component: &ValidatedComponent<'_>) -> BTreeMap<String, String> {
    let keys = [
        (labels::COMPONENT_TYPE, component.spec.component_type.as_deref()),
        (labels::DYNAMO_NAMESPACE, Some(component.dynamo_namespace)),
        (labels::COMPONENT, component.spec.service_name.as_deref()),
    ];
    // Pods of an untyped component lack the type label: a selector with an empty value would find none of them.
    let keys =
        keys.into_iter().filter_map(|(key, value)| Some((key, value.filter(|text| !text.is_empty())?)));
    keys.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The number of the port of a component's Service.
pub(super) fn port_number(component_type: ComponentType) -> i32 {
    build_port(component_type).port
}

fn build_port(component_type: ComponentType) -> ServicePort {
    let (name, number, target) = match component_type {
        ComponentType::Frontend => ("http", defaults::HTTP_PORT, IntOrString::String("http".to_owned())),
        ComponentType::Epp => ("grpc", defaults::EPP_PORT, IntOrString::Int(defaults::EPP_PORT)),
        _ => ("system", defaults::SYSTEM_PORT, IntOrString::String("system".to_owned())),
    };
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(target),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
