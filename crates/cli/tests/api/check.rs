//! `dynamoctl check`: each check with each outcome.

use std::process::{Command, Stdio};

use dynamo_operator::scope::MARKER;
use k8s_openapi::{
    api::{
        admissionregistration::v1::ValidatingWebhookConfiguration, coordination::v1::Lease, core::v1::Secret,
        discovery::v1::EndpointSlice, rbac::v1::ClusterRoleBinding, storage::v1::CSIDriver,
    },
    jiff::Timestamp,
};
use serde_json::{Value, json};

use crate::world::{Answer, NAMESPACE, PROGRAM, World};

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";

/// Only the checks that a test is about.
fn only(world: &World, wanted: &[&str]) -> Value {
    const ALL: [&str; 10] = [
        "storage",
        "gpu-nodes",
        "gpu-operator",
        "versions",
        "crds",
        "operators",
        "platform",
        "rights",
        "webhooks",
        "hf-token",
    ];
    let skip: Vec<&str> = ALL.into_iter().filter(|name| !wanted.contains(name)).collect();
    let skip = format!("--skip={}", skip.join(","));
    world.run(&["check", "-o", "json", "-n", NAMESPACE, &skip]).json()
}

fn entry(document: &Value, id: &str) -> Value {
    let checks = document["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {document}")).clone()
}

fn one(world: &World, id: &str) -> Value {
    entry(&only(world, &[id]), id)
}

fn warnings(check: &Value) -> String {
    check["warnings"].to_string()
}

/// The API server of the tests has a version of its own, and restricted operators the time of theirs.
fn stable(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = match line.split_once("Kubernetes v1.") {
            Some((before, after)) => {
                let rest = after.find(',').map_or("", |at| &after[at..]);
                format!("{before}Kubernetes v1.N{rest}")
            }
            None => line.to_owned(),
        };
        lines.push(line);
    }
    lines.join("\n")
}

async fn good(world: &World) {
    world.class("standard", "csi.example.com", Some(DEFAULT)).await;
    world
        .make::<CSIDriver>(
            json!({"metadata": {"name": "csi.example.com"}, "spec": {"attachRequired": false}}),
        )
        .await;
    world.node("gpu-a", json!({"nvidia.com/gpu.present": "true"}), json!({"nvidia.com/gpu": "8"})).await;
    world.node("gpu-b", json!({"nvidia.com/gpu.present": "true"}), json!({"nvidia.com/gpu": "8"})).await;
    world.node("cpu", json!({}), json!({"cpu": "4"})).await;
    well(world, "gpu-operator-1", json!({"app": "gpu-operator"})).await;
    let token = json!({"metadata": {"name": "hf-token-secret"}, "stringData": {"HF_TOKEN": "hf_x"}});
    world.make_in::<Secret>(NAMESPACE, token).await;
}

fn container(ready: bool, state: Value) -> Value {
    json!({"name": "main", "ready": ready, "state": state, "image": "example.com/a:1", "imageID": "", "restartCount": 0})
}

async fn well(world: &World, name: &str, labels: Value) {
    world.pod("gpu-operator", name, labels, "Running", container(true, json!({"running": {}}))).await;
}

#[tokio::test]
async fn a_cluster_that_is_ready_passes_every_check_in_the_order_of_the_contract() {
    let world = World::empty().await;
    good(&world).await;
    let answer = world.run(&["check", "-n", NAMESPACE]);
    insta::assert_snapshot!("check_ready", stable(&answer.stdout));
    assert_eq!(answer.code, 0, "{answer:?}");
    let document = world.run(&["check", "-n", NAMESPACE, "-o", "json"]).json();
    let names: Vec<&str> =
        document["checks"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(
        names[..4],
        ["kubectl Connectivity", "Default StorageClass", "Cluster GPU Resources", "GPU Operator"]
    );
    assert_eq!(document["ready"], true);
}

#[tokio::test]
async fn an_empty_cluster_fails_with_the_texts_of_the_contract_and_a_fix_for_each_failure() {
    let world = World::empty().await;
    let answer = world.run(&["check", "-n", NAMESPACE]);
    insta::assert_snapshot!("check_empty", stable(&answer.stdout));
    assert_eq!(answer.code, 1);
    let document = world.run(&["check", "-n", NAMESPACE, "-o", "json"]).json();
    for check in document["checks"].as_array().unwrap() {
        assert_eq!(check["fix"].is_string(), check["outcome"] == "failed", "{check}");
    }
}

#[tokio::test]
async fn several_default_classes_pass_with_a_warning_and_none_offers_the_first_class() {
    let world = World::empty().await;
    world.class("a", "csi.example.com", None).await;
    world.class("b", "csi.example.com", None).await;
    let storage = one(&world, "storage");
    assert_eq!(storage["outcome"], "failed");
    let text = storage["lines"].to_string();
    assert!(text.contains("kubectl patch storageclass <storage-class-name> -p"), "{text}");
    assert!(text.contains("kubectl patch storageclass a -p"), "{text}");
    world.class("c", "csi.example.com", Some(DEFAULT)).await;
    world.class("d", "csi.example.com", Some(DEFAULT)).await;
    let storage = one(&world, "storage");
    assert_eq!(storage["outcome"], "passed");
    assert!(warnings(&storage).contains("Multiple default StorageClasses detected"), "{storage}");
}

#[tokio::test]
async fn the_beta_annotation_makes_a_default_class_too() {
    let world = World::empty().await;
    world.class("old", "csi.example.com", Some(BETA)).await;
    let storage = one(&world, "storage");
    assert_eq!(storage["lines"][0], "✅ Default StorageClass found");
}

#[tokio::test]
async fn a_default_class_that_nobody_serves_is_a_warning_until_a_driver_or_a_running_pod_does() {
    let world = World::empty().await;
    world.class("local", "rancher.io/local-path", Some(DEFAULT)).await;
    let unserved = |check: &Value| warnings(check).contains("nothing seems to serve the provisioner");
    assert!(unserved(&one(&world, "storage")));
    let labels = json!({});
    let ready = container(true, json!({}));
    world.pod(NAMESPACE, "local-path-provisioner-1", labels, "Running", ready).await;
    assert!(!unserved(&one(&world, "storage")));
    let world = {
        drop(world);
        World::empty().await
    };
    world.class("csi", "csi.example.com", Some(DEFAULT)).await;
    assert!(unserved(&one(&world, "storage")));
    let driver = json!({"metadata": {"name": "csi.example.com"}, "spec": {"attachRequired": false}});
    world.make::<CSIDriver>(driver).await;
    assert_eq!(one(&world, "storage")["warnings"], json!([]));
    let world = {
        drop(world);
        World::empty().await
    };
    world.class("hand", "kubernetes.io/no-provisioner", Some(DEFAULT)).await;
    assert!(warnings(&one(&world, "storage")).contains("makes no volumes by itself"));
}

#[tokio::test]
async fn nodes_count_by_their_label_and_without_one_by_what_they_offer() {
    let world = World::empty().await;
    world.node("cpu", json!({}), json!({"cpu": "4"})).await;
    let nodes = one(&world, "gpu-nodes");
    assert_eq!(
        (&nodes["outcome"], &nodes["lines"][0]),
        (&json!("failed"), &json!("❌ No GPU nodes found in the cluster"))
    );
    world.node("bare", json!({}), json!({"nvidia.com/gpu": "4"})).await;
    let nodes = one(&world, "gpu-nodes");
    assert_eq!(nodes["lines"][0], "✅ Found 1 GPU node(s) via allocatable GPU resources");
    assert_eq!(nodes["lines"][1], "  - bare: 4 GPU(s)");
    assert!(warnings(&nodes).contains("nvidia.com/gpu.present=true"), "{nodes}");
    world.node("idle", json!({"nvidia.com/gpu.present": "true"}), json!({})).await;
    let nodes = one(&world, "gpu-nodes");
    assert_eq!(nodes["lines"][0], "✅ Found 1 GPU node(s) in the cluster");
    assert!(warnings(&nodes).contains("no GPU can be asked for on idle"), "{nodes}");
}

#[tokio::test]
async fn an_operator_without_a_running_pod_fails_even_where_its_namespace_or_name_says_running() {
    let world = World::empty().await;
    let waiting = container(false, json!({"waiting": {"reason": "ImagePullBackOff"}}));
    let labels = json!({"app": "gpu-operator"});
    world.pod("gpu-operator", "gpu-operator-running", labels, "Pending", waiting).await;
    let operator = one(&world, "gpu-operator");
    assert_eq!(operator["outcome"], "failed");
    assert_eq!(operator["lines"][0], "❌ GPU operator pods are not running");
    assert_eq!(
        operator["lines"][1],
        "  - gpu-operator/gpu-operator-running: Pending, not ready: main (ImagePullBackOff)"
    );
}

#[tokio::test]
async fn a_crash_loop_under_the_phase_running_is_not_running_and_is_named() {
    let world = World::empty().await;
    let crashing = container(false, json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    let labels = json!({"app.kubernetes.io/name": "gpu-operator"});
    world.pod("gpu-operator", "new-label", labels, "Running", crashing).await;
    let operator = one(&world, "gpu-operator");
    assert_eq!(operator["outcome"], "failed", "{operator}");
    assert_eq!(
        operator["lines"][1],
        "  - gpu-operator/new-label: Running, not ready: main (CrashLoopBackOff)"
    );
    well(&world, "old-label", json!({"app": "gpu-operator"})).await;
    let operator = one(&world, "gpu-operator");
    assert_eq!(operator["outcome"], "passed");
    assert_eq!(operator["lines"][0], "⚠️  GPU operator partially running: 1/2 pods running");
    assert_eq!(operator["lines"][3], "✅ GPU operator is available (with warnings)");
}

#[tokio::test]
async fn both_labels_find_the_operator_and_a_pod_with_both_counts_once() {
    let world = World::empty().await;
    well(&world, "old", json!({"app": "gpu-operator"})).await;
    well(&world, "new", json!({"app.kubernetes.io/name": "gpu-operator"})).await;
    well(&world, "both", json!({"app": "gpu-operator", "app.kubernetes.io/name": "gpu-operator"})).await;
    assert_eq!(one(&world, "gpu-operator")["lines"][0], "✅ GPU operator is running (3/3 pods)");
}

#[tokio::test]
async fn gpus_without_an_operator_warn_and_pass_and_neither_fails() {
    let world = World::empty().await;
    let operator = one(&world, "gpu-operator");
    assert_eq!(operator["outcome"], "failed");
    assert_eq!(operator["lines"][0], "❌ GPU operator not found in the cluster");
    world.node("eks", json!({}), json!({"nvidia.com/gpu": "8"})).await;
    let operator = one(&world, "gpu-operator");
    assert_eq!(operator["outcome"], "passed");
    assert!(warnings(&operator).contains("GPU operator not found in the cluster"), "{operator}");
}

#[tokio::test]
async fn a_user_without_rights_gets_errors_with_their_cause_and_not_none_found() {
    let world = World::empty().await;
    good(&world).await;
    let words = ["check", "-n", NAMESPACE];
    let answer = Answer::of(world.command_as(&world.stranger(), &words).output().unwrap());
    assert_eq!(answer.code, 1);
    insta::assert_snapshot!("check_stranger", stable(&answer.stdout));
    assert!(!answer.stdout.contains("No default StorageClass found"), "{}", answer.stdout);
    assert!(answer.stdout.contains("❌ Default StorageClass: ERROR"), "{}", answer.stdout);
}

#[tokio::test]
async fn an_unreachable_cluster_fails_the_first_check_and_skips_the_others() {
    let world = World::empty().await;
    let closed = world.closed();
    let words = ["check", "-o", "json"];
    let answer = Answer::of(world.command_as(&closed, &words).output().unwrap());
    assert_eq!(answer.code, 1);
    let document = answer.json();
    assert_eq!((&document["failed"], &document["skipped"]), (&json!(1), &json!(10)));
    assert_eq!(document["checks"][0]["lines"][0], "❌ Cannot connect to Kubernetes cluster");
    let mut nowhere = Command::new(PROGRAM);
    nowhere.env_clear().env("HOME", "/nonexistent").args(["check"]);
    let answer = Answer::of(nowhere.output().unwrap());
    assert_eq!(answer.code, 1, "{answer:?}");
    insta::assert_snapshot!("check_no_kubeconfig", answer.stdout);
}

#[tokio::test]
async fn a_cluster_that_never_answers_is_given_up_after_the_time_limit() {
    let world = World::empty().await;
    // It takes connections and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = std::fs::read_to_string(&world.kubeconfig).unwrap();
    let mut config: Value = serde_yaml_ng::from_str(&text).unwrap();
    let address = listener.local_addr().unwrap();
    config["clusters"][0]["cluster"]["server"] = format!("https://{address}").into();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    let began = std::time::Instant::now();
    let words = ["check", "--request-timeout", "1"];
    let answer = Answer::of(world.command_as(file.path(), &words).output().unwrap());
    assert_eq!(answer.code, 1);
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(answer.stdout.contains("❌ Cannot connect to Kubernetes cluster"), "{}", answer.stdout);
}

#[tokio::test]
async fn kubectl_is_not_needed_where_the_cluster_answers() {
    let world = World::empty().await;
    world.without_tool("kubectl");
    let connectivity = entry(&only(&world, &[]), "connectivity");
    assert_eq!(connectivity["outcome"], "passed");
    assert!(warnings(&connectivity).contains("kubectl is not installed or not in PATH"), "{connectivity}");
}

#[tokio::test]
async fn an_old_or_mute_program_is_told() {
    let world = World::empty().await;
    world.tool("helm", "echo v2.17.0");
    let versions = one(&world, "versions");
    assert_eq!(versions["lines"][0], "❌ Helm v2.17.0 is older than 3.0");
    world.tool("helm", "echo broken >&2; exit 1");
    let versions = one(&world, "versions");
    assert_eq!(versions["outcome"], "passed");
    assert!(warnings(&versions).contains("helm tells no version: broken"), "{versions}");
}

#[tokio::test]
async fn operators_that_are_there_are_told_by_binding_and_by_lease() {
    let world = World::empty().await;
    assert_eq!(one(&world, "operators")["warnings"], json!([]));
    let binding = json!({
        "metadata": {"name": "dynamo-platform-dynamo-operator-manager-rolebinding"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "m"},
        "subjects": [{"kind": "ServiceAccount", "name": "m", "namespace": "team-a"}],
    });
    world.make::<ClusterRoleBinding>(binding).await;
    let lease = |renewed: Timestamp| {
        json!({"metadata": {"name": MARKER}, "spec": {"holderIdentity": "namespace-restricted-operator-0.9.0",
            "leaseDurationSeconds": 30, "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()}})
    };
    world.make_in::<Lease>(NAMESPACE, lease(Timestamp::now())).await;
    world.make_in::<Lease>("gpu-operator", lease("2026-01-01T00:00:00Z".parse().unwrap())).await;
    let operators = one(&world, "operators");
    assert_eq!(operators["outcome"], "passed");
    let text = warnings(&operators);
    assert!(text.contains("a cluster-wide operator is present in namespace team-a"), "{text}");
    assert!(text.contains("dynamo-operator.namespaceRestriction.enabled=true"), "{text}");
    assert!(text.contains("a restricted operator owns namespace dynamo-system"), "{text}");
    assert!(text.contains("claim of a restricted operator on namespace gpu-operator has run out"), "{text}");
}

#[tokio::test]
async fn pods_of_the_platform_are_judged_after_the_install() {
    let world = World::empty().await;
    let platform = one(&world, "platform");
    assert_eq!(platform["lines"][0], "✅ The platform is not installed in namespace dynamo-system yet");
    let labels = |name: &str| json!({"app.kubernetes.io/name": name});
    world.pod(NAMESPACE, "etcd-0", labels("etcd"), "Running", container(true, json!({}))).await;
    assert_eq!(one(&world, "platform")["outcome"], "passed");
    let waiting = container(false, json!({"waiting": {"reason": "ContainerCreating"}}));
    world.pod(NAMESPACE, "operator", labels("dynamo-operator"), "Pending", waiting).await;
    let platform = one(&world, "platform");
    assert_eq!(platform["lines"][0], "❌ 1/2 pods of the platform are running in namespace dynamo-system");
}

#[tokio::test]
async fn webhooks_that_refuse_writes_while_nobody_answers_fail() {
    let world = World::empty().await;
    assert_eq!(one(&world, "webhooks")["outcome"], "passed");
    let service = json!({"namespace": NAMESPACE, "name": "webhook-service"});
    let rule = json!({"apiGroups": ["nvidia.com"], "apiVersions": ["v1alpha1"], "operations": ["CREATE"],
        "resources": ["dynamographdeployments"]});
    let hook = json!({"name": "v.kb.io", "admissionReviewVersions": ["v1"], "sideEffects": "None", "rules": [rule],
        "clientConfig": {"service": service, "caBundle": "eA=="}, "failurePolicy": "Fail"});
    world
        .make::<ValidatingWebhookConfiguration>(json!({"metadata": {"name": "v"}, "webhooks": [hook]}))
        .await;
    let webhooks = one(&world, "webhooks");
    assert_eq!(webhooks["outcome"], "failed");
    assert_eq!(webhooks["lines"][1], "  - v: Service dynamo-system/webhook-service has no ready endpoint");
    let slice = json!({"metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "webhook-service"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]});
    world.make_in::<EndpointSlice>(NAMESPACE, slice).await;
    assert_eq!(one(&world, "webhooks")["outcome"], "passed");
}

#[tokio::test]
async fn a_missing_token_warns_and_its_value_is_never_printed() {
    let world = World::empty().await;
    assert!(warnings(&one(&world, "hf-token")).contains("no Secret hf-token-secret"));
    let token = json!({"metadata": {"name": "hf-token-secret"}, "stringData": {"HF_TOKEN": "hf_secret"}});
    world.make_in::<Secret>(NAMESPACE, token).await;
    let check = one(&world, "hf-token");
    assert_eq!(check["warnings"], json!([]));
    assert!(!check.to_string().contains("hf_secret"));
}

#[tokio::test]
async fn every_check_but_the_first_can_be_skipped_and_a_wrong_name_is_wrong_use() {
    let world = World::empty().await;
    let document = only(&world, &[]);
    assert_eq!((&document["passed"], &document["skipped"]), (&json!(1), &json!(10)));
    let answer = world.run(&["check", "--skip", "connectivity"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("possible values: storage, gpu-nodes"), "{}", answer.stderr);
}

#[tokio::test]
async fn colours_come_only_where_they_are_wanted() {
    let world = World::empty().await;
    let colours = |words: &[&str], variable: Option<(&str, &str)>| {
        let mut command = world.command(&[&["check", "-n", NAMESPACE], words].concat());
        command.envs(variable);
        Answer::of(command.output().unwrap()).stdout.contains('\u{1b}')
    };
    assert!(!colours(&[], None), "no terminal");
    assert!(colours(&["--color", "always"], None));
    assert!(colours(&[], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!colours(&["--color", "never"], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!colours(&[], Some(("NO_COLOR", "1"))));
    assert!(!colours(&["--color", "always", "-o", "json"], None), "a program reads it");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_fault() {
    let world = World::empty().await;
    let mut child = world.command(&["check"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let answer = Answer::of(child.wait_with_output().unwrap());
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
}

#[tokio::test]
async fn yaml_says_what_json_says() {
    let world = World::empty().await;
    let words = |form| ["check", "-n", NAMESPACE, "-o", form];
    let yaml: Value = serde_yaml_ng::from_str(&world.run(&words("yaml")).stdout).unwrap();
    assert_eq!(yaml, world.run(&words("json")).json());
}

#[tokio::test]
async fn programs_are_asked_for_their_version_without_a_cluster() {
    let world = World::empty().await;
    let version = "echo '{\"clientVersion\": {\"gitVersion\": \"v1.34.0\"}}'";
    world.tool("kubectl", &format!("[ \"$KUBECONFIG\" = /dev/null ] && {version}"));
    let mut command = world.command(&["check", "-o", "json"]);
    let answer = Answer::of(command.env("KUBECONFIG", &world.kubeconfig).output().unwrap());
    assert_eq!(entry(&answer.json(), "versions")["warnings"], json!([]), "{answer:?}");
}
