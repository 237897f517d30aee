//! The headless Service of a model (`workload.md` section 9), by which DynamoModels find the pods that serve it.
//! One per model and namespace: every component that serves the model renders the same object and is an owner of it.

use std::collections::BTreeMap;

use dynamo_api::labels::{self, annotations};
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use super::{defaults, pod};
use crate::{facts::Facts, names, validate::ValidatedComponent};

pub(super) fn build_model_service(component: &ValidatedComponent<'_>, facts: &Facts) -> Option<Service> {
    let model = pod::base_model(component)?;
    let hash = BTreeMap::from([(labels::BASE_MODEL_HASH.to_owned(), names::model_hash(model))]);
    let mut all_labels = hash.clone();
    all_labels.insert(labels::PRODUCT_MANAGED_BY.to_owned(), labels::OPERATOR.to_owned());
    let sharers = &facts.model_sharers;
    Some(Service {
        metadata: ObjectMeta {
            name: Some(names::model_service(model)),
            namespace: Some(component.namespace.to_owned()),
            labels: Some(all_labels),
            annotations: Some(BTreeMap::from([(annotations::BASE_MODEL.to_owned(), model.to_owned())])),
            owner_references: (!sharers.is_empty()).then(|| sharers.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            selector: Some(hash),
            ports: Some(vec![ServicePort {
                name: Some("system".to_owned()),
                port: defaults::SYSTEM_PORT,
                // A number: pods of other components than workers have no port of that name.
                target_port: Some(IntOrString::Int(defaults::SYSTEM_PORT)),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}
