//! What the flags say, by topic, for those who act on it.
//! Plain values: nothing here reads a word of the command line.

use std::{collections::BTreeMap, time::Duration};

use dynamo_render::credentials::Purpose;

use crate::certs::Configurations;

/// Where replicas agree on one leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderElection {
    pub id: String,
    /// `None` is the namespace of the operator's own pod.
    pub namespace: Option<String>,
}

/// The admission listener, its certificate and its registrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookFlags {
    /// Host and port.
    pub address: String,
    /// `timeoutSeconds` of the registrations, 2 s to 30 s.
    pub timeout: Duration,
    /// Service that the registrations call; the certificate must name it.
    pub service: Option<String>,
    /// Of the Service and the certificate's Secret; `None` is the namespace of the operator's own pod.
    pub namespace: Option<String>,
    /// Registrations whose published bundle must accept the certificate; `None`: nobody looks.
    pub registrations: Option<Configurations>,
    pub certificate: CertificateSource,
}

impl WebhookFlags {
    /// How long the handler of one review may take: its answer must arrive before the API server gives up.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.timeout.saturating_sub(Duration::from_secs(1))
    }
}

/// Who makes the serving certificate of the admission listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Somebody else: `tls.crt` and `tls.key` of this folder.
    Files { folder: String },
    /// This process, which needs the Service and the registrations for it.
    Operator(CertificateFlags),
}

/// A certificate that the operator makes, publishes and renews itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFlags {
    pub secret: String,
    /// How long a certificate is valid.
    pub days: u32,
    /// How long a new CA is published before a certificate of it is served.
    pub bundle_settle: Duration,
}

/// A namespaced name: of a Secret, of a service account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespacedName {
    pub namespace: String,
    pub name: String,
}

/// ClusterRoles that the operator binds for others. Only the planner's is required, by a cluster-wide operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleNames {
    pub planner: Option<String>,
    pub profiling: Option<String>,
    pub endpoint_picker: Option<String>,
}

/// Secrets with credentials and CAs of NATS and etcd, which pods are given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialFlags {
    /// Names of those that are set.
    pub names: BTreeMap<Purpose, String>,
    /// Where they are; `None` is the namespace of the operator's own pod.
    pub namespace: Option<String>,
}

/// The flag that names the Secret.
#[must_use]
pub const fn credential_flag(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::NatsAuth => "nats-auth-secret",
        Purpose::NatsCa => "nats-tls-ca-secret",
        Purpose::EtcdCa => "etcd-tls-ca-secret",
        Purpose::EtcdAuth => "etcd-auth-secret",
    }
}

/// Form and level of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFlags {
    pub json: bool,
    pub level: tracing::Level,
    pub time: TimeEncoding,
}

/// How a log line tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeEncoding {
    /// Seconds since 1970 with a fraction.
    Epoch,
    /// Milliseconds since 1970 with a fraction.
    Millis,
    /// Whole nanoseconds since 1970.
    Nano,
    /// `2026-01-02T03:04:05.678Z`.
    Iso8601,
    /// `2026-01-02T03:04:05Z`.
    #[default]
    Rfc3339,
    /// `2026-01-02T03:04:05.678901234Z`, without trailing zeros of the fraction.
    Rfc3339Nano,
}
