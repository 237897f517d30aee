//! What the operator's flags say about rendering (`operator-process.md` section 1).
//! Facts of one installation, the same for every graph.

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

/// Settings of the default ingress of frontends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngressDefaults {
    pub class_name: Option<String>,
    pub tls_secret_name: Option<String>,
    pub host_suffix: Option<String>,
    pub virtual_service_gateway: Option<String>,
}

/// The operator's configuration as far as rendering reads it. Absent means: not injected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
}
