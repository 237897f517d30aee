//! What the Secret of the certificates says, and the changes a rotation makes to it.
//! Reading never fails: what cannot be used is as good as absent, and says why.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::{Value, json};

use super::{
    authority::{Authority, Leaf},
    bundle::Bundle,
    certificate::Certificate,
};

/// The chain of the server.
pub const LEAF: &str = "tls.crt";
/// Its key.
pub const LEAF_KEY: &str = "tls.key";
/// The bundle to publish.
pub const BUNDLE: &str = "ca.crt";
/// Key of the authority that signs.
pub const SIGNER_KEY: &str = "ca.key";
/// The authority that will sign when every API server knows it.
pub const NEXT: &str = "next-ca.crt";
/// Its key.
pub const NEXT_KEY: &str = "next-ca.key";
/// Earlier leaves, without keys: as long as one lives, its authority stays published.
pub const PREVIOUS: &str = "previous-tls.crt";

/// Asks for a rotation now: `leaf` or `ca`. The write that starts it takes it away.
pub const ROTATE: &str = "nvidia.com/rotate-webhook-certificate";
/// Until when authorities stay published of whose leaves nothing is known.
pub const RETAIN: &str = "nvidia.com/webhook-ca-retained-until";

/// What a person asked for by [`ROTATE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    Leaf,
    Authority,
}

/// The usable content of the Secret.
#[derive(Debug, Clone)]
pub struct Stored {
    pub bundle: Bundle,
    /// The authority that signs. `Err` says why there is none.
    pub signer: Result<Authority, String>,
    pub next: Option<Authority>,
    /// The pair to serve. `Err` says why there is none.
    pub leaf: Result<Leaf, String>,
    pub previous: Vec<Certificate>,
    pub retained_until: Option<Timestamp>,
    pub asked: Option<Asked>,
}

impl Stored {
    #[must_use]
    pub fn read(secret: &Secret) -> Self {
        let empty = BTreeMap::new();
        let data = secret.data.as_ref().unwrap_or(&empty);
        let bytes = |key: &str| data.get(key).map_or(&[][..], |value| value.0.as_slice());
        let annotation = |key: &str| secret.metadata.annotations.as_ref().and_then(|all| all.get(key));
        let bundle = Bundle::read(bytes(BUNDLE));
        let signer = Authority::find(bytes(SIGNER_KEY), bundle.iter())
            .ok_or_else(|| format!("{SIGNER_KEY} is not the key of an authority in {BUNDLE}"));
        Self {
            signer,
            next: Authority::find(bytes(NEXT_KEY), &Certificate::read_all(bytes(NEXT))),
            leaf: Leaf::read(bytes(LEAF), bytes(LEAF_KEY)).map_err(|error| error.to_string()),
            previous: Certificate::read_all(bytes(PREVIOUS)),
            retained_until: annotation(RETAIN).and_then(|at| at.parse().ok()),
            asked: annotation(ROTATE).and_then(|asked| match asked.as_str() {
                "leaf" => Some(Asked::Leaf),
                "ca" => Some(Asked::Authority),
                _ => None,
            }),
            bundle,
        }
    }

    /// Every authority that must be published.
    #[must_use]
    pub fn wanted(&self) -> Bundle {
        let mut wanted = self.bundle.clone();
        wanted.extend(self.next.iter().map(|next| next.certificate.clone()));
        wanted
    }

    /// The leaves that some replica may still serve.
    pub fn leaves(&self) -> impl Iterator<Item = &Certificate> {
        self.previous.iter().chain(self.leaf.as_ref().ok().map(Leaf::certificate))
    }
}

/// A change of the Secret: values to set, and keys to take away.
#[derive(Debug, Clone, Default)]
pub struct Change {
    data: BTreeMap<&'static str, Option<Vec<u8>>>,
    annotations: BTreeMap<&'static str, Option<String>>,
}

impl Change {
    #[must_use]
    pub fn set(mut self, key: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.data.insert(key, Some(value.into()));
        self
    }

    #[must_use]
    pub fn remove(mut self, key: &'static str) -> Self {
        self.data.insert(key, None);
        self
    }

    #[must_use]
    pub fn annotate(mut self, key: &'static str, value: Option<String>) -> Self {
        self.annotations.insert(key, value);
        self
    }

    /// The merge patch that makes this change to the form of the Secret that `version` names, and to no other.
    #[must_use]
    pub fn patch(&self, version: &str) -> Value {
        let data: BTreeMap<_, _> =
            self.data.iter().map(|(key, value)| (*key, value.clone().map(ByteString))).collect();
        json!({
            "metadata": {"resourceVersion": version, "annotations": self.annotations},
            "data": data,
        })
    }

    /// The Secret that this change makes where there is none.
    #[must_use]
    pub fn create(&self, namespace: &str, name: &str) -> Secret {
        let mut secret = self.apply(None);
        secret.metadata.namespace = Some(namespace.to_owned());
        secret.metadata.name = Some(name.to_owned());
        secret
    }

    /// The Secret after this change; `before` is `None` when there is none yet.
    #[must_use]
    pub fn apply(&self, before: Option<&Secret>) -> Secret {
        let mut secret = before
            .cloned()
            .unwrap_or_else(|| Secret { type_: Some("Opaque".to_owned()), ..Secret::default() });
        let data = secret.data.get_or_insert_default();
        for (key, value) in &self.data {
            match value {
                Some(value) => data.insert((*key).to_owned(), ByteString(value.clone())),
                None => data.remove(*key),
            };
        }
        let annotations = secret.metadata.annotations.get_or_insert_default();
        for (key, value) in &self.annotations {
            match value {
                Some(value) => annotations.insert((*key).to_owned(), value.clone()),
                None => annotations.remove(*key),
            };
        }
        secret
    }
}
