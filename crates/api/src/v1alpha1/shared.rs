//! The shared spec (`api.md` 5): what a service of a graph and a component deployment have in common.
//! Data only; the meaning of each field is the renderer's.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec},
        core::v1::{EnvVar, Probe},
    },
    apimachinery::pkg::api::resource::Quantity,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    EppConfig, ExtraPodMetadata, ExtraPodSpec, Resources, ServiceCheckpointConfig, lenient,
    open_enum::open_enum,
};

open_enum! {
    /// An inference engine the platform knows how to run. The default is the empty, unknown one.
    BackendFramework {
        /// SGLang.
        Sglang = "sglang",
        /// vLLM.
        Vllm = "vllm",
        /// TensorRT-LLM.
        Trtllm = "trtllm",
    } default Self::Other(String::new())
}

/// One service of a graph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SharedSpec {
    /// Annotations of the objects generated for this service.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the objects generated for this service.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Name of the component. Ignored in a graph, where the key of the service is its name.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Role of the component, for example frontend, worker, prefill, decode, planner, epp.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub component_type: Option<String>,
    /// Sub-role of the component, for example prefill or decode.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub sub_component_type: Option<String>,
    /// Deprecated: ignored and overwritten in a graph, needed in a component deployment written by hand.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub dynamo_namespace: Option<String>,
    /// True places the component in the Dynamo namespace `dynamo`, shared by all graphs.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    pub global_dynamo_namespace: bool,
    /// CPU, memory, GPU and other resources of the main container; wins over extraPodSpec.mainContainer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Deprecated and ignored: use a DynamoGraphDeploymentScalingAdapter with HPA, KEDA or the planner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,
    /// Environment variables of the main container; win over the graph's and over mainContainer.env.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub envs: Vec<EnvVar>,
    /// Name of a Secret whose keys become environment variables of the main container.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub env_from_secret: Option<String>,
    /// Claims mounted into the main container.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<ServiceVolumeMount>,
    /// Exposes the component outside the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
    /// The model this component serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_ref: Option<ModelReference>,
    /// The memory file system at /dev/shm; 8Gi if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_memory: Option<SharedMemorySpec>,
    /// Labels and annotations of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_pod_metadata: Option<ExtraPodMetadata>,
    /// Pod spec merged over the built-in one; mainContainer is merged over the main container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_pod_spec: Option<ExtraPodSpec>,
    /// Liveness probe of the main container; replaces the built-in one.
    #[serde(deserialize_with = "lenient::with_ports", skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// Readiness probe of the main container; replaces the built-in one.
    #[serde(deserialize_with = "lenient::with_ports", skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// Number of replicas; 1 if absent. With scalingAdapter.enabled the adapter sets it.
    #[serde(deserialize_with = "lenient::int32", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// Spreads each replica over several nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multinode: Option<MultinodeSpec>,
    /// Lets a DynamoGraphDeploymentScalingAdapter own the number of replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling_adapter: Option<ScalingAdapterSpec>,
    /// Configuration of the endpoint picker. Required when componentType is epp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epp_config: Option<EppConfig>,
    /// Starts the pods from a checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<ServiceCheckpointConfig>,
}

/// Deprecated and ignored, but still accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalingSpec {
    /// Deprecated: ignored.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    pub enabled: bool,
    /// Deprecated: ignored.
    #[serde(deserialize_with = "lenient::integer", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::plain_integer")]
    pub min_replicas: Option<i64>,
    /// Deprecated: ignored.
    #[serde(deserialize_with = "lenient::integer", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::plain_integer")]
    pub max_replicas: Option<i64>,
    /// Deprecated: ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<HorizontalPodAutoscalerBehavior>")]
    pub behavior: Option<Value>,
    /// Deprecated: ignored.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<MetricSpec>")]
    pub metrics: Vec<Value>,
}

/// A claim mounted into the main container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceVolumeMount {
    /// Name of the claim, which is also the name of the volume.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// Where it is mounted. Required unless useAsCompilationCache is true.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub mount_point: Option<String>,
    /// True makes it the backend's compilation cache, with the backend's own mount point if none is given.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    #[schemars(extend("x-default" = false))]
    pub use_as_compilation_cache: bool,
}

/// Exposes a component outside the cluster, by an Ingress or an Istio VirtualService.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// True exposes the component.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    pub enabled: bool,
    /// Middle part of the host name. Required when enabled.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// True asks for a VirtualService; needs virtualServiceGateway.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    pub use_virtual_service: bool,
    /// Gateway of the VirtualService.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub virtual_service_gateway: Option<String>,
    /// Put before host, without a separator.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub host_prefix: Option<String>,
    /// Annotations of the Ingress or VirtualService.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the Ingress or VirtualService.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// TLS of the Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<IngressTls>,
    /// Put after host and a dot; `local` if absent.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub host_suffix: Option<String>,
    /// Class of the ingress controller; an Ingress is made only with one.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub ingress_controller_class_name: Option<String>,
}

/// TLS of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// Secret with the certificate and its key.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
}

/// The model a component serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelReference {
    /// Base model, for example Qwen/Qwen3-0.6B.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// Revision of the model; kept, not used.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// The memory file system at /dev/shm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SharedMemorySpec {
    /// True mounts none.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    pub disabled: bool,
    /// Its size, as a quantity. Required unless disabled.
    #[serde(deserialize_with = "lenient::quantity", skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
}

/// Spreads each replica over several nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MultinodeSpec {
    /// Nodes of one replica.
    #[serde(deserialize_with = "MultinodeSpec::node_count")]
    #[schemars(range(min = 2), extend("x-required" = true, "x-default" = 2))]
    pub node_count: i32,
}

impl MultinodeSpec {
    const DEFAULT_NODE_COUNT: i32 = 2;

    fn node_count<'de, D: Deserializer<'de>>(d: D) -> Result<i32, D::Error> {
        Ok(lenient::int32(d)?.unwrap_or(Self::DEFAULT_NODE_COUNT))
    }
}

impl Default for MultinodeSpec {
    fn default() -> Self {
        Self { node_count: Self::DEFAULT_NODE_COUNT }
    }
}

/// Whether a scaling adapter owns the number of replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingAdapterSpec {
    /// True creates a DynamoGraphDeploymentScalingAdapter for the service.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    #[schemars(extend("x-default" = false))]
    pub enabled: bool,
}
