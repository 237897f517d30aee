//! The Ingress of a component (`workload.md` section 9), and what it shares with its VirtualService.
//! Whether an ingress controller acts on it is not known here.

use std::collections::BTreeMap;

use dynamo_api::{labels, v1alpha1::IngressSpec};
use k8s_openapi::{
    api::networking::v1::{
        HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
        IngressTLS, ServiceBackendPort,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{pod, service};
use crate::{config::OperatorConfig, validate::ValidatedComponent};

/// What follows the host unless its user says otherwise (`api.md` section 5, IngressSpec).
const DEFAULT_SUFFIX: &str = "local";
/// Every path of the host.
pub(super) const ROOT: &str = "/";

/// The class of the Ingress that is asked for; without one none is made.
pub(crate) fn class_name(ingress: &IngressSpec) -> Option<&str> {
    let class = ingress.ingress_controller_class_name.as_deref().filter(|class| !class.is_empty())?;
    ingress.enabled.then_some(class)
}

/// The name under which a component is exposed.
pub(crate) fn host_name(ingress: &IngressSpec) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let suffix = ingress.host_suffix.as_deref().filter(|suffix| !suffix.is_empty()).unwrap_or(DEFAULT_SUFFIX);
    format!("{}{}.{suffix}", text(&ingress.host_prefix), text(&ingress.host))
}

pub(super) fn build_ingress(component: &ValidatedComponent<'_>, config: &OperatorConfig) -> Option<Ingress> {
    let ingress = component.spec.ingress.as_ref()?;
    let class = class_name(ingress)?;
    let host = host_name(ingress);
    let mut metadata = build_metadata(component, ingress);
    for (key, value) in &config.ingress.annotations {
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let path = HTTPIngressPath {
        path: Some(ROOT.to_owned()),
        path_type: "Prefix".to_owned(),
        backend: IngressBackend {
            service: Some(IngressServiceBackend {
                name: component.name.to_owned(),
                port: Some(ServiceBackendPort {
                    number: Some(service::port_number(component.component_type)),
                    name: None,
                }),
            }),
            ..IngressBackend::default()
        },
    };
    Some(Ingress {
        metadata,
        spec: Some(k8s_openapi::api::networking::v1::IngressSpec {
            ingress_class_name: Some(class.to_owned()),
            rules: Some(vec![IngressRule {
                host: Some(host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls: ingress.tls.as_ref().map(|tls| {
                vec![IngressTLS { hosts: Some(vec![host]), secret_name: tls.secret_name.clone() }]
            }),
            ..k8s_openapi::api::networking::v1::IngressSpec::default()
        }),
        status: None,
    })
}

/// Name, labels and annotations of a route. The component's own labels win over the user's: the operator finds its
/// routes by them.
pub(super) fn build_metadata(component: &ValidatedComponent<'_>, ingress: &IngressSpec) -> ObjectMeta {
    let mut own = pod::component_labels(component);
    // A model is found by its pods, never by a route.
    own.remove(labels::BASE_MODEL_HASH);
    let mut all = ingress.labels.clone();
    all.extend(own);
    let annotations: &BTreeMap<String, String> = &ingress.annotations;
    ObjectMeta {
        name: Some(component.name.to_owned()),
        namespace: Some(component.namespace.to_owned()),
        labels: Some(all),
        annotations: (!annotations.is_empty()).then(|| annotations.clone()),
        ..ObjectMeta::default()
    }
}
