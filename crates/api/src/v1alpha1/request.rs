//! DynamoGraphDeploymentRequest (`api.md` 7): profile a model for a service level and make a graph of the result.
//! Data only: profiling and deploying are the controller's.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{ResourceRequirements, Toleration},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    BackendFramework,
    lenient::{self, optional_spec},
    open_enum::open_enum,
};

/// Spec defines what is profiled and what becomes of the result.
#[allow(clippy::duplicated_attributes, reason = "printer columns repeat their keys")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nvidia.com",
    version = "v1alpha1",
    kind = "DynamoGraphDeploymentRequest",
    plural = "dynamographdeploymentrequests",
    shortname = "dgdr",
    namespaced,
    status = "DynamoGraphDeploymentRequestStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "DynamoGraphDeploymentRequest asks for an inference graph that meets a service level: it is profiled, generated and, if wanted, deployed.",
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Backend", type_ = "string", json_path = ".status.backend"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "DGD-State", type_ = "string", json_path = ".status.deployment.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct DynamoGraphDeploymentRequestSpec {
    /// The model, for example Qwen/Qwen3-0.6B. Goes into the profiling configuration as deployment.model.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub model: String,
    /// The backend to profile. Goes into the profiling configuration as engine.backend.
    #[schemars(extend("x-required" = true, "enum" = ["vllm", "sglang", "trtllm"]))]
    pub backend: BackendFramework,
    /// True takes the graph of simulated engines, which need no GPU, from the result.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    #[schemars(extend("x-default" = false))]
    pub use_mocker: bool,
    /// True lets the profiler find out the GPUs of the nodes. Needs a cluster-wide operator.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    #[schemars(extend("x-default" = false))]
    pub enable_gpu_discovery: bool,
    /// How the model is profiled.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(extend("x-required" = true))]
    pub profiling_config: ProfilingConfig,
    /// True creates the generated graph; otherwise it is only stored in the status.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    #[schemars(extend("x-default" = false))]
    pub auto_apply: bool,
    /// Changes to the graph that is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_overrides: Option<DeploymentOverrides>,
}

optional_spec!(DynamoGraphDeploymentRequestSpec);

/// How a model is profiled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProfilingConfig {
    /// Configuration of the profiler, passed on as it is but for what the request itself sets. Required, may be
    /// empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::open_object")]
    pub config: Option<Value>,
    /// A graph to begin with, as the profiler's engine.config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<BaseGraphRef>,
    /// Image of the profiler.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub profiler_image: String,
    /// Claim in the same namespace that keeps everything the profiler writes; without one only the results are kept.
    #[serde(
        rename = "outputPVC",
        deserialize_with = "lenient::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub output_pvc: Option<String>,
    /// Resources of the profiler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Tolerations of the profiler's pod.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
}

/// Key of a ConfigMap that holds the manifest of a DynamoGraphDeployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BaseGraphRef {
    /// Name of the ConfigMap.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// Key in it.
    #[serde(deserialize_with = "BaseGraphRef::key")]
    #[schemars(extend("x-default" = BaseGraphRef::DEFAULT_KEY))]
    pub key: String,
}

impl BaseGraphRef {
    const DEFAULT_KEY: &str = "disagg.yaml";

    fn key<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
        Ok(lenient::text(d)?.unwrap_or_else(|| Self::DEFAULT_KEY.to_owned()))
    }
}

impl Default for BaseGraphRef {
    fn default() -> Self {
        Self { name: String::new(), key: Self::DEFAULT_KEY.to_owned() }
    }
}

/// Changes to the graph that is created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentOverrides {
    /// Name of the graph; that of the generated one if absent.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Namespace of the graph; that of the request if absent.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels of the graph, merged over the generated ones.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the graph, merged over the generated ones.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Image of the workers, of the graphs that are profiled and of the final one.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub workers_image: Option<String>,
}

/// Status is the observed state of this request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DynamoGraphDeploymentRequestStatus {
    /// One word: Pending, Profiling, Deploying, Ready, DeploymentDeleted or Failed; absent until the request is
    /// accepted.
    #[serde(deserialize_with = "lenient::choice", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub state: Option<RequestState>,
    /// Backend of the request, for display.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Generation of the spec that was accepted.
    #[serde(deserialize_with = "lenient::integer", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions of the request: Validation, Profiling, SpecGenerated, DeploymentReady.
    #[serde(deserialize_with = "lenient::conditions", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Where the results are, as configmap/NAME.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub profiling_results: Option<String>,
    /// The generated DynamoGraphDeployment, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::embedded_object")]
    pub generated_deployment: Option<Value>,
    /// The graph that was created, with autoApply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<RequestDeploymentStatus>,
}

open_enum! {
    /// Where a request stands. The default is the empty, unknown one.
    RequestState {
        /// Accepted.
        Pending = "Pending",
        /// The profiler runs.
        Profiling = "Profiling",
        /// The graph is being created or not yet ready.
        Deploying = "Deploying",
        /// The graph is ready, or generated if it is not to be created.
        Ready = "Ready",
        /// Someone deleted the graph; it is not created again.
        DeploymentDeleted = "DeploymentDeleted",
        /// Given up.
        Failed = "Failed",
    } default Self::Other(String::new())
}

/// The graph that a request created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestDeploymentStatus {
    /// Name of the graph.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Namespace of the graph.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The state that the graph's status shows.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// True once the graph was created; it is never created again.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    pub created: bool,
}
