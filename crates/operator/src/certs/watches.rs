//! The watches of the keepers: one Secret and two webhook configurations, each by its name alone.
//! An idle keeper asks nothing; errors are told once until they change.

use std::collections::BTreeMap;

use futures::{
    Stream, StreamExt,
    stream::{BoxStream, select},
};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Secret,
};
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use tracing::warn;

use super::published::{Configuration, Configurations, Published, Which};

pub(super) const SECRET: &str = "Secret";

/// What a watch told; `None` says that the object does not exist.
#[derive(Debug)]
pub(super) enum Seen {
    Secret(Option<Box<Secret>>),
    Configuration(Which, Option<Configuration>),
    Failed(&'static str, String),
}

pub(super) fn secret(client: &Client, namespace: &str, name: &str) -> BoxStream<'static, Seen> {
    let stream = watch_object(Api::<Secret>::namespaced(client.clone(), namespace), name).default_backoff();
    told(SECRET, stream, |secret| Seen::Secret(secret.map(Box::new)))
}

pub(super) fn configurations(client: &Client, names: &Configurations) -> BoxStream<'static, Seen> {
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let validating = watch_object(validating, &names.validating).default_backoff();
    let mutating = watch_object(mutating, &names.mutating).default_backoff();
    select(
        told(Which::Validating.kind(), validating, |object| {
            Seen::Configuration(Which::Validating, object.as_ref().map(Into::into))
        }),
        told(Which::Mutating.kind(), mutating, |object| {
            Seen::Configuration(Which::Mutating, object.as_ref().map(Into::into))
        }),
    )
    .boxed()
}

fn told<K: 'static>(
    kind: &'static str,
    stream: impl Stream<Item = Result<Option<K>, kube::runtime::watcher::Error>> + Send + 'static,
    tell: impl Fn(Option<K>) -> Seen + Send + 'static,
) -> BoxStream<'static, Seen> {
    stream
        .map(move |event| match event {
            Ok(object) => tell(object),
            Err(error) => Seen::Failed(kind, dynamo_kubekit::client::chain(&error)),
        })
        .boxed()
}

/// Both configurations as far as the watches told of them.
#[derive(Debug, Default)]
pub(super) struct Registered {
    published: Published,
    known: [bool; 2],
}

impl Registered {
    /// Takes in what a watch or an own write told. An older form than the known one is passed over.
    pub(super) fn note(&mut self, which: Which, configuration: Option<Configuration>) {
        self.known[which as usize] = true;
        if let (Some(known), Some(told)) = (self.published.get(which), &configuration)
            && known.uid == told.uid
            && is_older(&told.version, &known.version)
        {
            return;
        }
        self.published.set(which, configuration);
    }

    /// What is published, once both watches have answered.
    pub(super) fn published(&self) -> Option<&Published> {
        self.known.iter().all(|known| *known).then_some(&self.published)
    }

    /// A reason not to be ready: a configuration that is not there.
    pub(super) fn trouble(&self, names: &Configurations) -> Option<String> {
        let which = Which::ALL.into_iter().find(|which| self.published.get(*which).is_none())?;
        Some(format!("{} {} does not exist yet", which.kind(), names.name(which)))
    }
}

/// Compares two resourceVersions of one object. What is no number is never older.
pub(super) fn is_older(version: &str, than: &str) -> bool {
    let number = |version: &str| version.parse::<u128>().ok();
    matches!((number(version), number(than)), (Some(version), Some(than)) if version < than)
}

/// Tells of a trouble once, until it changes or ends.
#[derive(Debug, Default)]
pub(super) struct Complaint(Option<String>);

impl Complaint {
    /// Whether this is new.
    pub(super) fn tell(&mut self, what: &str, reason: &str) -> bool {
        if self.0.as_deref() == Some(reason) {
            return false;
        }
        warn!(%reason, "{what}");
        self.0 = Some(reason.to_owned());
        true
    }

    pub(super) fn end(&mut self) {
        self.0 = None;
    }
}

/// Failures of watches, each told once by kind.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<&'static str, Complaint>);

impl Failures {
    /// The failure as a reason not to be ready.
    pub(super) fn tell(&mut self, kind: &'static str, reason: &str) -> String {
        self.0.entry(kind).or_default().tell(&format!("watch of {kind} failed, will retry"), reason);
        format!("watch of {kind} failed: {reason}")
    }

    pub(super) fn end(&mut self, kind: &'static str) {
        self.0.remove(kind);
    }
}
