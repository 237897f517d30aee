//! What the tests with real pods share: waiting, pods, requests.
//! Must not judge speed: bounds of waits are generous.
// Each test program uses its part.
#![allow(dead_code, reason = "shared by several test programs")]

pub mod load;
pub mod operator;
pub mod pods;

use std::time::{Duration, Instant};

use dynamo_devkit::demo::{NAMESPACE, http};
use dynamo_devkit::kubectl::Kubectl;
use serde_json::Value;

/// Bound of every wait for the cluster; nothing here judges speed.
pub const LIMIT: Duration = Duration::from_secs(180);

pub fn eventually<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(reason) if start.elapsed() > limit => {
                panic!("{what}: not within {} s: {reason}", limit.as_secs())
            }
            Err(_) => std::thread::sleep(Duration::from_millis(250)),
        }
    }
}

pub fn step(name: &str) {
    eprintln!("--- {name}");
}

pub fn ready(kubectl: &Kubectl, graph: &str) {
    ready_in(kubectl, NAMESPACE, graph);
}

pub fn ready_in(kubectl: &Kubectl, namespace: &str, graph: &str) {
    eventually(&format!("graph {graph} is Ready"), LIMIT, || {
        let object =
            kubectl.json(&["get", "dgd", graph, "-n", namespace]).map_err(|error| error.to_string())?;
        let condition = &object["status"]["conditions"][0];
        let current = condition["observedGeneration"] == object["metadata"]["generation"];
        if current && condition["status"] == "True" { Ok(()) } else { Err(condition.to_string()) }
    });
}

/// Waits until a new Service address leads anywhere: the node's proxy learns of a first endpoint after its pod is ready.
pub fn reachable(address: &str) {
    eventually(&format!("{address} is routed"), LIMIT, || {
        let response = http::request(address, "/v1/models", None).map_err(|error| error.to_string())?;
        if response.status == 200 { Ok(()) } else { Err(format!("status {}", response.status)) }
    });
}

pub fn patch(kubectl: &Kubectl, graph: &str, change: &Value) {
    kubectl
        .run(&["patch", "dgd", graph, "-n", NAMESPACE, "--type=merge", "-p", &change.to_string()])
        .unwrap();
}

pub fn address(kubectl: &Kubectl, service: &str) -> String {
    address_in(kubectl, NAMESPACE, service)
}

pub fn address_in(kubectl: &Kubectl, namespace: &str, service: &str) -> String {
    let service = kubectl.json(&["get", "service", service, "-n", namespace]).unwrap();
    format!("{}:8000", service["spec"]["clusterIP"].as_str().unwrap())
}
