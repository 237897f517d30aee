//! Finds the endpoints and model cards of a graph and publishes the own ones (runtime.md 5).
//! It must not judge what it finds: consumers compare snapshots and decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::card::ModelCard;
use crate::endpoint::EndpointId;
use crate::identity::{ID_MASK, PodIdentity, instance_id};
use crate::settings;

use etcd::Etcd;
use file::FileStore;
use kubernetes::Kubernetes;
use memory::Memory;
use record::Registry;

mod etcd;
mod file;
mod kubernetes;
mod memory;
mod record;
mod view;

/// Map of the published object and where a key-value store keeps its entries (runtime.md 5.2).
const TREES: [(&str, &str); 2] = [("endpoints", "v1/instances"), ("model_cards", "v1/mdc")];

/// `namespace/component/endpoint/<hex id>`, for cards optionally `/<suffix>` more.
pub type Key = String;

/// How an instance is called; the JSON form has the transport's name as its only key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// `host:port/<hex id>/<endpoint>`.
    Tcp(String),
    /// Base URL of a worker called over HTTP.
    Http(String),
    /// NATS subject.
    NatsTcp(String),
}

/// One running copy of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointInstance {
    pub id: EndpointId,
    pub instance_id: u64,
    pub transport: Transport,
}

impl EndpointInstance {
    pub fn key(&self) -> Key {
        self.id.key(self.instance_id)
    }
}

/// A model card as one instance published it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCardEntry {
    pub id: EndpointId,
    pub instance_id: u64,
    /// Set for adapters, which publish a card beside their base model's.
    pub suffix: Option<String>,
    pub card: Arc<ModelCard>,
    /// The card's JSON as it was published, with fields this version does not know.
    pub raw: Value,
}

impl ModelCardEntry {
    pub fn new(id: EndpointId, instance_id: u64, card: ModelCard) -> Self {
        let raw = serde_json::to_value(&card).unwrap_or_default();
        Self { id, instance_id, suffix: None, card: Arc::new(card), raw }
    }

    pub fn key(&self) -> Key {
        let key = self.id.key(self.instance_id);
        match &self.suffix {
            Some(suffix) => format!("{key}/{suffix}"),
            None => key,
        }
    }
}

/// Everything that is visible at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub instances: BTreeMap<Key, EndpointInstance>,
    pub cards: BTreeMap<Key, ModelCardEntry>,
    /// False until the first complete view of the backend.
    pub synced: bool,
}

/// What a worker publishes in one step.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    pub instance: Option<EndpointInstance>,
    pub cards: Vec<ModelCardEntry>,
}

impl Registration {
    /// An endpoint without a model, such as a router's.
    pub fn endpoint(instance: EndpointInstance) -> Self {
        Self { instance: Some(instance), cards: Vec::new() }
    }

    /// An endpoint that serves a model.
    pub fn model(instance: EndpointInstance, card: ModelCard) -> Self {
        let entry = ModelCardEntry::new(instance.id.clone(), instance.instance_id, card);
        Self { instance: Some(instance), cards: vec![entry] }
    }
}

/// Proof of a registration; give it back to [`Discovery::unregister`]. Dropping it changes nothing:
/// what stays registered ends with the pod or the lease.
#[derive(Debug)]
pub struct RegistrationHandle {
    endpoint: Option<Key>,
    cards: Vec<Key>,
}

/// A failure to publish or to reach the backend.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error(
        "DynamoWorkerMetadata {namespace}/{name} cannot be {verb}: {source}; the pod's ServiceAccount needs \
         get, list, watch, create and patch on dynamoworkermetadatas.nvidia.com"
    )]
    Publish { verb: &'static str, namespace: String, name: String, source: Box<kube::Error> },
    #[error(
        "DynamoWorkerMetadata {namespace}/{name} was not {verb} within {seconds} s; the API server does not \
         answer"
    )]
    Timeout { verb: &'static str, namespace: String, name: String, seconds: u64 },
    #[error("registry file `{}` cannot be changed: {source}", .path.display())]
    Store { path: std::path::PathBuf, source: std::io::Error },
    #[error("{0}")]
    Etcd(String),
    #[error("{0}")]
    Settings(String),
    #[error("no Kubernetes API can be reached from this process")]
    Client(#[source] Box<kube::Error>),
    #[error("no configuration for the Kubernetes API")]
    Config(#[source] Box<kube::config::InferConfigError>),
    #[error("Kubernetes discovery needs the pod's identity")]
    Identity(#[from] crate::identity::IdentityError),
    #[error("registry key `{key}` is already taken; each endpoint registers once and under an id of its own")]
    Duplicate { key: Key },
    #[error(
        "discovery backend `{backend}` is not supported; set DYN_DISCOVERY_BACKEND to kubernetes or etcd, to file for \
         several processes on one machine, or to mem for a single process"
    )]
    Backend { backend: String },
}

impl DiscoveryError {
    /// Whether the same registration may succeed later: the backend was not reached or refused it for now.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Publish { .. } | Self::Timeout { .. } | Self::Etcd(_))
    }
}

#[derive(Debug)]
enum Backend {
    Etcd(Box<Etcd>),
    Kubernetes(Box<Kubernetes>),
    Memory(Memory),
    File(FileStore),
}

/// A shared handle to the discovery backend; clones see the same registry.
#[derive(Clone, Debug)]
pub struct Discovery {
    backend: Arc<Backend>,
}

impl Discovery {
    /// Discovery through the Kubernetes API in the identity's namespace (runtime.md 5.1). Nothing is
    /// read or written before the first `watch` or `register`.
    pub fn kubernetes(client: kube::Client, identity: PodIdentity) -> Self {
        Self { backend: Arc::new(Backend::Kubernetes(Box::new(Kubernetes::new(client, identity)))) }
    }

    /// A registry inside this process, for tests and `DYN_DISCOVERY_BACKEND=mem`.
    pub fn memory() -> Self {
        Self { backend: Arc::new(Backend::Memory(Memory::default())) }
    }

    /// The backend named by `DYN_DISCOVERY_BACKEND` (`kubernetes`; `etcd`; `file`; `mem` or `none`), or by
    /// `store_kv` (the `--store-kv` flag) when the variable is unset or says `kv_store`; else etcd.
    pub async fn from_environment(store_kv: Option<&str>) -> Result<Self, DiscoveryError> {
        let named = settings::text("DYN_DISCOVERY_BACKEND").map(|name| name.to_ascii_lowercase());
        let named = named.filter(|name| name != "kv_store");
        let backend = named.as_deref().or(store_kv).unwrap_or("etcd").to_ascii_lowercase();
        match backend.as_str() {
            "kubernetes" => {
                let identity = PodIdentity::from_environment()?;
                let config =
                    kube::Config::infer().await.map_err(|source| DiscoveryError::Config(Box::new(source)))?;
                let client = kube::Client::try_from(config)
                    .map_err(|source| DiscoveryError::Client(Box::new(source)))?;
                Ok(Self::kubernetes(client, identity))
            }
            "etcd" => Ok(Self { backend: Arc::new(Backend::Etcd(Box::new(Etcd::from_environment()?))) }),
            "mem" | "memory" | "none" => Ok(Self::memory()),
            "file" => Ok(Self { backend: Arc::new(Backend::File(FileStore::from_environment())) }),
            _ => Err(DiscoveryError::Backend { backend }),
        }
    }

    /// An id for an instance of the pod or process `name`. With etcd it is that of a lease to come, which no other
    /// process may have had: a random one (runtime.md 5.2). Else it follows from the name.
    pub fn new_instance_id(&self, name: &str) -> u64 {
        match self.backend.as_ref() {
            Backend::Etcd(_) => rand::random_range(1..=ID_MASK),
            Backend::Kubernetes(_) | Backend::Memory(_) | Backend::File(_) => instance_id(name),
        }
    }

    /// Where the backend holds several Dynamo namespaces, only this one is watched. To be called before `watch`.
    pub fn limit_to(&self, namespace: &str) {
        if let Backend::Etcd(backend) = self.backend.as_ref() {
            backend.limit_to(namespace);
        }
    }

    /// Publishes an endpoint with its cards in one write; on failure nothing stays registered.
    pub async fn register(&self, registration: Registration) -> Result<RegistrationHandle, DiscoveryError> {
        let handle = RegistrationHandle {
            endpoint: registration.instance.as_ref().map(EndpointInstance::key),
            cards: registration.cards.iter().map(ModelCardEntry::key).collect(),
        };
        match self.backend.as_ref() {
            Backend::Kubernetes(backend) => backend.change(|own| own.add(&registration)).await?,
            Backend::Etcd(backend) => backend.change(|own| own.add(&registration)).await?,
            Backend::Memory(backend) => backend.change(|own| own.add(&registration))?,
            Backend::File(backend) => backend.change(|own| own.add(&registration))?,
        }
        Ok(handle)
    }

    /// Takes a registration back. Unknown keys are not an error.
    pub async fn unregister(&self, handle: &RegistrationHandle) -> Result<(), DiscoveryError> {
        let removal = |own: &mut Registry| {
            own.remove(handle.endpoint.as_ref(), &handle.cards);
            Ok(())
        };
        match self.backend.as_ref() {
            Backend::Kubernetes(backend) => backend.change(removal).await,
            Backend::Etcd(backend) => backend.change(removal).await,
            Backend::Memory(backend) => backend.change(removal),
            Backend::File(backend) => backend.change(removal),
        }
    }

    /// Takes back everything this process registered.
    pub async fn unregister_all(&self) -> Result<(), DiscoveryError> {
        let removal = |own: &mut Registry| {
            own.clear();
            Ok(())
        };
        match self.backend.as_ref() {
            Backend::Kubernetes(backend) => backend.change(removal).await,
            Backend::Etcd(backend) => backend.change(removal).await,
            Backend::Memory(backend) => backend.change(removal),
            Backend::File(backend) => backend.change(removal),
        }
    }

    /// Empties what an earlier container of this pod left behind; a worker calls it at start, before
    /// it loads its model. Does nothing when there is no such object.
    pub async fn clear_stale(&self) -> Result<(), DiscoveryError> {
        match self.backend.as_ref() {
            Backend::Kubernetes(backend) => backend.clear_stale().await,
            // Entries of another process end with its lease.
            Backend::Etcd(_) | Backend::Memory(_) | Backend::File(_) => Ok(()),
        }
    }

    /// The visible state, now and after each change. Removals are shown at once; additions may be
    /// gathered for up to 500 ms.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        match self.backend.as_ref() {
            Backend::Kubernetes(backend) => backend.watch(),
            Backend::Etcd(backend) => backend.watch(),
            Backend::Memory(backend) => backend.watch(),
            Backend::File(backend) => backend.watch(),
        }
    }

    /// What this process has registered, in the form of 5.1 (`/metadata` of the system server);
    /// `None` unless the backend is Kubernetes.
    pub fn own_metadata(&self) -> Option<Value> {
        match self.backend.as_ref() {
            Backend::Kubernetes(backend) => Some(backend.own_metadata()),
            Backend::Etcd(_) | Backend::Memory(_) | Backend::File(_) => None,
        }
    }
}
