//! InferencePool of the Gateway API Inference Extension (`inference.networking.k8s.io/v1`).
//! Only the fields that the platform writes (`workload.md` section 11).

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Which pods a gateway may choose from, and who chooses.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "inference.networking.k8s.io",
    version = "v1",
    kind = "InferencePool",
    plural = "inferencepools",
    namespaced,
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct InferencePoolSpec {
    pub target_ports: Vec<PoolPort>,
    pub selector: InferencePoolSelector,
    pub endpoint_picker_ref: PickerReference,
}

/// A port of the pool's pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolPort {
    pub number: i32,
}

/// Labels of the pool's pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InferencePoolSelector {
    pub match_labels: BTreeMap<String, String>,
}

/// The Service of the endpoint picker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PickerReference {
    pub kind: String,
    pub name: String,
    pub port: PickerPort,
}

/// The port of the endpoint picker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PickerPort {
    pub number: i32,
}
