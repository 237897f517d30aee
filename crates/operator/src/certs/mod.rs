//! The certificates of the admission server: where they come from, when they change, and which one is served
//! (`operator-process.md` section 10). No server lives here: it asks [`Resolver`] for the current pair.
//!
//! | mode | who makes the certificates | who publishes the bundle | part |
//! |---|---|---|---|
//! | operator | [`Keeper`], in one Secret that all replicas share | [`Keeper`] | `rotation` decides, `keeper` does |
//! | files | cert-manager, the user, or [`generate`] | cert-manager, the chart, or [`inject`] | `files` |
//!
//! A new pair is served only when it verifies against the `caBundle` that is published; until then the old one stays.

mod authority;
mod bundle;
mod certificate;
mod files;
mod hooks;
mod keeper;
mod metrics;
mod published;
mod rotation;
mod serving;
mod stored;
mod watches;

pub use files::{FileKeeper, FileSettings};
pub use hooks::{GenerateSettings, InjectSettings, generate, inject};
pub use keeper::{Keeper, Settings};
pub use metrics::CertificateMetrics;
pub use published::Configurations;
pub use serving::{Readiness, Resolver, Serving};

/// A certificate could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a key or certificate could not be made")]
    Make(#[from] rcgen::Error),
    #[error("a certificate just made cannot be read back")]
    Unreadable,
    #[error("{reason}")]
    Pair { reason: String },
    #[error("cannot {what}")]
    Api { what: String, source: kube::Error },
    #[error("{what} was changed by somebody else meanwhile: {reason}")]
    Conflict { what: String, reason: String },
    #[error("Secret {namespace}/{name} {reason}")]
    Secret { namespace: String, name: String, reason: String },
    #[error("{what} not found within {} s", limit.as_secs())]
    Missing { what: String, limit: std::time::Duration },
}

/// The Service that API servers call, which the certificate must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Name of the Service.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// Domain of the cluster, such as `cluster.local`.
    pub cluster_domain: String,
}

impl Names {
    /// The name by which an API server checks the certificate.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    /// The four alternative names of a leaf.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let server = self.server();
        vec![
            self.service.clone(),
            format!("{}.{}", self.service, self.namespace),
            format!("{server}.{}", self.cluster_domain),
            server,
        ]
    }
}

#[cfg(test)]
mod tests;
