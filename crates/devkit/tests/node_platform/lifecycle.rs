//! The life of one release: install, use, break, upgrade, roll back, a second one beside it, remove, install again.
//! One test, because every step builds on the release of the step before.

use dynamo_devkit::demo::NAMESPACE as GRAPHS;
use dynamo_devkit::demo::install::{NAMESPACE, RELEASE};
use dynamo_devkit::kubectl::Kubectl;

use crate::common::load::Load;
use crate::common::{operator, step};
use crate::graph::{self, Graph};
use crate::release::{CRDS, PLATFORM, settled};
use crate::servers;
use crate::stage::{Stage, TEAM};

const GKE: &str = "./deploy/helm/values/gke.yaml";
/// The class that this file names.
const CLASS: &str = "premium-rwo";
/// Claims of one NATS server and one member of etcd, twice: a claim outlives its release.
const VOLUMES: usize = 4;

const BY_KUBERNETES: Graph =
    Graph { namespace: GRAPHS, name: "by-kubernetes", discovery: "kubernetes", plane: "tcp" };
const BY_ETCD: Graph = Graph { namespace: GRAPHS, name: "by-etcd", discovery: "etcd", plane: "tcp" };
const BY_NATS: Graph = Graph { namespace: GRAPHS, name: "by-nats", discovery: "kubernetes", plane: "nats" };
const ALL: [Graph; 3] = [BY_KUBERNETES, BY_ETCD, BY_NATS];
const OF_TEAM: Graph = Graph { namespace: TEAM, name: "of-team", discovery: "kubernetes", plane: "tcp" };
const BY_BOTH: Graph = Graph { namespace: GRAPHS, name: "by-both", discovery: "etcd", plane: "nats" };

#[test]
#[ignore = "needs root and the cluster of this machine: make test-node"]
fn the_platform_installs_serves_survives_its_servers_upgrades_rolls_back_and_comes_again() {
    let stage = Stage::prepare();
    let (kubectl, helm) = (&stage.kubectl, stage.helm());
    stage.cluster.provide_volumes("platform", CLASS, VOLUMES).unwrap();

    step("the two install commands, with NATS and etcd, on the disks of GKE");
    helm.run(&["upgrade", "--install", "dynamo-crds", CRDS, "-n", "default"]);
    helm.install(&["-f", GKE]);
    let pods = servers::ready_containers(kubectl);
    assert_eq!(pods[&format!("{RELEASE}-nats-0")], (1, 1), "{pods:?}");
    assert_eq!(pods[&format!("{RELEASE}-etcd-0")], (1, 1), "{pods:?}");
    assert!(
        pods.iter().any(|(name, count)| name.contains("controller-manager") && *count == (1, 1)),
        "{pods:?}"
    );

    step("graphs by Kubernetes, by etcd and over NATS answer");
    stage.namespace(GRAPHS);
    for graph in ALL {
        graph.start(kubectl);
    }
    operator::nothing_was_forbidden(kubectl);

    step("NATS is killed: what is in flight by TCP goes on, and the graph over NATS serves again");
    let load = Load::start(&BY_KUBERNETES.frontend(kubectl), 2);
    servers::kill(kubectl, "nats", 0);
    BY_NATS.serves(kubectl);

    step("etcd is killed: served meanwhile, and nothing is lost");
    servers::kill(kubectl, "etcd", 0);
    // A restart of etcd costs nothing: there is no gap to wait for.
    BY_ETCD.answers(kubectl);
    BY_ETCD.serves(kubectl);
    let outcome = load.stop();
    assert_eq!(outcome.failures, Vec::<String>::new(), "of {} requests without NATS and etcd", outcome.sent);

    step("an upgrade with changed values restarts no pod of a graph");
    let before = graph::pods(kubectl, GRAPHS);
    helm.install(&[
        "-f",
        GKE,
        "--set",
        "dynamo-operator.controllerManager.replicas=2",
        "--set",
        "dynamo-operator.webhook.timeoutSeconds=7",
    ]);
    assert_eq!(manager_replicas(kubectl), 2);
    assert_eq!(graph::pods(kubectl, GRAPHS), before);

    step("a rollback leads back");
    helm.run(&["rollback", RELEASE, "1", "-n", NAMESPACE]);
    settled(kubectl);
    assert_eq!(manager_replicas(kubectl), 1);
    assert_eq!(graph::pods(kubectl, GRAPHS), before);

    step("a second cluster-wide install is refused, and says what to do");
    let second = helm.try_run(&["install", "second", PLATFORM, "-n", "second", "--create-namespace"]);
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

    step("a restricted one beside it serves its namespace, and the other keeps out");
    let restricted = "./deploy/helm/values/namespace-restricted.yaml";
    // The servers of the other release: a graph that changes hands keeps its addresses.
    let address = |part: &str, port: u16| format!("{RELEASE}-{part}.{NAMESPACE}.svc.cluster.local:{port}");
    let (nats, etcd) = (address("nats", 4222), address("etcd", 2379));
    let servers = format!(
        "nats.enabled=false,etcd.enabled=false,dynamo-operator.natsAddr=nats://{nats},dynamo-operator.etcdAddr={etcd}"
    );
    helm.apply(TEAM, TEAM, &["-f", restricted, "--set", &servers, "--wait"]);
    OF_TEAM.start(kubectl);
    let log = operator::log(kubectl, TEAM, TEAM);
    operator::nothing_was_forbidden_in(&log);
    assert!(log.contains(OF_TEAM.name), "the restricted operator did not make {}:\n{log}", OF_TEAM.name);
    let other = operator::log(kubectl, NAMESPACE, RELEASE);
    assert!(!other.contains(OF_TEAM.name), "the cluster-wide operator touched {}:\n{other}", OF_TEAM.name);

    step("and hands it over when it goes: no pod restarts, and the cluster-wide one goes on with it");
    let of_team = graph::pods(kubectl, TEAM);
    helm.run(&["uninstall", TEAM, "-n", TEAM]);
    OF_TEAM.scale(kubectl, 3);
    let now = graph::pods(kubectl, TEAM);
    assert!(of_team.iter().all(|pod| now.contains(pod)), "{of_team:?} -> {now:?}");
    OF_TEAM.delete(kubectl);

    step("the graphs outlive the release");
    helm.run(&["uninstall", RELEASE, "-n", NAMESPACE]);
    assert_eq!(graph::pods(kubectl, GRAPHS), before);
    BY_KUBERNETES.answers(kubectl);

    step(
        "a new install, by the values of development, takes everything up again, restarts none of it, and makes more",
    );
    helm.install(&["-f", "./deploy/helm/values/development.yaml"]);
    for graph in ALL {
        graph.serves(kubectl);
    }
    assert_eq!(graph::pods(kubectl, GRAPHS), before);
    BY_BOTH.start(kubectl);
    operator::nothing_was_forbidden(kubectl);

    step("removed whole");
    stage.clean();
}

fn manager_replicas(kubectl: &Kubectl) -> i64 {
    let name = format!("{RELEASE}-dynamo-operator-controller-manager");
    let deployment = kubectl.json(&["get", "deployment", &name, "-n", NAMESPACE]).unwrap();
    deployment["status"]["readyReplicas"].as_i64().unwrap_or_default()
}
