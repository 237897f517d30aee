//! Graphs of one frontend and two mockers that find and ask each other in different ways.

use dynamo_devkit::kubectl::Kubectl;
use serde_json::json;

use crate::common::load::{Load, ask};
use crate::common::{LIMIT, address_in, eventually, reachable, ready_in};

const IMAGE: &str = "localhost/dynamo-serve:dev";

/// Enough to meet every worker of a graph, streamed and not.
const IN_A_ROW: usize = 8;
/// Requests over which it is judged whether a graph answers.
const JUDGED: usize = 40;

/// How the pods of a graph work together.
#[derive(Clone, Copy)]
pub struct Graph {
    pub namespace: &'static str,
    pub name: &'static str,
    /// `kubernetes` or `etcd`.
    pub discovery: &'static str,
    /// `tcp` or `nats`.
    pub plane: &'static str,
}

impl Graph {
    /// Applies the graph and waits until its frontend serves.
    pub fn start(&self, kubectl: &Kubectl) {
        let envs = json!([{"name": "DYN_REQUEST_PLANE", "value": self.plane}]);
        let service = |kind: &str, replicas: u32, command: &[&str], args: &[&str]| {
            json!({
                "componentType": kind,
                "replicas": replicas,
                "envs": envs,
                "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
                "extraPodSpec": {"mainContainer": {"image": IMAGE, "command": command, "args": args}},
            })
        };
        let worker =
            ["--model-path", "/opt/dynamo/models/demo", "--model-name", "demo", "--speedup-ratio", "10"];
        let graph = json!({
            "apiVersion": "nvidia.com/v1alpha1",
            "kind": "DynamoGraphDeployment",
            "metadata": {
                "name": self.name,
                "annotations": {"nvidia.com/dynamo-discovery-backend": self.discovery},
            },
            "spec": {"services": {
                "Frontend": service("frontend", 1, &["python3", "-m", "dynamo.frontend"], &[]),
                "Worker": service("worker", 2, &["python3", "-m", "dynamo.mocker"], &worker),
            }},
        });
        // The node's proxy learns of the admission server's address a moment after its pod is ready.
        eventually(&format!("graph {} is accepted", self.name), LIMIT, || {
            kubectl.apply_in(self.namespace, &graph.to_string()).map(drop).map_err(|error| error.to_string())
        });
        self.serves(kubectl);
    }

    /// The graph is ready and comes to answer, streamed and not; from then on no request fails. What happens to requests
    /// before is not judged: each part of a graph learns in its own time that a server is back.
    pub fn serves(&self, kubectl: &Kubectl) {
        ready_in(kubectl, self.namespace, self.name);
        let frontend = self.frontend(kubectl);
        reachable(&frontend);
        eventually(&format!("{} answers {IN_A_ROW} requests in a row", self.name), LIMIT, || {
            (0..IN_A_ROW).try_for_each(|number| ask(&frontend, number % 2 == 0))
        });
        self.answers(kubectl);
    }

    /// The graph answers now, streamed and not: not even the first request fails.
    pub fn answers(&self, kubectl: &Kubectl) {
        let load = Load::start(&self.frontend(kubectl), 2);
        load.reaches(JUDGED);
        let outcome = load.stop();
        assert_eq!(outcome.failures, Vec::<String>::new(), "{} of {}", self.name, outcome.sent);
    }

    /// Sets the number of workers and waits until they are all there.
    pub fn scale(&self, kubectl: &Kubectl, workers: u32) {
        let change = json!({"spec": {"services": {"Worker": {"replicas": workers}}}}).to_string();
        eventually(&format!("graph {} is changed", self.name), LIMIT, || {
            kubectl
                .run(&["patch", "dgd", self.name, "-n", self.namespace, "--type=merge", "-p", &change])
                .map_err(|error| error.to_string())
        });
        eventually(&format!("{workers} workers of {}", self.name), LIMIT, || {
            let graph = kubectl
                .json(&["get", "dgd", self.name, "-n", self.namespace])
                .map_err(|error| error.to_string())?;
            let worker = &graph["status"]["services"]["Worker"];
            if worker["readyReplicas"] == workers { Ok(()) } else { Err(graph["status"].to_string()) }
        });
    }

    /// Deletes the graph and waits until its pods are gone.
    pub fn delete(&self, kubectl: &Kubectl) {
        kubectl.run(&["delete", "dgd", self.name, "-n", self.namespace, "--wait=false"]).unwrap();
        eventually(&format!("the pods of {} are gone", self.name), LIMIT, || {
            let left = pods(kubectl, self.namespace);
            if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
        });
    }

    pub fn frontend(&self, kubectl: &Kubectl) -> String {
        address_in(kubectl, self.namespace, &format!("{}-frontend", self.name))
    }
}

/// UID and number of restarts of every pod of graphs in a namespace, in the order of their names.
pub fn pods(kubectl: &Kubectl, namespace: &str) -> Vec<String> {
    let list = kubectl
        .json(&["get", "pods", "-n", namespace, "-l", "nvidia.com/dynamo-graph-deployment-name"])
        .unwrap();
    let line = |pod: &serde_json::Value| {
        let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
        format!("{} {} {restarts}", pod["metadata"]["name"], pod["metadata"]["uid"])
    };
    let mut lines: Vec<String> = list["items"].as_array().unwrap().iter().map(line).collect();
    lines.sort();
    lines
}
