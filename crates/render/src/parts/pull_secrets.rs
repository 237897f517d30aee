//! Which registry an image and a registry Secret belong to, and the Secrets a pod names for it (`workload.md`
//! section 6.6). Finding the Secrets is not done here.

use std::collections::BTreeSet;

use dynamo_api::{labels::annotations, v1alpha1::SharedSpec};
use k8s_openapi::api::core::v1::LocalObjectReference;

use crate::{facts::Facts, origin};

/// What the registry of images that name none is called in Docker configurations.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Host of an address under `auths` of a Docker configuration: its port is kept; scheme, user and path are not.
/// `None` when nothing is left.
#[must_use]
pub fn registry_host(address: &str) -> Option<&str> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    (!host.is_empty()).then_some(host)
}

/// The registry hosts whose Secrets the component needs, each once, those of the main container first; none for a
/// component that opted out. Of a graph that this operator did not admit only what the main container's image says
/// before its first `/` counts.
#[must_use]
pub fn wanted_hosts(spec: &SharedSpec) -> Vec<&str> {
    if spec.annotations.get(annotations::DISABLE_PULL_SECRET_DISCOVERY).is_some_and(|value| value == "true") {
        return Vec::new();
    }
    let Some(user) = &spec.extra_pod_spec else { return Vec::new() };
    let main = user.main_container.as_ref().and_then(|main| main.image.as_deref());
    if !origin::is_ours(&spec.annotations) {
        return main.and_then(|image| Some(image.split_once('/')?.0)).into_iter().collect();
    }
    let others = user.pod_spec.containers.iter().chain(user.pod_spec.init_containers.iter().flatten());
    let images = main.into_iter().chain(others.filter_map(|container| container.image.as_deref()));
    let mut hosts = Vec::new();
    for host in images.flat_map(image_hosts) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// The hosts of an image's registry. The first part of a reference is a host only if it looks like one: `library/x` is
/// an image of Docker Hub, which has several names.
fn image_hosts(image: &str) -> Vec<&str> {
    let is_host = |part: &&str| part.contains(['.', ':']) || *part == "localhost";
    match image.split_once('/').map(|(first, _)| first).filter(is_host) {
        Some(host) if !DOCKER_HUB.contains(&host) => vec![host],
        _ => DOCKER_HUB.to_vec(),
    }
}

/// The user's own Secrets, then the ones found, each name once: the API merges the list by name and refuses doubles.
pub(crate) fn merge(
    own: Option<Vec<LocalObjectReference>>,
    spec: &SharedSpec,
    facts: &Facts,
) -> Option<Vec<LocalObjectReference>> {
    let hosts = wanted_hosts(spec).into_iter();
    let found = hosts.filter_map(|host| facts.pull_secrets.get(host)).flatten();
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
    fn images_without_a_registry_are_of_docker_hub_by_all_its_names() {
        for image in [
            "busybox",
            "busybox:1.36",
            "library/x",
            "team/x@sha256:0",
            "docker.io/library/x",
            "index.docker.io/x",
        ] {
            assert_eq!(image_hosts(image), DOCKER_HUB, "{image}");
        }
        for (image, host) in [
            ("nvcr.io/nvidia/x:1", "nvcr.io"),
            ("localhost/x", "localhost"),
            ("registry:5000/x", "registry:5000"),
        ] {
            assert_eq!(image_hosts(image), [host]);
        }
    }

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
