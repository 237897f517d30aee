//! Queue of the KAI scheduler (`scheduling.run.ai/v2`).
//! Only the fields that the platform writes (`charts.md` section 12).

use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// What the pods of a queue may use, and below which queue it is.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "scheduling.run.ai",
    version = "v2",
    kind = "Queue",
    plural = "queues",
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_queue: Option<String>,
    pub resources: QueueResources,
}

/// Shares by kind of resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueResources {
    pub cpu: QueueShare,
    pub gpu: QueueShare,
    pub memory: QueueShare,
}

/// The share of one resource; -1 is no bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueShare {
    pub quota: i64,
    pub limit: i64,
    pub over_quota_weight: i64,
}
