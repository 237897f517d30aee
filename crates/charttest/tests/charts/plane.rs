//! An API server for these tests, releases on it, and requests as the operator's account.
//! Must not judge beyond "allowed" and "forbidden": that is the tests' work.

use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dynamo_devkit::control_plane::{ControlPlane, ControlPlaneOptions};
use dynamo_devkit::tools::{Tool, is_built};
use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, RELEASE, platform, text};

/// A namespace beside that of the release; a third is `team`.
pub const TENANT: &str = "tenant";

/// One API server for all tests, one test at a time: releases of one name would meet.
static PLANE: Mutex<Option<ControlPlane>> = Mutex::new(None);

pub fn plane() -> Option<MutexGuard<'static, Option<ControlPlane>>> {
    if ![Tool::Kubernetes, Tool::Etcd].into_iter().all(|tool| is_built(tool).unwrap_or(false)) {
        return None;
    }
    let mut plane = PLANE.lock().unwrap_or_else(PoisonError::into_inner);
    if plane.is_none() {
        let started = ControlPlane::start(ControlPlaneOptions::default()).expect("the API server starts");
        let kubectl = started.kubectl();
        for namespace in [NAMESPACE, TENANT, "team"] {
            kubectl.run(&["create", "namespace", namespace]).expect("a namespace");
        }
        *plane = Some(started);
    }
    Some(plane)
}

/// kubectl with `input`, as the administrator or as an account (`NAMESPACE:NAME`).
pub fn kubectl(plane: &ControlPlane, account: Option<&str>, args: &[&str], input: &str) -> Output {
    let file = tempfile::NamedTempFile::new().expect("an input file");
    std::fs::write(file.path(), input).expect("the input is written");
    let mut command = plane.kubectl().command();
    command.arg("--request-timeout=15s").args(args);
    if let Some(account) = account {
        command.arg(format!("--as=system:serviceaccount:{account}"));
    }
    command
        .stdin(std::fs::File::open(file.path()).expect("the input opens"))
        .output()
        .expect("kubectl starts")
}

#[track_caller]
pub fn ok(output: &Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
pub fn forbidden(output: &Output, what: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("orbidden"), "{what} must be forbidden: {stderr}");
}

/// One right of every binding in `objects` to a role in them, for each account that it names: a review that asks about it.
fn rights(objects: &[Value]) -> Vec<Value> {
    let named = |kind: &str, name: &Value, namespace: &Value| {
        let is_it = |object: &&Value| {
            let metadata = &object["metadata"];
            let here = kind == "ClusterRole" || metadata["namespace"] == *namespace;
            object["kind"] == kind && metadata["name"] == *name && here
        };
        objects.iter().find(is_it)
    };
    let mut reviews = Vec::new();
    for binding in objects.iter().filter(|object| text(&object["kind"]).ends_with("RoleBinding")) {
        let (reference, namespace) = (&binding["roleRef"], &binding["metadata"]["namespace"]);
        let Some(role) = named(text(&reference["kind"]), &reference["name"], namespace) else { continue };
        let Some(rule) = role["rules"].as_array().and_then(|rules| rules.first()) else { continue };
        let (resource, subresource) =
            text(&rule["resources"][0]).split_once('/').unwrap_or((text(&rule["resources"][0]), ""));
        let attributes = json!({
            "namespace": text(namespace), "verb": rule["verbs"][0], "group": rule["apiGroups"][0],
            "resource": resource, "subresource": subresource, "name": text(&rule["resourceNames"][0]),
        });
        for account in binding["subjects"].as_array().into_iter().flatten() {
            let user =
                format!("system:serviceaccount:{}:{}", text(&account["namespace"]), text(&account["name"]));
            let spec = json!({"user": user, "resourceAttributes": attributes});
            reviews.push(
                json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}),
            );
        }
    }
    reviews
}

/// Waits until the API server allows, or refuses, what the roles and bindings in `objects` grant: it decides by copies of them, which
/// follow a moment after each write. False when it does not come to that.
pub fn settled(plane: &ControlPlane, objects: &[Value], allowed: bool) -> bool {
    let documents: String = rights(objects).iter().map(|review| format!("---\n{review}\n")).collect();
    let print = "jsonpath={.status.allowed}{\"\\n\"}";
    let wanted = if allowed { "true" } else { "false" };
    documents.is_empty()
        || (0..100).any(|_| {
            let output = kubectl(plane, None, &["create", "-f", "-", "-o", print], &documents);
            let answers = String::from_utf8_lossy(&output.stdout).into_owned();
            let done = output.status.success() && answers.lines().all(|answer| answer == wanted);
            if !done {
                std::thread::sleep(Duration::from_millis(100));
            }
            done
        })
}

/// Values of the platform with `values` for the operator.
pub fn operator(values: &Value) -> Value {
    json!({ "dynamo-operator": values })
}

/// A release of the platform on the API server; removed again when dropped.
pub struct Installed<'a> {
    helm: &'a Helm,
    plane: &'a ControlPlane,
    pub values: Value,
}

impl<'a> Installed<'a> {
    pub fn new(helm: &'a Helm, plane: &'a ControlPlane, values: Value) -> Self {
        let installed = Self { helm, plane, values };
        installed.helm("install");
        installed
    }

    pub fn helm(&self, verb: &str) {
        let file = tempfile::NamedTempFile::new().expect("a value file");
        std::fs::write(file.path(), self.values.to_string()).expect("the value file is written");
        let (chart, kubeconfig) = (platform(), self.plane.kubeconfig());
        let chart = chart.to_str().expect("a plain path");
        let paths = [kubeconfig, file.path()].map(|path| path.to_str().expect("a plain path"));
        let output = self.helm.run([
            verb,
            RELEASE,
            chart,
            "--namespace",
            NAMESPACE,
            "--kubeconfig",
            paths[0],
            "--values",
            paths[1],
            "--no-hooks",
        ]);
        assert!(output.ok, "helm {verb}: {}", output.stderr);
        assert!(settled(self.plane, &self.objects(), true), "helm {verb}: the rights are not in force");
    }

    fn objects(&self) -> Vec<Value> {
        self.helm.objects(RELEASE, NAMESPACE, &self.values).0
    }

    /// A command of the operator's account.
    pub fn account(&self, args: &[&str], input: &str) -> Output {
        let account = format!("{NAMESPACE}:{FULLNAME}-controller-manager");
        kubectl(self.plane, Some(&account), args, input)
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        let kubeconfig = self.plane.kubeconfig().to_str().expect("a plain path");
        self.helm.run([
            "uninstall",
            RELEASE,
            "--namespace",
            NAMESPACE,
            "--kubeconfig",
            kubeconfig,
            "--no-hooks",
        ]);
        // The next test counts on rights that are gone; a test that has failed already says what is wrong.
        let settled = settled(self.plane, &self.objects(), false);
        assert!(settled || std::thread::panicking(), "rights of the release are still in force");
    }
}
