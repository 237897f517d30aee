//! DynamoModel (`api.md` 9): a model or a LoRA adapter that running services are to serve.
//! Data only: finding and loading endpoints is the controller's.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    lenient::{self, optional_spec},
    open_enum::open_enum,
};

/// Spec defines the model.
#[allow(clippy::duplicated_attributes, reason = "printer columns repeat their keys")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nvidia.com",
    version = "v1alpha1",
    kind = "DynamoModel",
    plural = "dynamomodels",
    shortname = "dm",
    namespaced,
    status = "DynamoModelStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "DynamoModel is a model, or an adapter of one, that running services serve.",
    printcolumn(
        name = "BaseModel",
        type_ = "string",
        json_path = ".spec.baseModelName",
        description = "Base model name"
    ),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.modelType", description = "Model type"),
    printcolumn(
        name = "Ready",
        type_ = "integer",
        json_path = ".status.readyEndpoints",
        description = "Ready endpoints"
    ),
    printcolumn(
        name = "Total",
        type_ = "integer",
        json_path = ".status.totalEndpoints",
        description = "Total endpoints"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct DynamoModelSpec {
    /// Name of the model or adapter, as clients ask for it.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub model_name: String,
    /// Base model; services of the namespace whose modelRef.name is the same serve it. Immutable.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub base_model_name: String,
    /// What the model is: only a lora is loaded into the workers. Immutable.
    #[schemars(extend("x-default" = "base"))]
    pub model_type: ModelType,
    /// Where an adapter comes from. Required for a lora.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ModelSource>,
}

optional_spec!(DynamoModelSpec);

open_enum! {
    /// What a model is.
    ModelType {
        /// A base model.
        Base = "base",
        /// A LoRA adapter.
        Lora = "lora",
        /// Another adapter, treated as a base model.
        Adapter = "adapter",
    } default Self::Base
}

impl ModelType {
    /// True for `lora`, whatever its case (`api.md` 13, IsLoRA).
    pub fn is_lora(&self) -> bool {
        self.as_str().eq_ignore_ascii_case(Self::Lora.as_str())
    }
}

/// Where an adapter comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelSource {
    /// Its address: s3://bucket/path or hf://organisation/model@revision.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub uri: String,
}

/// Status is the observed state of this model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DynamoModelStatus {
    /// Conditions of the model; EndpointsReady is the one to wait for.
    #[serde(deserialize_with = "lenient::conditions", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Every endpoint that serves the base model.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<ModelEndpoint>,
    /// Number of endpoints that are ready.
    #[serde(deserialize_with = "count")]
    #[schemars(schema_with = "crate::schema::plain_integer", extend("x-required" = true))]
    pub ready_endpoints: i64,
    /// Number of endpoints.
    #[serde(deserialize_with = "count")]
    #[schemars(schema_with = "crate::schema::plain_integer", extend("x-required" = true))]
    pub total_endpoints: i64,
}

fn count<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    Ok(lenient::integer(d)?.unwrap_or_default())
}

/// A pod that serves the base model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelEndpoint {
    /// Where its system server listens, for example http://10.0.1.5:9090.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub address: String,
    /// Name of the pod.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// True once it has loaded the adapter; always false for what is no lora.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(extend("x-required" = true))]
    pub ready: bool,
}
