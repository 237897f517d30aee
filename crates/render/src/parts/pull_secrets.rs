//! Which registry an image and a registry Secret belong to, and the Secrets a pod names for it (`workload.md`
//! section 6.6). Finding the Secrets is not done here.

use std::collections::BTreeSet;

use dynamo_api::{labels::annotations, v1alpha1::SharedSpec};
use k8s_openapi::api::core::v1::LocalObjectReference;

use crate::facts::Facts;

/// Host of an address under `auths` of a Docker configuration: its port is kept; scheme, user and path are not.
/// `None` when nothing is left.
#[must_use]
pub fn registry_host(address: &str) -> Option<&str> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    (!host.is_empty()).then_some(host)
}

/// The registry host whose Secrets the component needs: what the main container's image says before its first `/`.
/// `None` for an image without one, and for a component that opted out.
#[must_use]
pub fn wanted_host(spec: &SharedSpec) -> Option<&str> {
    if spec.annotations.get(annotations::DISABLE_PULL_SECRET_DISCOVERY).is_some_and(|value| value == "true") {
        return None;
    }
    let main = spec.extra_pod_spec.as_ref()?.main_container.as_ref()?;
    main.image.as_deref()?.split_once('/').map(|(host, _)| host)
}

/// The user's own Secrets, then the ones found, each name once: the API merges the list by name and refuses doubles.
pub(crate) fn merge(
    own: Option<Vec<LocalObjectReference>>,
    spec: &SharedSpec,
    facts: &Facts,
) -> Option<Vec<LocalObjectReference>> {
    let found = wanted_host(spec).and_then(|host| facts.pull_secrets.get(host)).into_iter().flatten();
    let found = found.map(|name| LocalObjectReference { name: name.clone() });
    let mut all: Vec<_> = own.into_iter().flatten().chain(found).collect();
    let mut known = BTreeSet::new();
    all.retain(|secret| known.insert(secret.name.clone()));
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_registry_keeps_its_port_and_loses_everything_else() {
        for (address, host) in [
            ("https://index.docker.io/v1/", Some("index.docker.io")),
            ("nvcr.io", Some("nvcr.io")),
            ("localhost:5000/team", Some("localhost:5000")),
            ("http://user:word@registry.example:8443?x", Some("registry.example:8443")),
            ("https:///v1", None),
            ("", None),
        ] {
            assert_eq!(registry_host(address), host, "{address}");
        }
    }
}
