//! Secrets of the operator's namespace that pods need in their own: copied there and kept equal to their source
//! (`operator-process.md` section 12). Content is read when it is written, never kept; a Secret that a user made under
//! that name is left alone. Who needs which one is said in the modules below.

pub mod credentials;
pub mod keygen;
pub mod mpi;
mod view;

use std::{collections::BTreeMap, sync::Arc};

use dynamo_api::labels::annotations::COPIED_FROM;
use dynamo_kubekit::{
    apply::{ApplyError, Class, LAST_APPLIED_HASH},
    cache::{Cache, Change, Feed},
    key_of,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource,
    api::ObjectMeta,
    runtime::{reflector::store::WriterDropped, watcher},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::info;

use crate::{context::failed, flags::NamespacedName, turns::Turns, writes};
pub use view::{Content, CopiedSecret};
use view::{Maker, hash_of, origin_of};

/// Why a namespace has no copy, or an old one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("error getting source secret {namespace}/{name} {hint}")]
    Source { namespace: String, name: String, hint: String, source: Box<kube::Error> },
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
            Self::Source { .. } => "secret_source",
            Self::Copy(cause) => cause.category(),
        }
    }
}

/// A Secret that is copied.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Every copy has its name.
    pub(crate) source: NamespacedName,
    /// For whoever reads that it is missing: the flags that name it, what to do.
    pub(crate) hint: String,
    /// Whether the reference copies it, too: its copies are taken over, and ours look like them.
    pub(crate) has_reference: bool,
}

/// What the watches tell of a Secret and its copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News<'a> {
    /// The source has another content.
    Source,
    /// The copy in this namespace is gone, or not equal to its source.
    Outdated(&'a str),
    /// The Secret in this namespace is new or has another content, and it is the one to use.
    Changed(&'a str),
}

/// A source and its copies as the watches show them.
#[derive(Debug, Clone)]
pub struct Copied {
    settings: Settings,
    sources: Cache<CopiedSecret>,
    copies: Cache<CopiedSecret>,
    /// Several reconciles need the copy of one namespace at once; the first one writes it.
    turns: Arc<Turns>,
    /// Woken when the source is deleted.
    source_gone: Arc<Notify>,
}

impl Copied {
    /// Watches the Secrets of that name, in `namespace` or everywhere, and the source itself when it is elsewhere.
    pub(crate) fn watch(
        client: &Client,
        namespace: Option<&str>,
        settings: Settings,
        listener: impl Fn(News<'_>) + Clone + Send + 'static,
    ) -> (Self, Vec<Feed<CopiedSecret>>) {
        let feed = |namespace: Option<&str>| {
            let config =
                watcher::Config::default().fields(&format!("metadata.name={}", settings.source.name));
            Feed::<CopiedSecret>::new(client.clone(), namespace, config)
        };
        let of_copies = feed(namespace);
        // One watch serves for both unless the source is out of its reach.
        let of_source = namespace
            .filter(|namespace| *namespace != settings.source.namespace)
            .map(|_| feed(Some(&settings.source.namespace)));
        let copies = of_copies.cache();
        let sources = of_source.as_ref().unwrap_or(&of_copies).cache();
        let copied = Self { settings, sources, copies, turns: Arc::default(), source_gone: Arc::default() };
        let mut feeds: Vec<_> = std::iter::once(of_copies).chain(of_source).collect();
        for feed in &mut feeds {
            let (copied, listener) = (copied.clone(), listener.clone());
            feed.on_change(move |change| {
                let (namespace, _) = key_of(&**change.object());
                if let Some(news) = copied.news(change, &namespace) {
                    listener(news);
                }
            });
        }
        (copied, feeds)
    }

    /// Resolves when the copies are known. A source out of their watch is not waited for: the operator may lack the
    /// right to watch it, which is an error of the graphs that need it and of no other.
    ///
    /// # Errors
    /// When the watch ended before.
    pub async fn wait_until_ready(&self) -> Result<(), WriterDropped> {
        self.copies.wait_until_ready().await
    }

    fn news<'a>(&self, change: &Change<CopiedSecret>, namespace: &'a str) -> Option<News<'a>> {
        let is_source = namespace == self.settings.source.namespace;
        match change {
            Change::Applied { now, before } => {
                let is_new = before.as_ref().is_none_or(|before| before.view.hash != now.view.hash);
                match (is_source, is_new) {
                    (true, is_new) => is_new.then_some(News::Source),
                    (false, _) if !self.is_current(&now.view) => Some(News::Outdated(namespace)),
                    (false, is_new) => is_new.then_some(News::Changed(namespace)),
                }
            }
            // Copies outlive their source.
            Change::Gone(_) if is_source => {
                self.source_gone.notify_one();
                None
            }
            Change::Gone(_) => Some(News::Outdated(namespace)),
        }
    }

    /// Whether a Secret in a graph's namespace is to be left as it is.
    fn is_current(&self, copy: &Content) -> bool {
        let is_copy = match copy.maker {
            Maker::Operator => true,
            Maker::Reference => self.settings.has_reference,
            Maker::Somebody => false,
        };
        let source = || self.sources.get(&self.settings.source.namespace, &self.settings.source.name);
        !is_copy || source().is_none_or(|source| source.view.hash == copy.hash)
    }

    fn current(&self, namespace: &str) -> Option<Arc<CopiedSecret>> {
        let copy = self.copies.get(namespace, &self.settings.source.name);
        copy.filter(|copy| self.is_current(&copy.view))
    }

    /// Makes sure that `namespace` has a copy of the source, or a Secret of a user's that stands for it. Returns it.
    ///
    /// # Errors
    /// See [`Error`]. A namespace that has a copy keeps it, also when the source is gone.
    pub async fn ensure(&self, client: &Client, namespace: &str) -> Result<Arc<CopiedSecret>, Error> {
        if let Some(current) = self.current(namespace) {
            return Ok(current);
        }
        let _turn = self.turns.take(namespace).await;
        if let Some(current) = self.current(namespace) {
            return Ok(current);
        }
        let source = self.read_source(client).await?;
        if namespace == self.settings.source.namespace {
            return Ok(self.copies.note_written(source.into()));
        }
        let api = Api::<Secret>::namespaced(client.clone(), namespace);
        let wanted = self.copy_of(&source, namespace);
        let name = &self.settings.source.name;
        let copy = match self.copies.get(namespace, name) {
            Some(copy) => copy,
            None => match writes::create(&api, &wanted).await.map_err(failed("create", &wanted))? {
                Some(made) => return Ok(self.note(namespace, made)),
                // Somebody was faster than the watch tells.
                None => {
                    let there = api.get(name).await.map_err(failed("get", &wanted))?;
                    self.copies.note_written(there.into())
                }
            },
        };
        if self.is_current(&copy.view) || copy.view.hash == hash_of(&wanted) {
            return Ok(copy);
        }
        let change = replacement(&copy, &wanted);
        let written = writes::merge(&api, name, &change).await.map_err(failed("update", &wanted))?;
        Ok(self.note(namespace, written))
    }

    fn note(&self, namespace: &str, written: Secret) -> Arc<CopiedSecret> {
        info!(namespace, name = self.settings.source.name, "Secret copied");
        self.copies.note_written(written.into())
    }

    fn copy_of(&self, source: &Secret, namespace: &str) -> Secret {
        let mut annotations = BTreeMap::from([(LAST_APPLIED_HASH.to_owned(), hash_of(source))]);
        if !self.settings.has_reference {
            annotations.insert(COPIED_FROM.to_owned(), origin_of(source));
        }
        Secret {
            metadata: ObjectMeta {
                name: source.metadata.name.clone(),
                namespace: Some(namespace.to_owned()),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            type_: source.type_.clone(),
            data: source.data.clone(),
            ..Secret::default()
        }
    }

    async fn read_source(&self, client: &Client) -> Result<Secret, Error> {
        let Settings { source: NamespacedName { namespace, name }, hint, .. } = self.settings.clone();
        let api = Api::<Secret>::namespaced(client.clone(), &namespace);
        let read = api.get(&name).await;
        read.map_err(|source| Error::Source { namespace, name, hint, source: Box::new(source) })
    }
}

/// A merge patch that leaves nothing of the old content, bound to the form that was looked at.
fn replacement(copy: &CopiedSecret, wanted: &Secret) -> Value {
    let mut data: BTreeMap<&str, Value> =
        copy.view.keys().into_iter().map(|key| (key, Value::Null)).collect();
    data.extend(wanted.data.iter().flatten().map(|(key, value)| (key.as_str(), json!(value))));
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
