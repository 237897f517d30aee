//! What a graph with an endpoint picker owns beside it: the picker's configuration and the pool that it picks from
//! (`workload.md` section 11). The picker's pods are a component like any other.

use dynamo_api::foreign::InferencePool;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::validate::ValidatedGraph;

/// Objects of the endpoint picker.
#[derive(Debug, Clone, PartialEq)]
pub struct PickerObjects {
    /// Absent when the graph names a ConfigMap of its own.
    pub config: Option<ConfigMap>,
    pub pool: InferencePool,
}

/// The objects of the graph's picker; `None` without one.
#[must_use]
pub fn build_picker(_: &ValidatedGraph<'_>) -> Option<PickerObjects> {
    None
}
