//! Rules of a whole graph: its services, the names derived from them, and what they need of the cluster.
//! What comes out is known to render.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::{DynamoGraphDeployment, SharedSpec};

use super::{FieldError, FieldErrors, component};
use crate::{
    config::{DiscoveryBackend, OperatorConfig},
    graph::effective_backend,
    names,
};

/// A graph that met every rule.
#[derive(Debug, Clone)]
pub struct ValidatedGraph<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub graph: &'a DynamoGraphDeployment,
    pub services: &'a BTreeMap<String, SharedSpec>,
}

/// Checks a graph.
///
/// # Errors
/// Every broken rule, with paths under `spec` such as `spec.services[Worker].replicas`.
pub fn graph<'a>(
    dgd: &'a DynamoGraphDeployment,
    config: &OperatorConfig,
) -> Result<ValidatedGraph<'a>, FieldErrors> {
    let mut errors = FieldErrors::default();
    let name = dgd.metadata.name.as_deref().unwrap_or_default();
    let namespace = dgd.metadata.namespace.as_deref().unwrap_or_default();
    let spec = &dgd.spec;
    if spec.services.is_empty() {
        errors.push(FieldError::missing("spec.services", "must have at least one service"));
    }
    if spec.services.values().any(|service| !service.global_dynamo_namespace) {
        errors.check(names::check_label_value("metadata.name", &names::dynamo_namespace(namespace, name)));
    }
    if effective_backend(dgd.metadata.annotations.as_ref(), config) == DiscoveryBackend::Kubernetes.as_str() {
        errors.check(names::check_label_value("metadata.name", &names::discovery_account(name)));
    }
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for (service, shared) in &spec.services {
        let field = format!("spec.services[{service}]");
        let derived = names::component(name, service);
        errors.check(names::check_label_value(&field, service));
        errors.check(names::check_service_name(&field, &derived));
        if let Some(other) = taken.insert(derived.clone(), service) {
            errors.push(FieldError::new(
                &field,
                derived,
                format!("is also the derived name of service {other}: names must differ in more than case"),
            ));
        }
        component::shared(&field, shared, spec.backend_framework.as_ref(), &mut errors);
    }
    errors.into_result(ValidatedGraph { name, namespace, graph: dgd, services: &spec.services })
}
