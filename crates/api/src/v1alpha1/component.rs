//! DynamoComponentDeployment (`api.md` 4): one service of a graph, or one written by hand.
//! Data only: admission and rendering decide what it means.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    BackendFramework, DynamoComponentDeploymentStatus, SharedSpec,
    lenient::{self, optional_spec},
};

/// Spec defines the desired state of this component.
#[allow(clippy::duplicated_attributes, reason = "printer columns repeat their keys")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nvidia.com",
    version = "v1alpha1",
    kind = "DynamoComponentDeployment",
    plural = "dynamocomponentdeployments",
    shortname = "dcd",
    namespaced,
    status = "DynamoComponentDeploymentStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "DynamoComponentDeployment is one service of an inference graph.",
    printcolumn(
        name = "DynamoComponent",
        type_ = "string",
        json_path = ".spec.dynamoComponent",
        description = "Dynamo component"
    ),
    printcolumn(
        name = "Available",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Available')].status",
        description = "Available"
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
pub struct DynamoComponentDeploymentSpec {
    /// Backend of the component when its command does not tell it. Immutable.
    #[serde(deserialize_with = "lenient::choice", skip_serializing_if = "Option::is_none")]
    pub backend_framework: Option<BackendFramework>,
    /// Name of the Dynamo component, for display only: the documentation lists it, nothing reads it.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub dynamo_component: Option<String>,
    /// Everything a service of a graph can say, side by side with the keys above.
    #[serde(flatten)]
    pub shared: SharedSpec,
}

optional_spec!(DynamoComponentDeploymentSpec);
