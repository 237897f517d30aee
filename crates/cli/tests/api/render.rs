//! `dynamoctl render` and the operator on the same graphs: what is printed is what is made, and what is printed without a
//! cluster is taken by one.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use dynamo_testkit::shared;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{Cluster, LIMIT, api, cluster, create_graphs, documents, dynamic};

/// Manifests of which the operator makes no component on the plain path.
const STOPPED: [&str; 8] = [
    "deploy-operator-config-samples-nvidia-com-v1alpha1-dynamographdeployment",
    "examples-backends-sglang-deploy-disagg-multinode",
    "examples-backends-trtllm-deploy-disagg-multinode",
    "examples-backends-vllm-deploy-disagg-multinode",
    "recipes-deepseek-r1-sglang-disagg-16gpu-deploy",
    "recipes-deepseek-r1-trtllm-disagg-wide-ep-gb200-deploy",
    "recipes-deepseek-r1-vllm-disagg-deploy-hopper-16gpu",
    "recipes-llama-3-70b-vllm-agg-gaie-deploy",
];
/// One whose Deployment the API server refuses, with the probe that is not there.
const REFUSED: &str = "examples-deployments-gke-vllm-disagg";
const HASH: &str = "nvidia.com/last-applied-hash";

fn manifests(skipped: &str) -> Option<Vec<PathBuf>> {
    let folder = shared::folder(skipped)?.join("parity/input");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| {
        let name = file.file_stem().unwrap().to_str().unwrap();
        !STOPPED.contains(&name) && name != REFUSED
    });
    Some(files)
}

/// A live object without what only the API server and the operator's bookkeeping write.
fn bare(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap();
    let metadata = value["metadata"].as_object_mut().unwrap();
    for key in ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"] {
        metadata.remove(key);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(HASH);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    value.as_object_mut().unwrap().remove("status");
    value
}

/// The first difference between an object that was rendered and the one that the operator made: an apply in its name
/// would change something.
async fn difference(client: &Client, namespace: &str, rendered: &Value) -> Option<String> {
    let name = rendered["metadata"]["name"].as_str().unwrap();
    let called = format!("{} {name}", rendered["kind"].as_str().unwrap());
    let api = dynamic(client, namespace, rendered);
    let Some(live) = api.get_opt(name).await.unwrap() else { return Some(format!("{called} is not there")) };
    let params = PatchParams { dry_run: true, ..PatchParams::apply("dynamo-operator").force() };
    let applied = match api.patch(name, &params, &Patch::Apply(rendered)).await {
        Ok(applied) => applied,
        Err(error) => return Some(format!("{called}: {error}")),
    };
    let (live, applied) = (bare(&live), bare(&applied));
    // What was created by a plain write, an apply does not take away.
    let owners = |object: &Value| object["metadata"]["ownerReferences"].clone();
    if owners(&live) != owners(rendered) {
        return Some(format!("{called}: owners {} rendered as {}", owners(&live), owners(rendered)));
    }
    (live != applied).then(|| {
        let (live, applied) = [live, applied].map(|it| serde_json::to_string_pretty(&it).unwrap()).into();
        let diff = similar::TextDiff::from_lines(&live, &applied);
        format!("{called}:\n{}", diff.unified_diff().context_radius(2).header("operator", "render"))
    })
}

/// Kind and name of every object that the operator made there.
async fn made(client: &Client, namespace: &str) -> BTreeSet<String> {
    let kinds = [
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("v1", "ConfigMap"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("networking.k8s.io/v1", "Ingress"),
        ("batch/v1", "Job"),
        ("nvidia.com/v1alpha1", "DynamoComponentDeployment"),
        ("nvidia.com/v1alpha1", "DynamoGraphDeploymentScalingAdapter"),
        ("nvidia.com/v1alpha1", "DynamoCheckpoint"),
    ];
    let mut names = BTreeSet::new();
    for (version, kind) in kinds {
        let api = dynamic(client, namespace, &json!({"apiVersion": version, "kind": kind}));
        let list = api.list(&ListParams::default()).await.unwrap();
        names
            .extend(list.items.into_iter().map(|object| format!("{kind} {}", object.metadata.name.unwrap())));
    }
    names
}

fn rendered(cluster: &Cluster, namespace: &str, file: &str, more: &[&str]) -> Vec<Value> {
    let words = ["render", file, "-n", namespace, "-o", "json"];
    let words: Vec<&str> = words.into_iter().chain(more.iter().copied()).collect();
    let (code, text) = cluster.call(&words);
    assert_eq!(code, ExitCode::SUCCESS, "{file}");
    let list: Value = serde_json::from_str(&text).unwrap();
    list["items"].as_array().unwrap().clone()
}

#[test]
fn what_is_rendered_from_a_cluster_is_what_its_operator_makes_field_by_field() {
    let Some(files) = manifests("render beside the operator") else { return };
    let cluster = cluster();
    let client = cluster.runtime.block_on(cluster.client());
    let mut spaces = Vec::new();
    for file in &files {
        let namespace = cluster.runtime.block_on(async {
            let namespace = cluster.plane.namespace(&client).await;
            create_graphs(&client, &namespace, &documents(file)).await;
            namespace
        });
        spaces.push((file.display().to_string(), namespace));
    }
    let (mut objects, mut failures) = (0, Vec::new());
    for (file, namespace) in &spaces {
        let start = Instant::now();
        let found = loop {
            let rendered = rendered(cluster, namespace, file, &["--from-cluster"]);
            let found = cluster.runtime.block_on(async {
                let mut found = Vec::new();
                for object in &rendered {
                    found.extend(difference(&client, namespace, object).await);
                }
                let name = |object: &Value| {
                    format!(
                        "{} {}",
                        object["kind"].as_str().unwrap(),
                        object["metadata"]["name"].as_str().unwrap()
                    )
                };
                let rendered: BTreeSet<String> = rendered.iter().map(name).collect();
                let made = made(&client, namespace).await;
                found.extend(made.difference(&rendered).map(|name| format!("{name} is not rendered")));
                found
            });
            objects += if found.is_empty() { rendered.len() } else { 0 };
            // The operator may be on its way. The first that waits in vain has given the others their time as well.
            if found.is_empty() || start.elapsed() > LIMIT || !failures.is_empty() {
                break found;
            }
            std::thread::sleep(Duration::from_millis(300));
        };
        failures.extend(found.into_iter().map(|failure| format!("{file}: {failure}")));
    }
    println!("{} manifests, {objects} objects rendered as the operator made them", spaces.len());
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
    assert!(spaces.len() >= 53 && objects > 600, "{} manifests, {objects} objects", spaces.len());
}

#[test]
fn what_is_rendered_without_a_cluster_is_taken_by_kubectl_apply_as_a_dry_run() {
    let Some(files) = manifests("kubectl apply of what is rendered") else { return };
    let cluster = cluster();
    let client = cluster.runtime.block_on(cluster.client());
    let kubectl = cluster.kubectl();
    let namespace = cluster.runtime.block_on(cluster.plane.namespace(&client));
    let mut accepted = 0;
    for file in &files {
        let (code, text) = cluster.call(&["render", &file.display().to_string(), "-n", &namespace]);
        assert_eq!(code, ExitCode::SUCCESS, "{}", file.display());
        let mut child = kubectl
            .command()
            .args(["apply", "--dry-run=server", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).lines().count();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {complaint}", file.display());
        assert_eq!(told, text.split("\n---\n").count(), "{}", file.display());
        accepted += told;
    }
    println!("{} manifests, {accepted} objects accepted", files.len());
    assert!(accepted > 600, "{accepted}");
    // Nothing was made.
    let services: Api<Service> = api(&client, &namespace);
    let configs: Api<ConfigMap> = api(&client, &namespace);
    cluster.runtime.block_on(async {
        assert_eq!(services.list(&ListParams::default()).await.unwrap().items.len(), 0);
        assert_eq!(configs.list(&ListParams::default()).await.unwrap().items.len(), 0);
    });
}
