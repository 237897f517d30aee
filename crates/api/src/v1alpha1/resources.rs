//! Resources of a service's main container (`api.md` 5, Resources), in the short form of the manifests.
//! Values stay text: whether they are quantities is for validation to say.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lenient;

/// Requests, limits and claims of the main container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// The least the container needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceItem>,
    /// The most the container gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceItem>,
    /// Resource claims of the pod that the container uses.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ResourceClaim>,
}

/// Amounts, each a quantity in quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceItem {
    /// CPU, for example "500m" or "2".
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory, for example "4Gi".
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Number of GPUs of one node.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Resource name of the GPUs, for example gpu.intel.com/xe; nvidia.com/gpu if absent.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub gpu_type: Option<String>,
    /// Other resources by name.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, String>,
}

/// A resource claim of the pod that the main container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceClaim {
    /// Name of an entry of extraPodSpec.resourceClaims.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// Name of one request of that claim; all of them if absent.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}
