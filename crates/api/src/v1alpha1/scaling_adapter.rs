//! DynamoGraphDeploymentScalingAdapter (`api.md` 8): the scale of one service, for autoscalers and people.
//! Data only: who takes over the number of replicas is the controller's.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lenient::{self, optional_spec};

/// Spec defines the desired scale of a service.
#[allow(clippy::duplicated_attributes, reason = "printer columns repeat their keys")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nvidia.com",
    version = "v1alpha1",
    kind = "DynamoGraphDeploymentScalingAdapter",
    plural = "dynamographdeploymentscalingadapters",
    shortname = "dgdsa",
    namespaced,
    status = "DynamoGraphDeploymentScalingAdapterStatus",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    derive = "Default",
    derive = "PartialEq",
    doc = "DynamoGraphDeploymentScalingAdapter is the scale of one service of an inference graph.",
    printcolumn(
        name = "DGD",
        type_ = "string",
        json_path = ".spec.dgdRef.name",
        description = "DynamoGraphDeployment name"
    ),
    printcolumn(
        name = "SERVICE",
        type_ = "string",
        json_path = ".spec.dgdRef.serviceName",
        description = "Service name"
    ),
    printcolumn(
        name = "REPLICAS",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "Current replicas"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct DynamoGraphDeploymentScalingAdapterSpec {
    /// Replicas the service shall have; autoscalers and `kubectl scale` write it.
    // None only in an object without spec: it asks for nothing, least of all for zero replicas.
    #[serde(deserialize_with = "lenient::int32", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("x-required" = true))]
    pub replicas: Option<i32>,
    /// The service.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(extend("x-required" = true))]
    pub dgd_ref: GraphServiceRef,
}

optional_spec!(DynamoGraphDeploymentScalingAdapterSpec);

/// A service of a graph in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GraphServiceRef {
    /// Name of the DynamoGraphDeployment.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(length(min = 1), extend("x-required" = true))]
    pub name: String,
    /// Key of the service in spec.services, as it is written there.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(length(min = 1), extend("x-required" = true))]
    pub service_name: String,
}

/// Status is the observed scale of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DynamoGraphDeploymentScalingAdapterStatus {
    /// Replicas of the service.
    #[serde(deserialize_with = "lenient::int32", skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Label selector of the pods of the service, as text, for autoscalers.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// When the adapter last changed the graph.
    #[serde(deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub last_scale_time: Option<Time>,
}
