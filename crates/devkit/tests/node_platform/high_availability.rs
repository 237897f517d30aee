//! The value file of production, prepared as its guide says, with those of AKS and its spot machines, on one node that is
//! one: NATS speaks TLS, etcd asks for a password, and of each there are three, which die one by one.
//! Must change in the files only what one node without other people's operators cannot have.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;

use dynamo_devkit::demo::NAMESPACE as GRAPHS;
use dynamo_devkit::demo::http;
use dynamo_devkit::demo::install::{NAMESPACE, RELEASE};
use dynamo_devkit::kubectl::Kubectl;
use dynamo_devkit::pki::Authority;
use serde_json::{Value, json};

use crate::common::load::Load;
use crate::common::{LIMIT, eventually, operator, step};
use crate::graph::{self, Graph};
use crate::release::CRDS;
use crate::servers;
use crate::stage::{SpotMachines, Stage};

const VALUES: [&str; 3] = [
    "./deploy/helm/values/production.yaml",
    "./deploy/helm/values/aks.yaml",
    "./deploy/helm/values/aks-spot.yaml",
];
/// What the file asks for and this cluster has not: three nodes, cert-manager, in whose place jobs of the chart make the
/// certificate, and the Prometheus operator.
const ONE_NODE: &str = "
etcd: {affinity: null}
alerts: {enabled: false}
dynamo-operator:
  metricsService: {enabled: false}
  webhook: {certManager: {enabled: false}, certGenerator: {enabled: true}}
";
/// The class that the file of AKS names.
const CLASS: &str = "managed-csi-premium";
const MEMBERS: usize = 3;
const PASSWORD_KEY: &str = "etcd-root-password";
const PASSWORD: &str = "not-a-secret-of-anybody";
const NEW_PASSWORD: &str = "nor-is-this-one";

const GRAPH: Graph = Graph { namespace: GRAPHS, name: "available", discovery: "etcd", plane: "nats" };

#[test]
#[ignore = "needs root and the cluster of this machine: make test-node"]
fn the_production_values_serve_over_tls_and_with_a_password_while_each_server_dies_once() {
    let stage = Stage::prepare();
    let (kubectl, helm) = (&stage.kubectl, stage.helm());
    stage.cluster.provide_volumes("production", CLASS, 2 * MEMBERS).unwrap();

    step(
        "the Secrets of the guide, and the value files of production, of AKS and of its spot machines, on such a machine",
    );
    let folder = tempfile::tempdir().unwrap();
    stage.namespace(NAMESPACE);
    make_secrets(kubectl, folder.path());
    let one_node = folder.path().join("one-node.yaml");
    std::fs::write(&one_node, ONE_NODE).unwrap();
    helm.run(&["upgrade", "--install", "dynamo-crds", CRDS, "-n", "default"]);
    let spot = SpotMachines::new(kubectl);
    let files: Vec<&str> =
        VALUES.into_iter().chain(one_node.to_str()).flat_map(|file| ["-f", file]).collect();
    helm.install(&files);
    let pods = servers::ready_containers(kubectl);
    for part in ["nats", "etcd"] {
        for number in 0..MEMBERS {
            assert_eq!(pods[&format!("{RELEASE}-{part}-{number}")], (1, 1), "{pods:?}");
        }
    }

    step("NATS asks for TLS, and etcd for a password");
    let info = greeting(&format!("{}:4222", cluster_ip(kubectl, &format!("{RELEASE}-nats"))));
    assert_eq!(info["tls_required"], true, "{info}");
    let etcd = format!("{}:2379", cluster_ip(kubectl, &format!("{RELEASE}-etcd")));
    let answer = http::request(&etcd, "/v3/kv/range", Some(r#"{"key":"AA==","range_end":"AA=="}"#)).unwrap();
    let refusal = (answer.status, answer.text().unwrap());
    assert!(refusal.0 >= 400 && refusal.1.contains("user name is empty"), "{refusal:?}");

    // Graphs say for themselves where they may run.
    drop(spot);

    step("a request is served by a graph that finds its workers in etcd and asks them over NATS");
    stage.namespace(GRAPHS);
    GRAPH.start(kubectl);
    let before = graph::pods(kubectl, GRAPHS);

    step("each member of etcd is killed under load: no request fails");
    let load = Load::start(&GRAPH.frontend(kubectl), 2);
    for number in 0..MEMBERS {
        servers::kill(kubectl, "etcd", number);
    }
    let outcome = load.stop();
    eprintln!("    {} requests, {} failed", outcome.sent, outcome.failures.len());
    assert!(outcome.sent > 50, "too few requests to mean anything: {outcome:?}");
    assert_eq!(outcome.failures, Vec::<String>::new(), "of {} requests", outcome.sent);
    GRAPH.answers(kubectl);
    GRAPH.serves(kubectl);

    step("each server of NATS is killed under load: at most the requests on its connections fail");
    for number in 0..MEMBERS {
        let load = Load::start(&GRAPH.frontend(kubectl), 2);
        servers::kill(kubectl, "nats", number);
        GRAPH.serves(kubectl);
        let outcome = load.stop();
        eprintln!("    {} requests, {} failed: {:?}", outcome.sent, outcome.failures.len(), outcome.failures);
        assert!(outcome.failures.len() <= outcome.streams, "{outcome:?}");
    }

    step("no pod of the graph restarted, and the operator lacked no right");
    assert_eq!(graph::pods(kubectl, GRAPHS), before);
    operator::nothing_was_forbidden(kubectl);

    step("the password of etcd is changed as the guide says, and the graph comes back with the new one");
    let old_key = "etcd-root-password-old";
    make_secret(kubectl, "etcd-root", "Opaque", &json!({PASSWORD_KEY: NEW_PASSWORD, old_key: PASSWORD}));
    let change =
        format!("etcd.auth.rbac.existingSecretOldPasswordKey={old_key},etcd.preUpgradeJob.enabled=false");
    let spot = SpotMachines::new(kubectl);
    helm.install(&[&files[..], &["--set", &change]].concat());
    drop(spot);
    assert_eq!(logs_in(&etcd), (false, true), "the old password, then the new one");
    make_secret(
        kubectl,
        "dynamo-etcd-auth",
        "Opaque",
        &json!({"username": "root", "password": NEW_PASSWORD}),
    );
    eventually("every pod of the graph has the new password", LIMIT, || {
        let now = graph::pods(kubectl, GRAPHS);
        if now.iter().any(|pod| before.contains(pod)) { Err(now.join(", ")) } else { Ok(()) }
    });
    GRAPH.serves(kubectl);
    stage.clean();
}

/// Whether etcd takes the old password of root's, and whether the new one.
fn logs_in(etcd: &str) -> (bool, bool) {
    let takes = |password: &str| {
        let login = json!({"name": "root", "password": password}).to_string();
        http::request(etcd, "/v3/auth/authenticate", Some(&login)).unwrap().status == 200
    };
    (takes(PASSWORD), takes(NEW_PASSWORD))
}

/// What the guide has its reader make (`docs/guide/scenarios.md`), the certificates by an authority of this test.
fn make_secrets(kubectl: &Kubectl, folder: &Path) {
    let headless = format!("*.{RELEASE}-nats-headless.{NAMESPACE}.svc.cluster.local");
    let names = [
        &format!("{RELEASE}-nats.{NAMESPACE}.svc.cluster.local"),
        &format!("{RELEASE}-nats.{NAMESPACE}.svc"),
        &headless,
    ];
    let authority = Authority::new("nats-ca").unwrap();
    authority.write_server(folder, "tls", &names.map(String::as_str)).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let login = json!({"auths": {"registry.example.com": {"auth": "dXNlcjprZXk="}}}).to_string();
    for (name, kind, data) in [
        ("etcd-root", "Opaque", json!({PASSWORD_KEY: PASSWORD})),
        ("dynamo-etcd-auth", "Opaque", json!({"username": "root", "password": PASSWORD})),
        ("docker-imagepullsecret", "kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": login})),
        (
            "nats-server-tls",
            "kubernetes.io/tls",
            json!({"tls.crt": read("tls.crt"), "tls.key": read("tls.key")}),
        ),
        ("dynamo-nats-ca", "Opaque", json!({"ca.crt": authority.certificate()})),
    ] {
        make_secret(kubectl, name, kind, &data);
    }
}

fn make_secret(kubectl: &Kubectl, name: &str, kind: &str, data: &Value) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data});
    kubectl.apply_in(NAMESPACE, &secret.to_string()).unwrap();
}

fn cluster_ip(kubectl: &Kubectl, service: &str) -> String {
    let service = kubectl.json(&["get", "service", service, "-n", NAMESPACE]).unwrap();
    service["spec"]["clusterIP"].as_str().unwrap().to_owned()
}

/// What a NATS server says of itself before a client speaks.
fn greeting(address: &str) -> Value {
    let mut line = String::new();
    BufReader::new(TcpStream::connect(address).unwrap()).read_line(&mut line).unwrap();
    serde_json::from_str(line.trim().strip_prefix("INFO ").unwrap()).unwrap()
}
