//! What a cluster tells about a graph and its namespace, as an input of rendering: gathered by whoever renders, before
//! the first write. Values only; nothing is looked up here.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::credentials::Credentials;

/// Facts about a component and its namespace. The default is a namespace in which nothing was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// Names of Secrets of type `kubernetes.io/dockerconfigjson` by the registry host they are for, in the order in
    /// which a pod names them.
    pub pull_secrets: BTreeMap<String, Vec<String>>,
    /// The account for pods that name none and have no account of their own (`workload.md` section 6.6).
    pub component_account: Option<String>,
    /// The other components of the namespace that serve the same model, as further owners of its Service, sorted by
    /// name. None of them is a controller.
    pub model_sharers: Vec<OwnerReference>,
    /// The checkpoint that the component's `checkpoint` leads to.
    pub checkpoint: Option<FoundCheckpoint>,
    /// Secrets of the namespace by which pods reach NATS and etcd.
    pub credentials: Credentials,
}

/// A DynamoCheckpoint, as far as pods depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCheckpoint {
    pub name: String,
    pub hash: String,
    /// Whether pods can start from it.
    pub ready: bool,
}

/// Facts about a graph. The default is one of which nothing exists yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GraphFacts {
    /// Its component deployments, by service.
    pub components: BTreeMap<String, LiveComponent>,
    /// Version of the operator that admitted the graph, as its components have it, once there are some. What they have
    /// stays: a graph that is replaced (`kubectl replace`) may lose its annotation, and pods must not change for that.
    pub origin: Option<Origin>,
    /// Replicas that the scaling adapters of its services ask for now, by service. Who scales writes them: a service
    /// that has an adapter follows it.
    pub adapter_replicas: BTreeMap<String, i32>,
    /// The checkpoints that its services lead to, by service.
    pub checkpoints: BTreeMap<String, FoundCheckpoint>,
    /// As in [`Facts`], for the pods that make its checkpoints.
    pub pull_secrets: BTreeMap<String, Vec<String>>,
    /// As in [`Facts`], for the pods that make its checkpoints.
    pub component_account: Option<String>,
    /// As in [`Facts`], for the pods that make its checkpoints.
    pub credentials: Credentials,
}

/// What the components of a graph say of its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub Option<String>);

/// A component deployment as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveComponent {
    /// Value of the annotation `nvidia.com/restartAt` that its pods have.
    pub restarted_at: Option<String>,
    /// Whether it is available on its newest generation.
    pub ready: bool,
}
