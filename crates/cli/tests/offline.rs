//! Commands that ask no cluster: they need no kubeconfig, print nothing but their answer, and tell by their exit code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

use std::process::{Command, Output, Stdio};

use serde::Deserialize as _;
use serde_json::Value;

const GRAPH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken/graph.yaml");

fn run(words: &[&str], input: &str) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_dynamoctl"))
        .args(words)
        .env("KUBECONFIG", "/no/such/file")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn objects(output: &Output) -> Vec<Value> {
    let text = text(&output.stdout);
    serde_yaml_ng::Deserializer::from_str(&text).map(|part| Value::deserialize(part).unwrap()).collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter().find(is).unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn render_prints_objects_alone_and_says_on_standard_error_what_they_lack() {
    let output = run(&["render", GRAPH], "");
    assert_eq!(output.status.code(), Some(0));
    let objects = objects(&output);
    assert!(
        objects
            .iter()
            .all(|object| object["kind"].is_string() && object["metadata"]["namespace"] == "default")
    );
    assert!(objects.iter().all(|object| object["metadata"]["ownerReferences"].is_null()));
    let told = text(&output.stderr);
    assert!(told.contains("default/chat: objects are without owner references"), "{told}");
    let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    let at = |kind: &str| kinds.iter().position(|known| *known == kind).unwrap();
    assert!(
        at("ServiceAccount") < at("RoleBinding") && at("PersistentVolumeClaim") < at("Deployment"),
        "{kinds:?}"
    );
    let list = run(&["render", "-o", "json", GRAPH], "");
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap()), (&Value::from("List"), &objects));
}

#[test]
fn render_is_for_the_cluster_that_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let facts = folder.path().join("facts.yaml");
    let described = "operatorFlags: [--natsAddr=nats://mine:4222, --nats-auth-secret=nats]\n\
                     pullSecrets: {example.com: [registry]}\npodAccount: pods\ncredentials: {nats-auth-secret: [token]}\n";
    std::fs::write(&facts, described).unwrap();
    let facts = facts.display().to_string();
    let flag = "--operator-flag=--discovery-backend=etcd";
    let output = run(&["render", GRAPH, "--facts", &facts, flag, "-n", "team"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let objects = objects(&output);
    let pod = &find(&objects, "Deployment", "chat-frontend")["spec"]["template"]["spec"];
    assert_eq!(pod["imagePullSecrets"], serde_json::json!([{"name": "registry"}]));
    assert_eq!(pod["serviceAccountName"], "pods");
    let env = pod["containers"][0]["env"].as_array().unwrap();
    let value =
        |name: &str| env.iter().find(|variable| variable["name"] == name).map(|it| it["value"].clone());
    assert_eq!(value("NATS_SERVER"), Some("nats://mine:4222".into()));
    assert!(value("NATS_AUTH_TOKEN").is_some(), "{env:#?}");
    assert!(objects.iter().all(|object| object["kind"] != "Role"), "etcd needs no account for discovery");
}

#[test]
fn render_says_where_the_operator_stops_and_its_exit_code_is_1() {
    let multinode =
        std::fs::read_to_string(GRAPH).unwrap().replace("replicas: 2", "multinode: {nodeCount: 2}");
    let output = run(&["render", "-"], &multinode);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the operator stops here: no multinode orchestrator available"));
    assert!(objects(&output).iter().all(|object| object["kind"] != "Deployment"));
}

#[test]
fn what_cannot_be_rendered_is_no_answer() {
    let empty = "apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\nmetadata: {name: a}\nspec: {services: {}}\n";
    for (words, input, told) in [
        (&["render", "-"][..], empty, "spec.services must have at least one service"),
        (&["render", "-"], "kind: ConfigMap\napiVersion: v1\n", "there is no DynamoGraphDeployment"),
        (&["render", "-"], "a: [\n", "is no YAML"),
        (&["render", GRAPH, "--operator-flag=--nope"], "", "not defined: -nope"),
        (&["render", GRAPH, "--facts=/no/such/file"], "", "cannot read /no/such/file of --facts"),
        (&["render", GRAPH, "--from-cluster"], "", "there is no cluster to ask"),
        (&["diff", GRAPH], "", "there is no cluster to ask"),
        (&["explain", "dgd.spec.service"], "", "did you mean \"services\"?"),
        (&["explain", "nothing"], "", "is no kind of nvidia.com/v1alpha1"),
        (&["validate", "/no/such/file"], "", "cannot read /no/such/file"),
    ] {
        let output = run(words, input);
        let error = text(&output.stderr);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(2), String::new()),
            "{words:?}: {error}"
        );
        assert!(error.contains(told), "{words:?}: {error}");
    }
}

#[test]
fn explain_tells_type_rules_meaning_and_children() {
    let output = run(&["explain", "dgd.spec.pvcs"], "");
    insta::assert_snapshot!(text(&output.stdout));
    let output = run(&["explain", "DynamoGraphDeployment.spec.restart", "--recursive", "-o", "yaml"], "");
    insta::assert_snapshot!(text(&output.stdout));
}

/// Every field of every kind, by the paths that a walk of the answers gives.
#[test]
fn every_field_of_every_kind_can_be_explained() {
    fn walk(path: &str, field: &Value, asked: &mut usize) {
        for child in field["fields"].as_array().into_iter().flatten() {
            let path = format!("{path}.{}", child["path"].as_str().unwrap());
            let found =
                dynamoctl::schema::lookup::find(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(
                found.schema["description"].as_str().unwrap_or_default(),
                child["description"].as_str().unwrap(),
                "{path}"
            );
            *asked += 1;
            // Each look-up reads the schema again: the upper levels stand for all.
            if path.matches('.').count() < 3 {
                walk(&path, child, asked);
            }
        }
    }
    let mut asked = 0;
    for kind in dynamoctl::schema::DEFINITIONS.iter().map(|definition| definition.kind) {
        let output = run(&["explain", kind, "--recursive", "-o", "json"], "");
        assert_eq!(output.status.code(), Some(0), "{kind}");
        walk(kind, &serde_json::from_slice(&output.stdout).unwrap(), &mut asked);
    }
    assert!(asked > 200, "{asked}");
}
