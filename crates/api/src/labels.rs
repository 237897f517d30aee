//! Label and annotation keys, finalizers and fixed names of the API: one spelling each (`api.md` section 12).
//! Constants only.

pub const COMPONENT: &str = "nvidia.com/dynamo-component";
pub const DYNAMO_NAMESPACE: &str = "nvidia.com/dynamo-namespace";
pub const GRAPH_NAME: &str = "nvidia.com/dynamo-graph-deployment-name";
pub const COMPONENT_TYPE: &str = "nvidia.com/dynamo-component-type";
pub const SUB_COMPONENT_TYPE: &str = "nvidia.com/dynamo-sub-component-type";
pub const BASE_MODEL_HASH: &str = "nvidia.com/dynamo-base-model-hash";
pub const SELECTOR: &str = "nvidia.com/selector";
/// On a ServiceAccount: pods that name no account and have none of their own use it.
pub const COMPONENT_POD: &str = "nvidia.com/dynamo-component-pod";
/// On the debug pod of a component: the value is `debug`.
pub const TARGET_TYPE: &str = "nvidia.com/dynamo-deployment-target-type";
pub const METRICS_ENABLED: &str = "nvidia.com/metrics-enabled";
pub const DISCOVERY_BACKEND: &str = "nvidia.com/dynamo-discovery-backend";
pub const DISCOVERY_ENABLED: &str = "nvidia.com/dynamo-discovery-enabled";

/// On what the operator makes for models and requests; the value is [`OPERATOR`].
pub const PRODUCT_MANAGED_BY: &str = "nvidia.com/managed-by";
/// Name of the DynamoGraphDeploymentRequest that an object was made for.
pub const REQUEST_NAME: &str = "dgdr.nvidia.com/name";
/// Namespace of the DynamoGraphDeploymentRequest that an object was made for.
pub const REQUEST_NAMESPACE: &str = "dgdr.nvidia.com/namespace";
/// On a profiling Job: the name of its request.
pub const JOB_REQUEST: &str = "dgdr";
/// On a profiling Job: which profiler it runs.
pub const JOB_APP: &str = "app";
/// On pods that make a checkpoint; the value is `true`.
pub const CHECKPOINT_SOURCE: &str = "nvidia.com/checkpoint-source";
pub const CHECKPOINT_HASH: &str = "nvidia.com/checkpoint-hash";
pub const CHECKPOINT_NAME: &str = "nvidia.com/checkpoint-name";

pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub const APP_COMPONENT: &str = "app.kubernetes.io/component";
pub const APP_NAME: &str = "app.kubernetes.io/name";
/// Value of [`MANAGED_BY`] on the accounts and roles that the operator makes.
pub const OPERATOR: &str = "dynamo-operator";

pub mod annotations {
    //! Annotation keys.

    pub const ENABLE_METRICS: &str = "nvidia.com/enable-metrics";
    pub const DISCOVERY_BACKEND: &str = "nvidia.com/dynamo-discovery-backend";
    /// `true` keeps the Secrets of the image's registry out of the pods.
    pub const DISABLE_PULL_SECRET_DISCOVERY: &str = "nvidia.com/disable-image-pull-secret-discovery";
    /// `true` adds a container for debugging to the pods.
    pub const DEBUG: &str = "nvidia.com/enable-debug-mode";
    /// `true` runs a pod for debugging beside the others.
    pub const STEAL_TRAFFIC: &str = "nvidia.com/enable-stealing-traffic-debug-mode";
    pub const ORIGIN_VERSION: &str = "nvidia.com/dynamo-operator-origin-version";
    /// On whatever an operator made: hash of what it wrote last.
    pub const LAST_APPLIED_HASH: &str = "nvidia.com/last-applied-hash";
    /// On a copy of a Secret for NATS or etcd: namespace, name and UID of its source.
    pub const COPIED_FROM: &str = "nvidia.com/copied-from";
    pub const RESTART_AT: &str = "nvidia.com/restartAt";
    /// On pods: changes with the credentials and CAs of NATS and etcd that they were given.
    pub const CREDENTIALS_CHECKSUM: &str = "nvidia.com/dynamo-credentials-checksum";
    pub const BASE_MODEL: &str = "nvidia.com/dynamo-base-model";
    /// On pods that use checkpoints: what a restored engine reads of itself, since its variables are another pod's.
    pub const DYN_NAMESPACE: &str = "nvidia.com/dyn-namespace";
    pub const DYN_COMPONENT: &str = "nvidia.com/dyn-component";
    pub const DYN_PARENT_NAME: &str = "nvidia.com/dyn-parent-dgd-name";
    pub const DYN_PARENT_NAMESPACE: &str = "nvidia.com/dyn-parent-dgd-namespace";
    pub const DYN_DISCOVERY_BACKEND: &str = "nvidia.com/dyn-discovery-backend";
    pub const DEPLOYMENT_STRATEGY: &str = "nvidia.com/deployment-strategy";
    pub const MAX_SURGE: &str = "nvidia.com/deployment-rolling-update-max-surge";
    pub const MAX_UNAVAILABLE: &str = "nvidia.com/deployment-rolling-update-max-unavailable";
    /// On a request: the ConfigMaps that the profiler wants beside the graph, as YAML documents.
    pub const ADDITIONAL_RESOURCES: &str = "dgdr.nvidia.com/additional-resources";
}

/// The finalizer that the reference puts on graphs, components, requests and models. On a model it stands for adapters
/// that are still loaded; on the others ours only takes it off.
pub const FINALIZER: &str = "nvidia.com/finalizer";
