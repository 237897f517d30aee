//! Checkpoint settings of a service (`api.md` 5, ServiceCheckpointConfig) and what identifies a checkpoint.
//! Data only: hashes and names are computed elsewhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BackendFramework, lenient, open_enum::open_enum};

/// Starts the pods of a service from a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "message": "When enabled, either checkpointRef or both identity.model and identity.backendFramework must be specified",
    "rule": "!self.enabled || (has(self.checkpointRef) && size(self.checkpointRef) > 0) || (has(self.identity) && has(self.identity.model) && has(self.identity.backendFramework))",
}]))]
pub struct ServiceCheckpointConfig {
    /// True uses a checkpoint.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    #[schemars(extend("x-default" = false))]
    pub enabled: bool,
    /// Auto creates a missing checkpoint, Manual waits for one.
    #[schemars(extend("x-default" = "Auto"))]
    pub mode: CheckpointMode,
    /// Name of the DynamoCheckpoint to use; wins over identity.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub checkpoint_ref: Option<String>,
    /// What the checkpoint is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<CheckpointIdentity>,
}

open_enum! {
    /// Who creates a checkpoint.
    CheckpointMode {
        /// The operator.
        Auto = "Auto",
        /// The user.
        Manual = "Manual",
    } default Self::Auto
}

/// What a checkpoint is of: two services with the same identity can share one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckpointIdentity {
    /// The model, for example meta-llama/Llama-3-70B.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub model: String,
    /// The backend that runs it.
    #[schemars(extend("x-required" = true, "enum" = ["vllm", "sglang", "trtllm"]))]
    pub backend_framework: BackendFramework,
    /// Version of Dynamo.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub dynamo_version: Option<String>,
    /// Degree of tensor parallelism.
    #[serde(deserialize_with = "CheckpointIdentity::degree")]
    #[schemars(range(min = 1), extend("x-default" = 1))]
    pub tensor_parallel_size: i32,
    /// Degree of pipeline parallelism.
    #[serde(deserialize_with = "CheckpointIdentity::degree")]
    #[schemars(range(min = 1), extend("x-default" = 1))]
    pub pipeline_parallel_size: i32,
    /// Data type, for example bf16.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// Longest sequence, in tokens.
    #[serde(deserialize_with = "lenient::int32", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_model_len: Option<i32>,
    /// Other parameters that make a difference.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_parameters: BTreeMap<String, String>,
}

impl CheckpointIdentity {
    fn degree<'de, D: serde::Deserializer<'de>>(d: D) -> Result<i32, D::Error> {
        Ok(lenient::int32(d)?.unwrap_or(1))
    }
}

impl Default for CheckpointIdentity {
    fn default() -> Self {
        Self {
            model: String::new(),
            backend_framework: BackendFramework::default(),
            dynamo_version: None,
            tensor_parallel_size: 1,
            pipeline_parallel_size: 1,
            dtype: None,
            max_model_len: None,
            extra_parameters: BTreeMap::new(),
        }
    }
}
