//! Status of graphs and components (`api.md` 3 and 4), as the operator reports it.
//! Never read back to decide anything but a restart in progress.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{lenient, open_enum::open_enum};

/// Status is the observed state of this graph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DynamoGraphDeploymentStatus {
    /// One word: pending, successful or failed.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Conditions of the graph; Ready is the one to wait for.
    #[serde(deserialize_with = "lenient::conditions", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Replicas of each service, by the name of the service.
    #[serde(deserialize_with = "lenient::map", skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, ServiceReplicaStatus>,
    /// The restart that runs or ran last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartStatus>,
    /// Checkpoint of each service that uses one, by the name of the service.
    #[serde(deserialize_with = "lenient::map", skip_serializing_if = "BTreeMap::is_empty")]
    pub checkpoints: BTreeMap<String, ServiceCheckpointStatus>,
}

/// Status is the observed state of this component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DynamoComponentDeploymentStatus {
    /// Generation of the spec that this status is about.
    #[serde(deserialize_with = "lenient::integer", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions of the component; Available is the one to wait for.
    #[serde(deserialize_with = "lenient::conditions")]
    #[schemars(extend("x-required" = true))]
    pub conditions: Vec<Condition>,
    /// Labels that select the pods of the component.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_selector: BTreeMap<String, String>,
    /// Replicas of the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReplicaStatus>,
}

/// Replicas of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceReplicaStatus {
    /// Kind of the object that runs the service.
    #[schemars(extend("x-required" = true))]
    pub component_kind: ComponentKind,
    /// Name of that object.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub component_name: String,
    /// Replicas that are not terminated.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(range(min = 0), extend("x-required" = true))]
    pub replicas: i32,
    /// Replicas of the current revision.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(range(min = 0), extend("x-required" = true))]
    pub updated_replicas: i32,
    /// Replicas that are ready; absent for a PodCliqueScalingGroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ready_replicas: Option<i32>,
    /// Replicas that are available; only for a Deployment and a PodCliqueScalingGroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub available_replicas: Option<i32>,
}

open_enum! {
    /// Kind of the object that runs a service. The schema refuses the default, the empty one.
    ComponentKind {
        /// Grove, one node.
        PodClique = "PodClique",
        /// Grove, several nodes.
        PodCliqueScalingGroup = "PodCliqueScalingGroup",
        /// One node.
        Deployment = "Deployment",
        /// Several nodes.
        LeaderWorkerSet = "LeaderWorkerSet",
    } default Self::Other(String::new())
}

/// The restart that runs or ran last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartStatus {
    /// The spec.restart.id this is about.
    #[serde(
        rename = "observedID",
        deserialize_with = "lenient::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub observed_id: Option<String>,
    /// Pending, Restarting, Completed or Failed.
    #[serde(deserialize_with = "lenient::choice", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub phase: Option<RestartPhase>,
    /// Services being restarted.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub in_progress: Vec<String>,
}

open_enum! {
    /// Where a restart stands. The default is the empty, unknown one.
    RestartPhase {
        /// Not begun.
        Pending = "Pending",
        /// Some services are not done.
        Restarting = "Restarting",
        /// All services are done.
        Completed = "Completed",
        /// Given up.
        Failed = "Failed",
    } default Self::Other(String::new())
}

/// Checkpoint of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceCheckpointStatus {
    /// Name of the DynamoCheckpoint.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub checkpoint_name: Option<String>,
    /// Hash of its identity.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub identity_hash: Option<String>,
    /// True when it can be used.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "lenient::is_false")]
    pub ready: bool,
}
