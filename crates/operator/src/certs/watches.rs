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
    ahead: [Ahead; 2],
}

/// The form of an object, by uid and version, that an own write or read told before the watch did. Only until the
/// watch has caught up are versions compared: after a restore of etcd they start lower.
#[derive(Debug, Default)]
pub(super) struct Ahead(Option<(String, String)>);

impl Ahead {
    pub(super) fn set(&mut self, known: Option<(String, String)>, told: Option<(String, String)>) {
        // What the watch told already is not told again.
        if known != told {
            self.0 = told;
        }
    }

    /// Whether the watch tells an older form than the one that is known.
    pub(super) fn is_ahead_of(&mut self, told: Option<(&str, &str)>) -> bool {
        if let (Some((uid, version)), Some((told_uid, told_version))) = (&self.0, told)
            && uid == told_uid
            && is_older(told_version, version)
        {
            return true;
        }
        self.0 = None;
        false
    }
}

impl Registered {
    /// Takes in what a watch told.
    pub(super) fn note(&mut self, which: Which, configuration: Option<Configuration>) {
        self.known[which as usize] = true;
        let told = configuration.as_ref().map(|told| (told.uid.as_str(), told.version.as_str()));
        if !self.ahead[which as usize].is_ahead_of(told) {
            self.published.set(which, configuration);
        }
    }

    /// Takes in what an own write or read told, which is newer than what the watch told.
    pub(super) fn set(&mut self, which: Which, configuration: Option<Configuration>) {
        let version = |one: &Configuration| (one.uid.clone(), one.version.clone());
        let told = configuration.as_ref().map(version);
        self.ahead[which as usize].set(self.published.get(which).map(version), told);
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
fn is_older(version: &str, than: &str) -> bool {
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
