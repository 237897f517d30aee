//! The Ingress of a component (`workload.md` section 9).
//! Whether an ingress controller acts on it is not known here.

use k8s_openapi::api::networking::v1::Ingress;

use crate::{config::OperatorConfig, validate::ValidatedComponent};

pub(super) fn build_ingress(_: &ValidatedComponent<'_>, _: &OperatorConfig) -> Option<Ingress> {
    None
}
