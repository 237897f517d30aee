//! Credentials and CAs of NATS and etcd: copied into each namespace with graphs or components. What pods get of them is
//! decided in `dynamo-render`.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment};
use dynamo_kubekit::{
    apply::Class,
    cache::{Cache, Feed},
};
use dynamo_render::credentials::{Credentials, Purpose, SecretKeys};
use kube::{Client, runtime::reflector::store::WriterDropped};

use super::{Copied, CopiedSecret, News, Settings};
use crate::{
    flags::{NamespacedName, credential_flag},
    wiring::Trigger,
};

/// Why pods cannot be given their credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Copied(#[from] super::Error),
    #[error(
        "secret {namespace}/{name} (--{flag}) has none of the keys {keys}: add one, or give the secret another name if \
         it is not meant for this"
    )]
    NoUse { namespace: String, name: String, flag: &'static str, keys: String },
}

impl Error {
    /// What happens next.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Copied(cause) => cause.class(),
            Self::NoUse { .. } => Class::Invalid,
        }
    }

    /// A short fixed word for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Copied(cause) => cause.category(),
            Self::NoUse { .. } => "secret_without_keys",
        }
    }
}

/// The Secrets that the installation names.
#[derive(Debug, Clone, Default)]
pub struct CredentialCopies(Vec<(Purpose, Copied)>);

impl CredentialCopies {
    /// Watches every Secret that is named, in `namespace` or everywhere. A change wakes the graphs and components that
    /// use it.
    pub(crate) fn watch(
        client: &Client,
        namespace: Option<&str>,
        sources: &BTreeMap<Purpose, NamespacedName>,
        graphs: &(Cache<DynamoGraphDeployment>, Trigger<DynamoGraphDeployment>),
        components: &(Cache<DynamoComponentDeployment>, Trigger<DynamoComponentDeployment>),
    ) -> (Self, Vec<Feed<CopiedSecret>>) {
        // One Secret may serve for several purposes.
        let mut by_name: BTreeMap<&NamespacedName, Vec<Purpose>> = BTreeMap::new();
        for (purpose, source) in sources {
            by_name.entry(source).or_default().push(*purpose);
        }
        let (mut copies, mut feeds) = (Vec::new(), Vec::new());
        for (source, purposes) in by_name {
            let flags: Vec<String> =
                purposes.iter().map(|purpose| format!("--{}", credential_flag(*purpose))).collect();
            let settings = Settings {
                source: source.clone(),
                hint: format!("({}): create it, or take out the value that names it", flags.join(", ")),
                has_reference: false,
            };
            let (graphs, components) = (graphs.clone(), components.clone());
            let (copied, of_secret) = Copied::watch(client, namespace, settings, move |news| match news {
                News::Source => {
                    graphs.1.send_all(&graphs.0);
                    components.1.send_all(&components.0);
                }
                News::Outdated(namespace) | News::Changed(namespace) => {
                    graphs.1.send_namespace(&graphs.0, namespace);
                    components.1.send_namespace(&components.0, namespace);
                }
            });
            feeds.extend(of_secret);
            copies.extend(purposes.into_iter().map(|purpose| (purpose, copied.clone())));
        }
        (Self(copies), feeds)
    }

    /// Resolves when the copies are known.
    ///
    /// # Errors
    /// When a watch ended before.
    pub async fn wait_until_ready(&self) -> Result<(), WriterDropped> {
        for (_, copied) in &self.0 {
            copied.wait_until_ready().await?;
        }
        Ok(())
    }

    /// Makes sure that `namespace` has every Secret, and says what pods find in them.
    ///
    /// # Errors
    /// See [`Error`]: what runs is to stay as it is then.
    pub async fn ensure(&self, client: &Client, namespace: &str) -> Result<Credentials, Error> {
        let mut found = Credentials::new();
        for (purpose, copied) in &self.0 {
            let secret = copied.ensure(client, namespace).await?;
            let (name, digests) = (copied.settings.source.name.clone(), secret.view.digests.clone());
            if !purpose.has_use_of(digests.keys()) {
                let (flag, keys) = (credential_flag(*purpose), purpose.keys().join(", "));
                return Err(Error::NoUse { namespace: namespace.to_owned(), name, flag, keys });
            }
            found.insert(*purpose, SecretKeys { name, digests });
        }
        Ok(found)
    }
}
