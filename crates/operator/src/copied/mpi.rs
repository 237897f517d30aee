//! The SSH key of MPI launchers: copied from the operator's namespace into each namespace with a graph that runs
//! TensorRT-LLM over several nodes, and kept equal to its source (`operator-process.md` section 12). Key material is
//! read when it is written, never kept; a Secret that a user made under that name is left alone.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_api::v1alpha1::{BackendFramework, DynamoGraphDeployment};
use dynamo_kubekit::{
    apply::{ApplyError, Class, LAST_APPLIED_HASH},
    cache::{Cache, Change, Feed, reference},
    diff::content_hash,
    key_of,
};
use dynamo_render::backend;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    runtime::watcher,
};
use serde_json::{Value, json};
use tracing::info;

use crate::{
    context::{FIELD_MANAGER, failed},
    flags::NamespacedName,
    viewed::Viewed,
    wiring::Trigger,
};

/// Field manager of the reference's operator, whose copies carry no mark.
const REFERENCE: &str = "manager";

/// A Secret of that name, reduced to what tells whether it must be written.
pub type KeySecret = Viewed<Secret, Key>;

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Hash over type and content.
    hash: String,
    /// Names in the content, so that one that is no longer wanted can be taken out.
    entries: BTreeSet<String>,
    /// Whether an operator made the Secret.
    is_copy: bool,
}

impl From<Secret> for Key {
    fn from(secret: Secret) -> Self {
        let meta = &secret.metadata;
        let marked = meta.annotations.iter().flatten().any(|(key, _)| key == LAST_APPLIED_HASH);
        // Other programs have that name, too, but they leave more on what they make.
        let is_bare = meta.annotations.is_none() && meta.labels.is_none() && meta.owner_references.is_none();
        let by_reference = is_bare
            && meta.managed_fields.iter().flatten().any(|entry| entry.manager.as_deref() == Some(REFERENCE));
        Self {
            hash: hash_of(&secret),
            entries: secret.data.into_iter().flatten().map(|(name, _)| name).collect(),
            is_copy: marked || by_reference,
        }
    }
}

fn hash_of(secret: &Secret) -> String {
    content_hash(&json!({"type": secret.type_, "data": secret.data}))
}

/// Why a namespace has no key, or an old one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "error getting source secret {namespace}/{name} (--mpi-run-ssh-secret-namespace, --mpi-run-ssh-secret-name)"
    )]
    Source { namespace: String, name: String, source: Box<kube::Error> },
    #[error(transparent)]
    Copy(#[from] ApplyError),
}

impl Error {
    /// What happens next.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Source { source, .. } => match &**source {
                kube::Error::Api(status) if matches!(status.code, 403 | 404) => Class::Invalid,
                _ => Class::Transient,
            },
            Self::Copy(cause) => cause.class(),
        }
    }

    /// A short fixed word for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Source { .. } => "mpi_secret_source",
            Self::Copy(cause) => cause.category(),
        }
    }
}

/// Whether some service runs TensorRT-LLM over several nodes: only its pods start each other over SSH.
#[must_use]
pub fn is_needed(dgd: &DynamoGraphDeployment) -> bool {
    dgd.spec.services.values().any(|spec| {
        spec.multinode.as_ref().is_some_and(|multinode| multinode.node_count > 1)
            && matches!(
                backend::of(spec, dgd.spec.backend_framework.as_ref()),
                Ok(Some(BackendFramework::Trtllm))
            )
    })
}

/// The source and its copies as the watches show them.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Where the key is; every copy has its name.
    source: NamespacedName,
    sources: Cache<KeySecret>,
    copies: Cache<KeySecret>,
}

impl Keys {
    /// Watches the Secrets of that name, in `namespace` or everywhere, and the source itself when it is elsewhere. A
    /// change wakes the graphs whose key is no longer that of the source.
    pub(crate) fn watch(
        client: &Client,
        namespace: Option<&str>,
        source: &NamespacedName,
        graphs: &Cache<DynamoGraphDeployment>,
        trigger: &Trigger<DynamoGraphDeployment>,
    ) -> (Self, Vec<Feed<KeySecret>>) {
        let feed = |namespace: Option<&str>| {
            let config = watcher::Config::default().fields(&format!("metadata.name={}", source.name));
            Feed::<KeySecret>::new(client.clone(), namespace, config)
        };
        let of_copies = feed(namespace);
        // One watch serves for both unless the source is out of its reach.
        let of_source = namespace
            .filter(|namespace| *namespace != source.namespace)
            .map(|_| feed(Some(&source.namespace)));
        let copies = of_copies.cache();
        let sources = of_source.as_ref().unwrap_or(&of_copies).cache();
        let keys = Self { source: source.clone(), sources, copies };
        let mut feeds: Vec<_> = std::iter::once(of_copies).chain(of_source).collect();
        for feed in &mut feeds {
            let (keys, graphs, trigger) = (keys.clone(), graphs.clone(), trigger.clone());
            feed.on_change(move |change| keys.wake(change, &graphs, &trigger));
        }
        (keys, feeds)
    }

    /// Resolves when the copies are known. A source out of their watch is not waited for: the operator may lack the
    /// right to watch it, which is an error of the graphs that need it and of no other.
    ///
    /// # Errors
    /// When the watch ended before.
    pub async fn wait_until_ready(&self) -> Result<(), kube::runtime::reflector::store::WriterDropped> {
        self.copies.wait_until_ready().await
    }

    fn wake(
        &self,
        change: &Change<KeySecret>,
        graphs: &Cache<DynamoGraphDeployment>,
        trigger: &Trigger<DynamoGraphDeployment>,
    ) {
        let (namespace, _) = key_of(&**change.object());
        let concerned = match change {
            Change::Applied { now, before } if namespace == self.source.namespace => {
                let is_new = before.as_ref().is_none_or(|before| before.view.hash != now.view.hash);
                if is_new { graphs.all() } else { Vec::new() }
            }
            // Copies outlive their source.
            Change::Gone(_) if namespace == self.source.namespace => Vec::new(),
            Change::Applied { now, .. } if self.is_current(&now.view) => Vec::new(),
            Change::Applied { .. } | Change::Gone(_) => graphs.in_namespace(&namespace),
        };
        concerned.iter().filter(|graph| is_needed(graph)).for_each(|graph| trigger.send(reference(&**graph)));
    }

    fn known_source(&self) -> Option<std::sync::Arc<KeySecret>> {
        self.sources.get(&self.source.namespace, &self.source.name)
    }

    /// Whether a Secret in a graph's namespace is to be left as it is.
    fn is_current(&self, copy: &Key) -> bool {
        !copy.is_copy || self.known_source().is_none_or(|source| source.view.hash == copy.hash)
    }

    /// Makes sure that `namespace` has the key of the source.
    ///
    /// # Errors
    /// See [`Error`]. A namespace that has a copy keeps it, also when the source is gone.
    pub async fn ensure(&self, client: &Client, namespace: &str) -> Result<(), Error> {
        let copy = self.copies.get(namespace, &self.source.name);
        if copy.as_ref().is_some_and(|copy| self.is_current(&copy.view)) {
            return Ok(());
        }
        let source = self.read_source(client).await?;
        if namespace == self.source.namespace {
            return Ok(());
        }
        let api = Api::<Secret>::namespaced(client.clone(), namespace);
        let hash = hash_of(&source);
        let annotations = BTreeMap::from([(LAST_APPLIED_HASH.to_owned(), hash)]);
        let wanted = Secret {
            metadata: ObjectMeta {
                name: Some(self.source.name.clone()),
                namespace: Some(namespace.to_owned()),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            type_: source.type_,
            data: source.data,
            ..Secret::default()
        };
        let written = match copy {
            None => {
                let params =
                    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                match api.create(&params, &wanted).await {
                    // Made by another graph of the namespace just now; the watch is about to show it.
                    Err(kube::Error::Api(status)) if status.code == 409 => return Ok(()),
                    answer => answer.map_err(failed("create", &wanted))?,
                }
            }
            Some(copy) => {
                let change = Patch::Merge(replacement(&copy, &wanted));
                let params =
                    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
                api.patch(&self.source.name, &params, &change).await.map_err(failed("update", &wanted))?
            }
        };
        info!(namespace, name = self.source.name, "SSH key of MPI copied");
        self.copies.note_written(KeySecret::from(written));
        Ok(())
    }

    async fn read_source(&self, client: &Client) -> Result<Secret, Error> {
        let NamespacedName { namespace, name } = self.source.clone();
        let api = Api::<Secret>::namespaced(client.clone(), &namespace);
        api.get(&name).await.map_err(|source| Error::Source { namespace, name, source: Box::new(source) })
    }
}

/// A merge patch that leaves nothing of the old content, bound to the form that was looked at.
fn replacement(copy: &KeySecret, wanted: &Secret) -> Value {
    let mut data: BTreeMap<&str, Value> =
        copy.view.entries.iter().map(|name| (name.as_str(), Value::Null)).collect();
    data.extend(wanted.data.iter().flatten().map(|(name, value)| (name.as_str(), json!(value))));
    json!({
        "metadata": {
            "uid": copy.meta().uid,
            "resourceVersion": copy.meta().resource_version,
            "annotations": wanted.metadata.annotations,
        },
        "type": wanted.type_,
        "data": data,
    })
}
