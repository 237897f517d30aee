//! What the operator's flags say about rendering (`operator-process.md` section 1).
//! Facts of one installation, the same for every graph.

use std::{collections::BTreeMap, time::Duration};

/// Where the platform's own discovery backend comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiscoveryBackend {
    #[default]
    Kubernetes,
    Etcd,
}

impl DiscoveryBackend {
    /// The spelling of flags and annotations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd",
        }
    }
}

/// Settings of the default ingress of frontends, and of the routes of every VirtualService.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngressDefaults {
    pub class_name: Option<String>,
    pub tls_secret_name: Option<String>,
    pub host_suffix: Option<String>,
    pub virtual_service_gateway: Option<String>,
    /// Annotations of every Ingress; those of the graph win.
    pub annotations: BTreeMap<String, String>,
    /// Whether the gateway of VirtualServices serves HTTPS, too.
    pub virtual_service_supports_https: bool,
    pub route: RouteDefaults,
}

/// Time-outs and retries of the route of a VirtualService. `None` leaves the default of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteDefaults {
    pub timeout: Option<Duration>,
    pub retry_attempts: Option<u32>,
    pub retry_per_try_timeout: Option<Duration>,
    pub retry_on: Option<String>,
}

/// What checkpoints are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointStorage {
    Pvc,
    S3,
    Oci,
}

/// Checkpoint settings (`operator-process.md` section 1); a text may be empty, which is an error of the pod that
/// needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointConfig {
    pub storage: CheckpointStorage,
    /// Folder of the node where the end of a checkpoint is told.
    pub signal_host_path: String,
    pub pvc_name: String,
    pub pvc_base_path: String,
    /// `s3://[endpoint/]bucket/prefix`
    pub s3_uri: String,
    pub s3_credentials_secret: String,
    /// `oci://registry/repository`
    pub oci_uri: String,
    pub oci_credentials_secret: String,
    pub init_container_image: String,
    /// File by which an engine says that it can be checkpointed.
    pub ready_file: String,
    /// File that tells an engine that it was restored.
    pub restore_marker_file: String,
}

/// Image of the container `debugger` unless the installation names another (`workload.md` section 6.9).
pub const DEFAULT_DEBUGGER: &str = "python:3.12-slim";

/// The operator's configuration as far as rendering reads it. Absent means: not injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorConfig {
    /// `NATS_SERVER` of the pods.
    pub nats_address: Option<String>,
    /// `ETCD_ENDPOINTS` of the pods.
    pub etcd_address: Option<String>,
    /// `MODEL_EXPRESS_URL` of the pods.
    pub model_express_url: Option<String>,
    /// `PROMETHEUS_ENDPOINT` of the pods.
    pub prometheus_endpoint: Option<String>,
    pub discovery_backend: DiscoveryBackend,
    pub ingress: IngressDefaults,
    /// `None` while checkpoints are off.
    pub checkpoint: Option<CheckpointConfig>,
    /// Whether pods get the settings of pod security `restricted` where their user says nothing.
    pub restricted_security: bool,
    pub debugger_image: String,
}

impl Default for OperatorConfig {
    fn default() -> Self {
        Self {
            nats_address: None,
            etcd_address: None,
            model_express_url: None,
            prometheus_endpoint: None,
            discovery_backend: DiscoveryBackend::default(),
            ingress: IngressDefaults::default(),
            checkpoint: None,
            restricted_security: false,
            debugger_image: DEFAULT_DEBUGGER.to_owned(),
        }
    }
}
