//! A release of the reference, imitated from its recorded objects, becomes one of ours by `helm upgrade`.
//! Must not run pods: what the operator does with the graphs of such a release is tested with the operator.

use std::collections::BTreeMap;
use std::path::Path;

use dynamo_devkit::control_plane::ControlPlane;
use serde_json::{Map, Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, RELEASE, charts, platform, recorded, text};
use crate::or_skip;
use crate::plane::{kubectl, ok, plane};

/// Recorded facts, turned into the object again. Hooks are not part of a release and stay away.
fn object(facts: &Value) -> Option<Value> {
    if facts["annotations"].get("helm.sh/hook").is_some() {
        return None;
    }
    let mut object = json!({
        "apiVersion": facts["apiVersion"],
        "kind": facts["kind"],
        "metadata": {"name": facts["name"], "labels": facts["labels"], "annotations": facts["annotations"]},
    });
    if facts["namespace"].is_string() {
        object["metadata"]["namespace"] = facts["namespace"].clone();
    }
    let own = ["apiVersion", "kind", "name", "namespace", "labels", "annotations", "keys"];
    let rest: Map<String, Value> =
        facts.as_object()?.clone().into_iter().filter(|(key, _)| !own.contains(&key.as_str())).collect();
    match text(&facts["kind"]) {
        "Deployment" => object["spec"] = deployment(facts),
        "Service" => object["spec"] = Value::Object(rest),
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            object["webhooks"] = facts["webhooks"].as_array()?.iter().map(webhook).collect();
        }
        _ => object.as_object_mut()?.extend(rest),
    }
    Some(object)
}

fn deployment(facts: &Value) -> Value {
    json!({
        "replicas": facts["replicas"],
        "strategy": {"type": facts["strategy"]},
        "selector": {"matchLabels": facts["selector"]},
        "template": {
            "metadata": {"labels": facts["podLabels"], "annotations": facts["podAnnotations"]},
            "spec": {
                "serviceAccountName": facts["serviceAccountName"],
                "securityContext": facts["podSecurityContext"],
                "terminationGracePeriodSeconds": facts["terminationGracePeriodSeconds"],
                "containers": facts["containers"],
                "volumes": facts["volumes"],
            },
        },
    })
}

fn webhook(facts: &Value) -> Value {
    let (namespace, name) = text(&facts["service"]).split_once('/').expect("NAMESPACE/NAME");
    let mut webhook = facts.clone();
    let fields = webhook.as_object_mut().expect("a webhook");
    for key in ["service", "path", "caBundle"] {
        fields.remove(key);
    }
    fields.retain(|_, value| !value.is_null());
    fields.insert(
        "clientConfig".into(),
        json!({"service": {"namespace": namespace, "name": name, "path": facts["path"]}}),
    );
    webhook
}

/// The set of one of the bundled servers, with what an update may not change as their public charts have it.
fn stateful_set(part: &str, claim: &str) -> Value {
    let labels = json!({
        "app.kubernetes.io/name": part,
        "app.kubernetes.io/instance": RELEASE,
        "app.kubernetes.io/component": part,
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": format!("{RELEASE}-{part}"), "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1,
            "serviceName": format!("{RELEASE}-{part}-headless"),
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": part, "image": format!("{part}:reference")}]},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": claim},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": if part == "nats" { "10Gi" } else { "1Gi" }}},
                },
            }],
        },
    })
}

/// A chart that holds these documents as they are.
fn chart(folder: &Path, name: &str, documents: &str) {
    std::fs::create_dir_all(folder.join("templates")).expect("a chart folder");
    let about = format!("apiVersion: v2\nname: {name}\nversion: 0.8.0\n");
    std::fs::write(folder.join("Chart.yaml"), about).expect("the chart is written");
    std::fs::write(folder.join("all.yaml"), documents).expect("the chart is written");
    std::fs::write(folder.join("templates/all.yaml"), "{{ .Files.Get \"all.yaml\" }}\n")
        .expect("the chart is written");
}

fn helm(helm: &Helm, plane: &ControlPlane, args: &[&str]) {
    let kubeconfig = plane.kubeconfig().to_str().expect("a plain path");
    let output = helm.run(args.iter().chain(&["--kubeconfig", kubeconfig]));
    assert!(output.ok, "helm {args:?}: {}", output.stderr);
}

/// UID and name of every object of a kind.
fn identities(plane: &ControlPlane, kind: &str) -> BTreeMap<String, Value> {
    let list = ok(&kubectl(plane, None, &["get", kind, "-A", "-o", "json"], ""), kind);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let items = list["items"].as_array().expect("a list").iter();
    items.map(|item| (text(&item["metadata"]["name"]).to_owned(), item["metadata"]["uid"].clone())).collect()
}

fn get(plane: &ControlPlane, what: &str, namespace: &str) -> Value {
    let output = kubectl(plane, None, &["get", what, "-n", namespace, "-o", "json"], "");
    serde_json::from_str(&ok(&output, what)).expect("JSON")
}

#[test]
fn a_release_of_the_reference_becomes_ours_in_place_and_back_again() {
    let found = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let folder = tempfile::tempdir().expect("a folder");

    let set = std::fs::read(dir.join("defaults.json")).expect("the recorded set");
    let set: Value = serde_json::from_slice(&set).expect("JSON");
    let mut objects: Vec<Value> =
        set["objects"].as_array().expect("objects").iter().filter_map(object).collect();
    objects.extend([stateful_set("nats", "dynamo-platform-nats-js"), stateful_set("etcd", "data")]);
    let documents: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    let reference = folder.path().join("dynamo-platform");
    chart(&reference, "dynamo-platform", &documents);

    let definitions: String = std::fs::read_dir(dir.join("../../crds/reference"))
        .expect("the definitions of the reference")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nvidia.com_")))
        .map(|path| format!("---\n{}\n", std::fs::read_to_string(path).expect("a definition")))
        .collect();
    assert!(!definitions.is_empty(), "no definition of the reference found");
    let crds = folder.path().join("dynamo-crds");
    chart(&crds, "dynamo-crds", &definitions);

    let path = |path: &Path| path.to_str().expect("a plain path").to_owned();
    helm(&found, plane, &["install", "dynamo-crds", &path(&crds), "-n", "default"]);
    // A definition is served a moment after it is there.
    let established = ["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"];
    ok(&kubectl(plane, None, &established, ""), "the definitions are served");
    helm(&found, plane, &["install", RELEASE, &path(&reference), "-n", NAMESPACE]);
    // What the reference made of a graph, and the graph.
    let graph = json!({
        "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment",
        "metadata": {"name": "agg", "namespace": "team"},
        "spec": {"services": {"Frontend": {"componentType": "frontend", "replicas": 1}}},
    });
    let pods = json!({"app": "agg-frontend"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "agg-frontend", "namespace": "team"},
        "spec": {
            "selector": {"matchLabels": pods},
            "template": {"metadata": {"labels": pods}, "spec": {"containers": [{"name": "main", "image": "frontend"}]}},
        },
    });
    let both = format!("---\n{graph}\n---\n{deployment}\n");
    // Nobody answers the webhooks of the imitation.
    let configurations =
        ["validating", "mutating"].map(|part| format!("{part}webhookconfiguration/{FULLNAME}-{part}"));
    ok(
        &kubectl(plane, None, &["delete", &configurations[0], &configurations[1]], ""),
        "webhooks nobody serves",
    );
    ok(&kubectl(plane, None, &["create", "-f", "-"], &both), "the user's graph");

    let before =
        (identities(plane, "crd"), identities(plane, "dgd"), get(plane, "deployment/agg-frontend", "team"));
    let operator = |plane| get(plane, &format!("deployment/{FULLNAME}-controller-manager"), NAMESPACE);
    let (theirs, sets) = (operator(plane), identities(plane, "statefulset"));

    helm(&found, plane, &["upgrade", "dynamo-crds", &path(&charts().join("crds")), "-n", "default"]);
    helm(&found, plane, &["upgrade", RELEASE, &path(&platform()), "-n", NAMESPACE]);

    let after =
        (identities(plane, "crd"), identities(plane, "dgd"), get(plane, "deployment/agg-frontend", "team"));
    assert_eq!(before.0, after.0, "definitions are kept, not made again");
    assert_eq!(before.1, after.1, "graphs stay");
    assert_eq!(
        before.2["metadata"]["generation"], after.2["metadata"]["generation"],
        "no Deployment of a graph changes"
    );
    let ours = operator(plane);
    assert_eq!(
        theirs["metadata"]["uid"], ours["metadata"]["uid"],
        "the operator's Deployment is changed in place"
    );
    assert_ne!(
        theirs["spec"]["template"]["spec"]["containers"],
        ours["spec"]["template"]["spec"]["containers"]
    );
    assert_eq!(sets, identities(plane, "statefulset"), "data stays where it is");

    helm(&found, plane, &["rollback", RELEASE, "1", "-n", NAMESPACE]);
    assert_eq!(theirs["spec"], operator(plane)["spec"], "the way back leads where it began");

    helm(&found, plane, &["uninstall", RELEASE, "-n", NAMESPACE]);
    assert_eq!(before.1, identities(plane, "dgd"), "an uninstalled platform leaves the users' graphs");
    helm(&found, plane, &["uninstall", "dynamo-crds", "-n", "default"]);
    for object in ["dgd/agg", "deployment/agg-frontend"] {
        ok(&kubectl(plane, None, &["delete", object, "-n", "team"], ""), "the test's own objects");
    }
    for definition in before.0.keys().filter(|name| name.ends_with(".nvidia.com")) {
        ok(
            &kubectl(plane, None, &["delete", "crd", definition, "--ignore-not-found"], ""),
            "the test's own objects",
        );
    }
}
