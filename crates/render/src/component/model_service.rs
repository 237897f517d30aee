//! The headless Service of a model (`workload.md` section 9), by which DynamoModels find the pods that serve it.
//! One per model and namespace: every component that serves the model renders the same object and is an owner of it.

use k8s_openapi::api::core::v1::Service;

use crate::{facts::Facts, validate::ValidatedComponent};

pub(super) fn build_model_service(_: &ValidatedComponent<'_>, _: &Facts) -> Option<Service> {
    None
}
