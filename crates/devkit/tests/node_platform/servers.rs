//! The pods of the bundled servers, and their hard end.

use std::collections::BTreeMap;

use dynamo_devkit::demo::install::{NAMESPACE, RELEASE};
use dynamo_devkit::kubectl::Kubectl;

use crate::common::{LIMIT, eventually};
use crate::release::settled;

/// Ready and all containers of each pod of the release.
pub fn ready_containers(kubectl: &Kubectl) -> BTreeMap<String, (usize, usize)> {
    let list = kubectl.json(&["get", "pods", "-n", NAMESPACE]).unwrap();
    let count = |pod: &serde_json::Value| {
        let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        (statuses.iter().filter(|status| status["ready"] == true).count(), statuses.len())
    };
    let pods = list["items"].as_array().unwrap();
    pods.iter().map(|pod| (pod["metadata"]["name"].as_str().unwrap().to_owned(), count(pod))).collect()
}

/// Ends one pod of a bundled server at once, and waits until another one is ready.
pub fn kill(kubectl: &Kubectl, part: &str, number: usize) {
    let pod = format!("{RELEASE}-{part}-{number}");
    let uid = |pod: &serde_json::Value| pod["metadata"]["uid"].clone();
    let before = uid(&kubectl.json(&["get", "pod", &pod, "-n", NAMESPACE]).unwrap());
    kubectl.run(&["delete", "pod", &pod, "-n", NAMESPACE, "--grace-period=0", "--force"]).unwrap();
    eventually(&format!("{pod} is back"), LIMIT, || {
        let now = kubectl.json(&["get", "pod", &pod, "-n", NAMESPACE]).map_err(|error| error.to_string())?;
        if uid(&now) == before { Err("it is still the old one".into()) } else { Ok(()) }
    });
    settled(kubectl);
}
