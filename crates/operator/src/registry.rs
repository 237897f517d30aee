//! The index of registry Secrets (`operator-process.md` section 12): one watch, kept per Secret, names and hosts only.
//! It wakes the components whose registry is concerned; what their pods name is decided in `dynamo-render`.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_api::v1alpha1::DynamoComponentDeployment;
use dynamo_kubekit::{
    cache::{Cache, Change, Feed, reference},
    key_of,
};
use dynamo_render::parts::pull_secrets::{registry_host, wanted_hosts};
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, Resource, runtime::watcher};
use serde::{Deserialize, de::IgnoredAny};
use tracing::warn;

use crate::{viewed::Viewed, wiring::Trigger};

const TYPE: &str = "kubernetes.io/dockerconfigjson";
const KEY: &str = ".dockerconfigjson";

/// A Secret for pulling images, reduced to the hosts it is for.
pub type RegistrySecret = Viewed<Secret, Hosts>;

/// Hosts with credentials in a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    Known(BTreeSet<String>),
    /// Where the content stops being a Docker configuration. Without the text of the parser, which may quote content.
    Malformed(String),
}

#[derive(Deserialize)]
struct DockerConfiguration {
    auths: Option<BTreeMap<String, IgnoredAny>>,
}

impl From<Secret> for Hosts {
    fn from(secret: Secret) -> Self {
        let content = secret.data.unwrap_or_default().remove(KEY).unwrap_or_default();
        match serde_json::from_slice::<DockerConfiguration>(&content.0) {
            Ok(configuration) => {
                let addresses = configuration.auths.unwrap_or_default().into_keys();
                Self::Known(
                    addresses.filter_map(|address| registry_host(&address).map(ToOwned::to_owned)).collect(),
                )
            }
            Err(error) => Self::Malformed(format!("line {}, column {}", error.line(), error.column())),
        }
    }
}

impl Hosts {
    /// Those that are known.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let known = match self {
            Self::Known(hosts) => Some(hosts),
            Self::Malformed(_) => None,
        };
        known.into_iter().flatten().map(String::as_str)
    }
}

/// Names of the Secrets of a namespace by host, sorted.
#[must_use]
pub fn pull_secrets(cache: &Cache<RegistrySecret>, namespace: &str) -> BTreeMap<String, Vec<String>> {
    let mut by_host: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for secret in cache.in_namespace(namespace) {
        for host in secret.view.iter() {
            by_host.entry(host.to_owned()).or_default().push(key_of(&*secret).1);
        }
    }
    by_host
}

/// The watch, in `namespace` or everywhere; a change wakes the components whose registry it concerns.
pub(crate) fn watch(
    client: &Client,
    namespace: Option<&str>,
    components: Cache<DynamoComponentDeployment>,
    trigger: Trigger<DynamoComponentDeployment>,
) -> Feed<RegistrySecret> {
    let config = watcher::Config::default().fields(&format!("type={TYPE}"));
    let mut feed = Feed::<RegistrySecret>::new(client.clone(), namespace, config);
    feed.on_change(move |change| {
        report_malformed(change);
        let concerned = concerned_hosts(change);
        if concerned.is_empty() {
            return;
        }
        let (namespace, _) = key_of(&**change.object());
        for component in components.in_namespace(&namespace) {
            if wanted_hosts(&component.spec.shared).iter().any(|host| concerned.contains(host)) {
                trigger.send(reference(&*component));
            }
        }
    });
    feed
}

/// Hosts for which the Secret counts now and did not before, or the other way round.
fn concerned_hosts(change: &Change<RegistrySecret>) -> BTreeSet<&str> {
    match change {
        Change::Applied { now, before: Some(before) } => {
            let (now, before) = (now.view.iter().collect(), before.view.iter().collect::<BTreeSet<_>>());
            before.symmetric_difference(&now).copied().collect()
        }
        Change::Applied { now: only, before: None } | Change::Gone(only) => only.view.iter().collect(),
    }
}

fn report_malformed(change: &Change<RegistrySecret>) {
    let Change::Applied { now, before } = change else { return };
    let Hosts::Malformed(place) = &now.view else { return };
    // A list after an interruption shows the same version again.
    if before.as_ref().is_none_or(|before| before.meta().resource_version != now.meta().resource_version) {
        let (namespace, name) = key_of(&**now);
        warn!(%namespace, %name, %place, "{KEY} is no Docker configuration: the Secret is not used for pulling images");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(content: &str) -> RegistrySecret {
        let mut secret = Secret::default();
        secret.metadata.name = Some("s".to_owned());
        secret.metadata.annotations = Some([("copy".to_owned(), content.to_owned())].into());
        let content = k8s_openapi::ByteString(content.as_bytes().to_vec());
        secret.data = Some([(KEY.to_owned(), content)].into());
        secret.into()
    }

    #[test]
    fn nothing_of_the_credentials_is_kept() {
        let content = json!({"auths": {"https://nvcr.io/v2/": {"auth": "hunter2"}}, "hunter2": 1});
        for text in [content.to_string(), r#"{"auths": "hunter2"}"#.to_owned()] {
            let kept = secret(&text);
            assert!(!format!("{kept:?}").contains("hunter2"), "{kept:?}");
        }
        assert_eq!(secret(&content.to_string()).view, Hosts::Known(["nvcr.io".to_owned()].into()));
    }

    #[test]
    fn only_hosts_that_come_or_go_are_concerned() {
        let old = || std::sync::Arc::new(secret(r#"{"auths": {"a.io": {}, "b.io": {}}}"#));
        let new = || std::sync::Arc::new(secret(r#"{"auths": {"b.io": {"auth": "x"}, "c.io": {}}}"#));
        let broken = || std::sync::Arc::new(secret("[]"));
        let of =
            |change| concerned_hosts(&change).into_iter().map(ToOwned::to_owned).collect::<Vec<String>>();
        let update = |now, before| Change::Applied { now, before: Some(before) };
        assert_eq!(of(update(new(), old())), ["a.io", "c.io"]);
        assert_eq!(of(update(new(), new())), [""; 0]);
        assert_eq!(of(update(broken(), new())), ["b.io", "c.io"]);
        assert_eq!(of(Change::Applied { now: new(), before: None }), ["b.io", "c.io"]);
        assert_eq!(of(Change::Gone(new())), ["b.io", "c.io"]);
    }
}
