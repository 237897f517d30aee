//! Graphs of one frontend and two mockers that find and ask each other in different ways.

use dynamo_devkit::demo::NAMESPACE;
use dynamo_devkit::kubectl::Kubectl;
use serde_json::json;

use crate::common::load::Load;
use crate::common::{LIMIT, address, eventually, reachable, ready};

const IMAGE: &str = "localhost/dynamo-serve:dev";

/// How the pods of a graph work together.
#[derive(Clone, Copy)]
pub struct Graph {
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
            kubectl.apply_in(NAMESPACE, &graph.to_string()).map(drop).map_err(|error| error.to_string())
        });
        self.serves(kubectl);
    }

    /// The graph is ready and answers, streamed and not.
    pub fn serves(&self, kubectl: &Kubectl) {
        ready(kubectl, self.name);
        let frontend = self.frontend(kubectl);
        reachable(&frontend);
        let load = Load::start(&frontend, 2);
        std::thread::sleep(std::time::Duration::from_secs(2));
        let outcome = load.stop();
        assert!(outcome.sent > 4, "{}: {outcome:?}", self.name);
        assert_eq!(outcome.failures, Vec::<String>::new(), "{} of {}", self.name, outcome.sent);
    }

    pub fn frontend(&self, kubectl: &Kubectl) -> String {
        address(kubectl, &format!("{}-frontend", self.name))
    }
}
