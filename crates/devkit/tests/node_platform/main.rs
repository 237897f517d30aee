//! The platform chart on a real node, with NATS and etcd running from their real programs: install, use, break, upgrade,
//! roll back, remove, install again. One test, because every step builds on the release of the step before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod graph;
mod release;

use std::time::Duration;

use common::load::Load;
use common::{LIMIT, eventually, operator, step};
use dynamo_devkit::cluster;
use dynamo_devkit::demo::NAMESPACE as GRAPHS;
use dynamo_devkit::demo::install::{NAMESPACE, RELEASE};
use dynamo_devkit::images::bundled::Bundled;
use dynamo_devkit::images::{BuildOptions, build};
use dynamo_devkit::kubectl::Kubectl;
use graph::Graph;
use release::{CRDS, Helm, settled};

/// Claims of one NATS server and one member of etcd, twice: a claim outlives its release.
const VOLUMES: usize = 4;

const BY_KUBERNETES: Graph = Graph { name: "by-kubernetes", discovery: "kubernetes", plane: "tcp" };
const BY_ETCD: Graph = Graph { name: "by-etcd", discovery: "etcd", plane: "tcp" };
const BY_NATS: Graph = Graph { name: "by-nats", discovery: "kubernetes", plane: "nats" };
const ALL: [Graph; 3] = [BY_KUBERNETES, BY_ETCD, BY_NATS];
const BY_BOTH: Graph = Graph { name: "by-both", discovery: "etcd", plane: "nats" };

#[test]
#[ignore = "needs root and the cluster of this machine: make test-node"]
fn the_platform_installs_serves_survives_its_servers_upgrades_rolls_back_and_comes_again() {
    step("a cluster with the images of this checkout, and nothing installed");
    let cluster = cluster::up().unwrap();
    let kubectl = cluster.kubectl();
    let (built, bundled) = (build(&BuildOptions::default()).unwrap(), Bundled::pack().unwrap());
    for archive in [&built.operator, &built.serve].into_iter().chain(bundled.all()) {
        cluster.runtime().load(archive).unwrap();
    }
    let helm = Helm::new(&kubectl, &built.operator, &bundled);
    clean(&kubectl, &helm);
    cluster.provide_volumes("platform", VOLUMES).unwrap();

    step("the two install commands, with NATS and etcd");
    helm.run(&["upgrade", "--install", "dynamo-crds", CRDS, "-n", "default"]);
    helm.install(&[]);
    let pods = ready_containers(&kubectl);
    assert_eq!(pods[&format!("{RELEASE}-nats-0")], (1, 1), "{pods:?}");
    assert_eq!(pods[&format!("{RELEASE}-etcd-0")], (1, 1), "{pods:?}");
    assert!(
        pods.iter().any(|(name, count)| name.contains("controller-manager") && *count == (1, 1)),
        "{pods:?}"
    );

    step("graphs by Kubernetes, by etcd and over NATS answer");
    kubectl
        .apply(&format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{GRAPHS}"}}}}"#))
        .unwrap();
    for graph in ALL {
        graph.start(&kubectl);
    }
    operator::nothing_was_forbidden(&kubectl);

    step("NATS is killed: what is in flight by TCP goes on, and the graph over NATS serves again");
    let load = Load::start(&BY_KUBERNETES.frontend(&kubectl), 2);
    kill(&kubectl, "nats");
    BY_NATS.serves(&kubectl);

    step("etcd is killed: served meanwhile, and nothing is lost");
    kill(&kubectl, "etcd");
    BY_ETCD.serves(&kubectl);
    let outcome = load.stop();
    assert_eq!(outcome.failures, Vec::<String>::new(), "of {} requests without NATS and etcd", outcome.sent);

    step("an upgrade with changed values restarts no pod of a graph");
    let before = pods_of_graphs(&kubectl);
    helm.install(&[
        "--set",
        "dynamo-operator.controllerManager.replicas=2",
        "--set",
        "dynamo-operator.webhook.timeoutSeconds=7",
    ]);
    assert_eq!(manager_replicas(&kubectl), 2);
    assert_eq!(pods_of_graphs(&kubectl), before);

    step("a rollback leads back");
    helm.run(&["rollback", RELEASE, "1", "-n", NAMESPACE]);
    settled(&kubectl);
    assert_eq!(manager_replicas(&kubectl), 1);
    assert_eq!(pods_of_graphs(&kubectl), before);

    step("a second cluster-wide install is refused, and says what to do");
    let second =
        helm.try_run(&["install", "second", release::PLATFORM, "-n", "second", "--create-namespace"]);
    let refusal = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success(), "a second cluster-wide operator was installed");
    for word in [
        "Found existing cluster-wide Dynamo operator",
        RELEASE,
        NAMESPACE,
        "namespaceRestriction.enabled=true",
    ] {
        assert!(refusal.contains(word), "{word} is missing in {refusal}");
    }

    step("the graphs outlive the release");
    helm.run(&["uninstall", RELEASE, "-n", NAMESPACE]);
    assert_eq!(pods_of_graphs(&kubectl), before);
    let outcome = {
        let load = Load::start(&BY_KUBERNETES.frontend(&kubectl), 2);
        std::thread::sleep(Duration::from_secs(2));
        load.stop()
    };
    assert!(outcome.sent > 4 && outcome.failures.is_empty(), "without an operator: {outcome:?}");

    step("a new install takes everything up again, restarts none of it, and makes more");
    helm.install(&[]);
    for graph in ALL {
        graph.serves(&kubectl);
    }
    assert_eq!(pods_of_graphs(&kubectl), before);
    BY_BOTH.start(&kubectl);
    operator::nothing_was_forbidden(&kubectl);

    step("removed whole");
    clean(&kubectl, &helm);
}

/// Takes away what this test, or the one before it, left.
fn clean(kubectl: &Kubectl, helm: &Helm<'_>) {
    kubectl.run(&["delete", "namespace", GRAPHS, "--ignore-not-found", "--wait=false"]).unwrap();
    let _ = helm.try_run(&["uninstall", RELEASE, "-n", NAMESPACE]);
    kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false"]).unwrap();
    eventually("the namespaces are gone", LIMIT, || {
        let list = kubectl.json(&["get", "namespaces"]).map_err(|error| error.to_string())?;
        let names = list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone());
        let left: Vec<_> = names.filter(|name| name == GRAPHS || name == NAMESPACE).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

/// Ready and all containers of each pod of the release.
fn ready_containers(kubectl: &Kubectl) -> std::collections::BTreeMap<String, (usize, usize)> {
    let list = kubectl.json(&["get", "pods", "-n", NAMESPACE]).unwrap();
    let count = |pod: &serde_json::Value| {
        let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        (statuses.iter().filter(|status| status["ready"] == true).count(), statuses.len())
    };
    let pods = list["items"].as_array().unwrap();
    pods.iter().map(|pod| (pod["metadata"]["name"].as_str().unwrap().to_owned(), count(pod))).collect()
}

/// UID and number of restarts of every pod of a graph.
fn pods_of_graphs(kubectl: &Kubectl) -> Vec<String> {
    let list = kubectl.json(&["get", "pods", "-n", GRAPHS]).unwrap();
    let line = |pod: &serde_json::Value| {
        let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
        format!("{} {} {restarts}", pod["metadata"]["name"], pod["metadata"]["uid"])
    };
    let mut lines: Vec<String> = list["items"].as_array().unwrap().iter().map(line).collect();
    lines.sort();
    lines
}

fn manager_replicas(kubectl: &Kubectl) -> i64 {
    let name = format!("{RELEASE}-dynamo-operator-controller-manager");
    let deployment = kubectl.json(&["get", "deployment", &name, "-n", NAMESPACE]).unwrap();
    deployment["status"]["readyReplicas"].as_i64().unwrap_or_default()
}

/// Ends the first pod of a bundled server at once, and waits until another one is ready.
fn kill(kubectl: &Kubectl, part: &str) {
    let pod = format!("{RELEASE}-{part}-0");
    let uid = |pod: &serde_json::Value| pod["metadata"]["uid"].clone();
    let before = uid(&kubectl.json(&["get", "pod", &pod, "-n", NAMESPACE]).unwrap());
    kubectl.run(&["delete", "pod", &pod, "-n", NAMESPACE, "--grace-period=0", "--force"]).unwrap();
    eventually(&format!("{pod} is back"), LIMIT, || {
        let now = kubectl.json(&["get", "pod", &pod, "-n", NAMESPACE]).map_err(|error| error.to_string())?;
        if uid(&now) == before { Err("it is still the old one".into()) } else { Ok(()) }
    });
    settled(kubectl);
}
