//! `dynamoctl diff`: what it says before an apply is what the apply does.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{Cluster, LIMIT, api, cluster};

fn graph() -> Value {
    json!({
        "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment",
        "metadata": {"name": "chat"},
        "spec": {"services": {
            "Frontend": {"componentType": "frontend", "replicas": 1,
                "extraPodSpec": {"mainContainer": {"image": "example.com/serve:1"}}},
            "Worker": {"componentType": "worker", "replicas": 2,
                "envs": [{"name": "LEVEL", "value": "1"}],
                "extraPodSpec": {"mainContainer": {"image": "example.com/serve:1"}}},
        }}
    })
}

/// Somebody who may read everything but who has which rights.
const READER: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: ['', apps, nvidia.com, networking.k8s.io], resources: ['*'], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]
";

/// A namespace with a file that holds a manifest.
struct Case {
    cluster: &'static Cluster,
    client: Client,
    namespace: String,
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let cluster = cluster();
        let client = cluster.runtime.block_on(cluster.client());
        let namespace = cluster.runtime.block_on(cluster.plane.namespace(&client));
        Self { cluster, client, namespace, folder: tempfile::tempdir().unwrap() }
    }

    fn call(&self, manifest: &Value, more: &[&str]) -> (ExitCode, String) {
        let file = self.folder.path().join("graph.json");
        std::fs::write(&file, manifest.to_string()).unwrap();
        let file = file.display().to_string();
        let words: Vec<&str> =
            ["diff", &file, "-n", &self.namespace].into_iter().chain(more.iter().copied()).collect();
        self.cluster.call(&words)
    }

    fn diff(&self, manifest: &Value) -> (ExitCode, Value) {
        let (code, text) = self.call(manifest, &["-o", "json"]);
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        (code, answer["objects"][0].clone())
    }

    /// Applies as `kubectl apply --server-side` does, and waits until the operator has followed.
    fn apply(&self, manifest: &Value) {
        self.cluster.runtime.block_on(async {
            let graphs: Api<DynamoGraphDeployment> = api(&self.client, &self.namespace);
            graphs
                .patch("chat", &PatchParams::apply("kubectl").force(), &Patch::Apply(manifest))
                .await
                .unwrap();
        });
        self.wait(manifest);
    }

    /// Waits until an apply of what was applied would change nothing.
    fn wait(&self, manifest: &Value) {
        let start = Instant::now();
        while self.diff(manifest).0 != ExitCode::SUCCESS {
            assert!(start.elapsed() < LIMIT, "{:#}", self.diff(manifest).1);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn deployment(&self, name: &str) -> Deployment {
        self.cluster.runtime.block_on(async { api(&self.client, &self.namespace).get(name).await.unwrap() })
    }
}

fn changed(answer: &Value) -> Vec<String> {
    let changes = answer["changes"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    changes.map(|it| format!("{} {} {}", text(&it["action"]), text(&it["kind"]), text(&it["name"]))).collect()
}

#[test]
fn a_new_graph_is_shown_with_all_that_is_made_of_it_and_then_nothing_is_left_to_change() {
    let case = Case::new();
    let (code, answer) = case.diff(&graph());
    assert_eq!(code, ExitCode::from(1));
    let told = changed(&answer);
    assert_eq!(told[0], "added DynamoGraphDeployment chat");
    for expected in [
        "added DynamoComponentDeployment chat-worker",
        "added Deployment chat-worker",
        "added Service chat-frontend",
    ] {
        assert!(told.iter().any(|it| it == expected), "{told:?}");
    }
    assert_eq!(answer["pods"][1]["fate"], "start");
    case.apply(&graph());
    let (code, text) = case.call(&graph(), &[]);
    let expected =
        format!("DynamoGraphDeployment {}/chat: no difference, an apply changes nothing\n", case.namespace);
    assert_eq!((code, text), (ExitCode::SUCCESS, expected));
}

#[test]
fn a_new_image_restarts_the_pods_of_its_service_and_of_no_other_and_the_field_is_named() {
    let case = Case::new();
    case.apply(&graph());
    let before = case.deployment("chat-worker");
    let mut next = graph();
    next["spec"]["services"]["Worker"]["extraPodSpec"]["mainContainer"]["image"] =
        json!("example.com/serve:2");
    let (code, answer) = case.diff(&next);
    assert_eq!(code, ExitCode::from(1));
    let pods = answer["pods"].as_array().unwrap();
    let [pods] = pods.as_slice() else { panic!("{pods:#?}") };
    assert_eq!(
        (&pods["service"], &pods["fate"], &pods["before"]),
        (&json!("Worker"), &json!("restart"), &json!(2))
    );
    let why = json!([{"path": "spec.template.spec.containers[main].image",
        "before": "example.com/serve:1", "after": "example.com/serve:2"}]);
    assert_eq!(pods["why"], why);
    let told = changed(&answer);
    let expected =
        ["DynamoGraphDeployment chat", "DynamoComponentDeployment chat-worker", "Deployment chat-worker"];
    assert_eq!(told, expected.map(|it| format!("changed {it}")));
    let (_, text) = case.call(&next, &[]);
    assert!(text.contains("service Worker, Deployment chat-worker: 2 pods restart\n"), "{text}");
    assert!(text.contains("+          image: example.com/serve:2\n"), "{text}");
    assert_eq!(
        case.deployment("chat-worker").metadata.resource_version,
        before.metadata.resource_version,
        "nothing was written"
    );

    case.apply(&next);
    let after = case.deployment("chat-worker");
    let template =
        |deployment: &Deployment| serde_json::to_value(&deployment.spec.as_ref().unwrap().template).unwrap();
    let mut predicted = template(&before);
    predicted["spec"]["containers"][0]["image"] = json!("example.com/serve:2");
    assert_eq!(template(&after), predicted, "what was said is what happened");
}

#[test]
fn replicas_alone_restart_nothing() {
    let case = Case::new();
    case.apply(&graph());
    let mut next = graph();
    next["spec"]["services"]["Worker"]["replicas"] = json!(5);
    let (code, answer) = case.diff(&next);
    assert_eq!(code, ExitCode::from(1));
    let pods = &answer["pods"][0];
    assert_eq!((&pods["fate"], &pods["before"], &pods["after"]), (&json!("scale"), &json!(2), &json!(5)));
    let (_, text) = case.call(&next, &[]);
    assert!(text.contains("scaled from 2 to 5 pods; those that stay do not restart"), "{text}");
    assert!(text.contains("no pod that runs restarts"), "{text}");
}

#[test]
fn a_service_that_is_taken_out_is_shown_with_all_that_goes() {
    let case = Case::new();
    case.apply(&graph());
    let mut next = graph();
    next["spec"]["services"].as_object_mut().unwrap().remove("Worker");
    let (code, answer) = case.diff(&next);
    assert_eq!(code, ExitCode::from(1));
    let told = changed(&answer);
    for expected in ["DynamoComponentDeployment chat-worker", "Deployment chat-worker", "Service chat-worker"]
    {
        assert!(told.contains(&format!("removed {expected}")), "{told:?}");
    }
    assert_eq!((&answer["pods"][0]["fate"], &answer["pods"][0]["before"]), (&json!("end"), &json!(2)));
}

#[test]
fn a_field_that_kubectl_apply_would_take_out_is_shown_as_taken_out() {
    let case = Case::new();
    let kubectl = case.cluster.kubectl();
    // Client-side apply, which remembers what it applied last.
    let apply = |manifest: &Value| {
        let file = case.folder.path().join("apply.json");
        std::fs::write(&file, manifest.to_string()).unwrap();
        kubectl.run(&["apply", "-n", &case.namespace, "-f", &file.display().to_string()]).unwrap();
    };
    apply(&graph());
    case.wait(&graph());
    let mut next = graph();
    next["spec"]["services"]["Worker"].as_object_mut().unwrap().remove("envs");
    let (code, answer) = case.diff(&next);
    assert_eq!(code, ExitCode::from(1));
    let fields = &answer["changes"][0]["fields"];
    assert_eq!(fields[0]["path"], "spec.services.Worker.envs", "{answer:#}");
    assert_eq!(answer["pods"][0]["why"][0]["path"], "spec.template.spec.containers[main].env[LEVEL]");
    apply(&next);
    case.wait(&next);
    assert_eq!(case.diff(&next).0, ExitCode::SUCCESS);
}

#[test]
fn who_may_only_read_gets_an_answer_and_is_told_how_sure_it_is() {
    let case = Case::new();
    case.apply(&graph());
    let kubectl = case.cluster.kubectl();
    kubectl.apply(READER).unwrap();
    // The API server reads rights from a watch of its own.
    let start = Instant::now();
    while kubectl.run(&["auth", "can-i", "list", "pods", "-n", &case.namespace, "--as", "reader"]).is_err() {
        assert!(start.elapsed() < LIMIT, "the reader has no rights");
        std::thread::sleep(Duration::from_millis(200));
    }
    let mine = std::fs::read_to_string(case.cluster.kubeconfig()).unwrap();
    let mut config: Value = serde_yaml_ng::from_str(&mine).unwrap();
    for user in config["users"].as_array_mut().unwrap() {
        user["user"]["as"] = json!("reader");
    }
    let kubeconfig = case.folder.path().join("reader.kubeconfig");
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let mut next = graph();
    next["spec"]["services"]["Worker"]["replicas"] = json!(4);
    let file = case.folder.path().join("next.json");
    std::fs::write(&file, next.to_string()).unwrap();
    let (file, kubeconfig) = (file.display().to_string(), kubeconfig.display().to_string());
    let words = ["--kubeconfig", &kubeconfig, "diff", &file, "-n", &case.namespace, "-o", "json"];
    let (code, text) = case.cluster.call_alone(&words);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, ExitCode::from(1));
    let answer = &answer["objects"][0];
    assert_eq!((&answer["pods"][0]["fate"], &answer["pods"][0]["after"]), (&json!("scale"), &json!(4)));
    let notes = answer["notes"].to_string();
    assert!(notes.contains("without the API server's defaults"), "{notes}");
    assert!(notes.contains("without the right to patch Deployment objects"), "{notes}");
    assert!(notes.contains("without the right to list RoleBinding objects"), "{notes}");
}

#[test]
fn a_claim_that_is_not_there_is_where_the_operator_stops() {
    let case = Case::new();
    let mut manifest = graph();
    manifest["spec"]["pvcs"] = json!([{"name": "weights"}]);
    let (code, answer) = case.diff(&manifest);
    assert_eq!(code, ExitCode::from(1));
    assert!(answer["stop"].as_str().unwrap().contains("the claim weights is not there"), "{answer:#}");
    assert!(changed(&answer).iter().all(|it| !it.contains("Deployment chat-")), "{answer:#}");
}

#[test]
fn a_manifest_that_the_api_server_refuses_is_no_answer() {
    let case = Case::new();
    let mut bad = graph();
    bad["spec"]["backendFramework"] = json!("vlm");
    let (code, text) = case.call(&bad, &[]);
    assert_eq!((code, text.as_str()), (ExitCode::from(2), ""));
}
