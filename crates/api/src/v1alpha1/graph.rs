//! DynamoGraphDeployment (`api.md` 3): one inference graph, a map of services.
//! Data only: admission and rendering decide what it means.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::EnvVar, apimachinery::pkg::api::resource::Quantity};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    BackendFramework, DynamoGraphDeploymentStatus, SharedSpec,
    lenient::{self, optional_spec},
    open_enum::open_enum,
};

/// Spec defines the desired state of this graph.
#[allow(clippy::duplicated_attributes, reason = "printer columns repeat their keys")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nvidia.com",
    version = "v1alpha1",
    kind = "DynamoGraphDeployment",
    plural = "dynamographdeployments",
    shortname = "dgd",
    namespaced,
    status = "DynamoGraphDeploymentStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "DynamoGraphDeployment is one inference graph: a set of services that are deployed together.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Ready status of the graph deployment"
    ),
    printcolumn(
        name = "Backend",
        type_ = "string",
        json_path = ".spec.backendFramework",
        description = "Backend framework (sglang, vllm, trtllm)"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct DynamoGraphDeploymentSpec {
    /// The claims that services mount by name.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub pvcs: Vec<Pvc>,
    /// The services of the graph, by name.
    #[serde(deserialize_with = "lenient::map", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 25))]
    pub services: BTreeMap<String, SharedSpec>,
    /// Environment variables of every service. A service's own entry of the same name wins.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub envs: Vec<EnvVar>,
    /// Backend of the worker services whose command does not tell it. Immutable.
    #[serde(deserialize_with = "lenient::choice", skip_serializing_if = "Option::is_none")]
    pub backend_framework: Option<BackendFramework>,
    /// Requests a restart of the services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartSpec>,
}

optional_spec!(DynamoGraphDeploymentSpec);

/// A persistent volume claim in the graph's namespace, created with the graph or found there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "message": "When create is true, size, storageClass, and volumeAccessMode are required",
    "rule": "!has(self.create) || self.create == false || (has(self.size) && has(self.storageClass) && has(self.volumeAccessMode))",
}]))]
pub struct Pvc {
    /// True creates the claim if it is absent; the graph then owns it. Otherwise it must exist.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    pub create: bool,
    /// Name of the claim.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// Storage class of a created claim. Required when create is true.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Storage request of a created claim, as a quantity. Required when create is true.
    #[serde(deserialize_with = "lenient::quantity", skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// The access mode of a created claim. Required when create is true.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub volume_access_mode: Option<String>,
}

/// A request to restart services, told apart from the last one by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartSpec {
    /// Any text; changing it restarts the services.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(length(min = 1), extend("x-required" = true))]
    pub id: String,
    /// How the services are restarted; sequentially, in the order of their names, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RestartStrategy>,
}

/// How services are restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartStrategy {
    /// One after the other, or all at once.
    #[serde(rename = "type")]
    #[schemars(extend("x-default" = "Sequential"))]
    pub type_: RestartStrategyType,
    /// Order of a sequential restart; must name every service.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
}

open_enum! {
    /// How a restart walks through the services.
    RestartStrategyType {
        /// One service at a time.
        Sequential = "Sequential",
        /// All services at once.
        Parallel = "Parallel",
    } default Self::Sequential
}
