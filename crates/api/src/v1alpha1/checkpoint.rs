//! DynamoCheckpoint (`api.md` 10), what identifies one, and a service's use of it (`api.md` 5).
//! Data only: hashes and names are computed elsewhere.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::PodTemplateSpec,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    BackendFramework,
    lenient::{self, optional_spec},
    open_enum::open_enum,
};

/// Spec defines what the checkpoint is of and how it is made.
#[allow(clippy::duplicated_attributes, reason = "printer columns repeat their keys")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nvidia.com",
    version = "v1alpha1",
    kind = "DynamoCheckpoint",
    plural = "dynamocheckpoints",
    shortname = "dckpt",
    namespaced,
    status = "DynamoCheckpointStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "DynamoCheckpoint is the saved state of a running engine, from which pods start faster.",
    printcolumn(
        name = "Model",
        type_ = "string",
        json_path = ".spec.identity.model",
        description = "Model identifier"
    ),
    printcolumn(
        name = "Backend",
        type_ = "string",
        json_path = ".spec.identity.backendFramework",
        description = "Backend framework"
    ),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "Current phase of the checkpoint"
    ),
    printcolumn(
        name = "Hash",
        type_ = "string",
        json_path = ".status.identityHash",
        description = "Identity hash of the checkpoint"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend("x-root-validations" = [{
    "message": "spec.identity is immutable after creation",
    "rule": "!has(oldSelf.spec.identity) || self.spec.identity == oldSelf.spec.identity",
}]))]
pub struct DynamoCheckpointSpec {
    /// What the checkpoint is of. Immutable.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(extend("x-required" = true))]
    pub identity: CheckpointIdentity,
    /// The Job that makes it.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(extend("x-required" = true))]
    pub job: CheckpointJob,
}

optional_spec!(DynamoCheckpointSpec);

/// The Job that makes a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckpointJob {
    /// Its pod; the first container is the engine. Metadata given here is dropped.
    #[serde(deserialize_with = "CheckpointJob::template")]
    #[schemars(extend("x-required" = true))]
    pub pod_template_spec: PodTemplateSpec,
    /// Seconds after which it has failed.
    #[serde(deserialize_with = "CheckpointJob::deadline")]
    #[schemars(extend("x-default" = CheckpointJob::DEFAULT_DEADLINE))]
    pub active_deadline_seconds: i64,
    /// How often its pod is tried again.
    #[serde(deserialize_with = "CheckpointJob::retries")]
    #[schemars(extend("x-default" = CheckpointJob::DEFAULT_RETRIES))]
    pub backoff_limit: i32,
    /// Seconds for which it is kept when it is done.
    #[serde(deserialize_with = "CheckpointJob::retention")]
    #[schemars(extend("x-default" = CheckpointJob::DEFAULT_RETENTION))]
    pub ttl_seconds_after_finished: i32,
}

impl CheckpointJob {
    const DEFAULT_DEADLINE: i64 = 3600;
    const DEFAULT_RETRIES: i32 = 3;
    const DEFAULT_RETENTION: i32 = 300;

    fn template<'de, D: Deserializer<'de>>(d: D) -> Result<PodTemplateSpec, D::Error> {
        Ok(lenient::with_ports(d)?.unwrap_or_default())
    }

    fn deadline<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
        Ok(lenient::integer(d)?.unwrap_or(Self::DEFAULT_DEADLINE))
    }

    fn retries<'de, D: Deserializer<'de>>(d: D) -> Result<i32, D::Error> {
        Ok(lenient::int32(d)?.unwrap_or(Self::DEFAULT_RETRIES))
    }

    fn retention<'de, D: Deserializer<'de>>(d: D) -> Result<i32, D::Error> {
        Ok(lenient::int32(d)?.unwrap_or(Self::DEFAULT_RETENTION))
    }
}

impl Default for CheckpointJob {
    fn default() -> Self {
        Self {
            pod_template_spec: PodTemplateSpec::default(),
            active_deadline_seconds: Self::DEFAULT_DEADLINE,
            backoff_limit: Self::DEFAULT_RETRIES,
            ttl_seconds_after_finished: Self::DEFAULT_RETENTION,
        }
    }
}

/// Status is the observed state of this checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DynamoCheckpointStatus {
    /// Where it stands.
    #[serde(deserialize_with = "lenient::choice", skip_serializing_if = "Option::is_none")]
    pub phase: Option<CheckpointPhase>,
    /// Hash of its identity.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub identity_hash: Option<String>,
    /// Where it is stored.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What it is stored in.
    #[serde(deserialize_with = "lenient::choice", skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<CheckpointStorageType>,
    /// Name of the Job that makes it.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// When it was ready.
    #[serde(deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// Why it is where it stands.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Conditions of the checkpoint: JobCreated, JobCompleted, TarAvailable.
    #[serde(deserialize_with = "lenient::conditions", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

open_enum! {
    /// Where a checkpoint stands. The default is the empty, unknown one.
    CheckpointPhase {
        /// No Job yet.
        Pending = "Pending",
        /// The Job runs.
        Creating = "Creating",
        /// Pods can start from it.
        Ready = "Ready",
        /// The Job has failed.
        Failed = "Failed",
    } default Self::Other(String::new())
}

open_enum! {
    /// What a checkpoint is stored in. The default is the empty, unknown one.
    CheckpointStorageType {
        /// A persistent volume claim.
        Pvc = "pvc",
        /// An S3 bucket.
        S3 = "s3",
        /// An OCI registry.
        Oci = "oci",
    } default Self::Other(String::new())
}

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
    fn degree<'de, D: Deserializer<'de>>(d: D) -> Result<i32, D::Error> {
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
