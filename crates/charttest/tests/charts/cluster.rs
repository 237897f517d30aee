//! The charts against a real API server: it takes every object, an upgrade keeps what the operator wrote, rights suffice.
//! Must not run pods: there is no node, so the operator itself is not part of these tests.

use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dynamo_devkit::control_plane::{ControlPlane, ControlPlaneOptions};
use dynamo_devkit::tools::{Tool, is_built};
use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, RELEASE, charts, platform, text};
use crate::or_skip;

const TENANT: &str = "tenant";

/// One API server for all tests, one test at a time: releases of one name would meet.
static PLANE: Mutex<Option<ControlPlane>> = Mutex::new(None);

fn plane() -> Option<MutexGuard<'static, Option<ControlPlane>>> {
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
        for file in std::fs::read_dir(charts().join("crds/templates")).expect("the definitions") {
            let path = file.expect("the definitions").path();
            kubectl.apply(&std::fs::read_to_string(path).expect("a definition")).expect("a definition");
        }
        *plane = Some(started);
    }
    Some(plane)
}

/// kubectl with `input`, as the administrator or as an account (`NAMESPACE:NAME`).
fn kubectl(plane: &ControlPlane, account: Option<&str>, args: &[&str], input: &str) -> Output {
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
fn ok(output: &Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn forbidden(output: &Output, what: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("orbidden"), "{what} must be forbidden: {stderr}");
}

fn operator(values: &Value) -> Value {
    json!({ "dynamo-operator": values })
}

/// Value sets that between them render every object of the operator chart.
fn sets() -> Vec<Value> {
    let mut sets = Vec::new();
    for restriction in
        [json!({}), json!({"enabled": true}), json!({"enabled": true, "targetNamespace": TENANT})]
    {
        for webhook in [
            json!({}),
            json!({"enabled": false}),
            json!({"failurePolicy": "Ignore", "timeoutSeconds": 30, "namespaceSelector": {"matchLabels": {"a": "b"}}}),
            json!({"certGenerator": {"enabled": true}}),
            json!({"certificateSecret": {"external": true}, "caBundle": "Q0EtQlVORExF"}),
            json!({"certManager": {"enabled": true}}),
        ] {
            sets.push(operator(&json!({"namespaceRestriction": restriction, "webhook": webhook})));
        }
    }
    sets
}

#[test]
fn the_api_server_takes_every_object_of_every_mode_and_scope_under_short_and_long_names() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let mut documents = String::new();
    let mut kinds = std::collections::BTreeSet::new();
    let jobs = operator(&json!({"webhook": {"certGenerator": {"enabled": true}}}));
    for (release, sets) in
        [(RELEASE.to_owned(), sets()), ("r".repeat(28), vec![jobs.clone()]), ("r".repeat(53), vec![jobs])]
    {
        for values in sets {
            documents.clear();
            for mut object in helm.objects(&release, NAMESPACE, &values).0 {
                let kind = text(&object["kind"]).to_owned();
                // As Helm does for objects that name none.
                if object["metadata"]["namespace"].is_null()
                    && !kind.starts_with("Cluster")
                    && !kind.ends_with("Configuration")
                {
                    object["metadata"]["namespace"] = json!(NAMESPACE);
                }
                kinds.insert(kind);
                // cert-manager is not here; its definitions would come with it.
                if !text(&object["apiVersion"]).starts_with("cert-manager.io/") {
                    documents.push_str(&format!("---\n{object}\n"));
                }
            }
            let args = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
            ok(&kubectl(plane, None, &args, &documents), &format!("{release}, {values}"));
        }
    }
    for kind in ["Job", "Service", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "Role"] {
        assert!(kinds.contains(kind), "no set renders a {kind}: {kinds:?}");
    }
}

/// A release on the API server; removed again when dropped.
struct Installed<'a> {
    helm: &'a Helm,
    plane: &'a ControlPlane,
    values: Value,
}

impl<'a> Installed<'a> {
    fn new(helm: &'a Helm, plane: &'a ControlPlane, values: Value) -> Self {
        let installed = Self { helm, plane, values };
        installed.helm("install");
        installed
    }

    fn helm(&self, verb: &str) {
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
    }

    /// A command of the operator's account.
    fn account(&self, args: &[&str], input: &str) -> Output {
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
    }
}

fn bundles(plane: &ControlPlane, suffix: &str) -> Vec<String> {
    let names = ["validating", "mutating"]
        .map(|part| format!("{part}webhookconfiguration/{FULLNAME}-{part}{suffix}"));
    let mut found = Vec::new();
    for name in names {
        let object: Value =
            serde_json::from_str(&ok(&kubectl(plane, None, &["get", &name, "-o", "json"], ""), &name))
                .expect("JSON");
        for webhook in object["webhooks"].as_array().expect("webhooks") {
            found.push(text(&webhook["clientConfig"]["caBundle"]).to_owned());
        }
    }
    found
}

/// The operator publishes with a JSON patch, as here.
fn publish(installed: &Installed<'_>, suffix: &str) {
    for (part, count) in [("validating", 4), ("mutating", 1)] {
        let patch: Vec<Value> = (0..count)
            .map(|i| json!({"op": "add", "path": format!("/webhooks/{i}/clientConfig/caBundle"), "value": "Q0EK"}))
            .collect();
        let name = format!("{part}webhookconfiguration/{FULLNAME}-{part}{suffix}");
        let patch = Value::from(patch).to_string();
        ok(&installed.account(&["patch", &name, "--type=json", "-p", &patch], ""), "the operator publishes");
    }
}

#[test]
fn an_upgrade_keeps_the_bundle_that_the_operator_published() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let mut installed = Installed::new(&helm, plane, operator(&json!({})));
    assert_eq!(bundles(plane, ""), [""; 5]);
    publish(&installed, "");
    assert_eq!(bundles(plane, ""), ["Q0EK"; 5]);
    installed.helm("upgrade");
    assert_eq!(bundles(plane, ""), ["Q0EK"; 5]);
    installed.values = operator(&json!({"webhook": {"timeoutSeconds": 7, "failurePolicy": "Ignore"}}));
    installed.helm("upgrade");
    assert_eq!(bundles(plane, ""), ["Q0EK"; 5], "also when the entries change");
}

/// One request per right; the API server decides by the roles that Helm installed.
struct Attempt {
    what: &'static str,
    args: Vec<String>,
    input: String,
    allowed: bool,
}

fn attempt(allowed: bool, what: &'static str, command: &str, input: &str) -> Attempt {
    let args = command.split_whitespace().map(|word| word.replace("FULLNAME", FULLNAME)).collect();
    Attempt { what, args, input: input.to_owned(), allowed }
}

fn check(installed: &Installed<'_>, attempts: &[Attempt]) {
    for Attempt { what, args, input, allowed } in attempts {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = installed.account(&args, input);
        if *allowed {
            ok(&output, what);
        } else {
            forbidden(&output, what);
        }
    }
}

fn secret(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData: {{a: b}}\n"
    )
}

fn lease(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
    )
}

/// What both scopes may do with the certificate and the configurations, and no more.
fn certificate_attempts(suffix: &str) -> Vec<Attempt> {
    let validating = format!("validatingwebhookconfiguration FULLNAME-validating{suffix}");
    let named =
        |name: &str| format!("get validatingwebhookconfigurations --field-selector=metadata.name={name}");
    vec![
        attempt(true, "makes the certificate", "create -f -", &secret(NAMESPACE, "webhook-server-cert")),
        attempt(true, "renews it", "replace -f -", &secret(NAMESPACE, "webhook-server-cert")),
        attempt(
            true,
            "watches it",
            "get secrets -n dynamo-system --field-selector=metadata.name=webhook-server-cert",
            "",
        ),
        attempt(false, "renews another Secret", "replace -f -", &secret(NAMESPACE, "other")),
        attempt(true, "watches its configuration", &named(&format!("FULLNAME-validating{suffix}")), ""),
        attempt(false, "watches all configurations", "get validatingwebhookconfigurations", ""),
        attempt(true, "annotates its configuration", &format!("patch {validating} --type=merge -p {{}}"), ""),
        attempt(
            false,
            "changes another one",
            "patch validatingwebhookconfiguration other --type=merge -p {}",
            "",
        ),
        attempt(false, "deletes its configuration", &format!("delete {validating}"), ""),
    ]
}

/// Objects that the attempts need or must not touch.
fn surroundings(plane: &ControlPlane) {
    let other = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: other}\n";
    let source = secret(NAMESPACE, "mpi-run-ssh-secret");
    let documents = [other, &source, &secret(NAMESPACE, "other"), &secret(TENANT, "other")].join("---\n");
    plane.kubectl().apply(&documents).expect("the surroundings");
    let left = ["delete", "secret,lease,rolebinding", "--ignore-not-found", "-n"];
    for (namespace, name) in [
        (NAMESPACE, "webhook-server-cert"),
        (TENANT, "mpi-run-ssh-secret"),
        (TENANT, "dynamo-operator-namespace-scope"),
    ] {
        plane.kubectl().run(&[&left[..], &[namespace, name]].concat()).expect("traces of other tests go");
    }
}

#[test]
fn a_cluster_wide_operator_can_do_its_work_and_no_more() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    surroundings(plane);
    let installed = Installed::new(&helm, plane, operator(&json!({})));
    check(&installed, &certificate_attempts(""));
    let marker = "get leases -A --field-selector=metadata.name=dynamo-operator-namespace-scope";
    let bind = |role: &str| {
        format!(
            "create rolebinding b-{role} -n tenant --clusterrole={role} --serviceaccount=tenant:a --dry-run=server"
        )
    };
    check(
        &installed,
        &[
            attempt(true, "watches marker Leases everywhere", marker, ""),
            attempt(false, "watches all Leases", "get leases -A", ""),
            attempt(
                true,
                "indexes registry Secrets",
                "get secrets -A --field-selector=type=kubernetes.io/dockerconfigjson",
                "",
            ),
            attempt(
                true,
                "copies the MPI key",
                "apply --server-side -f -",
                &secret(TENANT, "mpi-run-ssh-secret"),
            ),
            attempt(false, "applies another Secret", "apply --server-side -f -", &secret(TENANT, "other")),
            attempt(false, "makes any Secret in a user's namespace", "create -f -", &secret(TENANT, "third")),
            attempt(false, "deletes a Secret", "delete secret other -n tenant", ""),
            attempt(true, "hands out the planner's role", &bind("FULLNAME-planner"), ""),
            attempt(true, "hands out the endpoint picker's role", &bind("FULLNAME-epp"), ""),
            attempt(true, "hands out the profiling role", &bind("FULLNAME-dgdr-profiling"), ""),
            attempt(false, "hands out everything", &bind("cluster-admin"), ""),
            attempt(true, "reads a role that it hands out", "get clusterrole FULLNAME-planner", ""),
            attempt(false, "reads other cluster roles", "get clusterrole cluster-admin", ""),
        ],
    );
}

#[test]
fn a_restricted_operator_can_do_its_work_in_its_namespace_and_no_more() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    surroundings(plane);
    let restriction = json!({"namespaceRestriction": {"enabled": true, "targetNamespace": TENANT}});
    let installed = Installed::new(&helm, plane, operator(&restriction));
    check(&installed, &certificate_attempts("-dynamo-system"));
    let marker = lease(TENANT, "dynamo-operator-namespace-scope");
    check(
        &installed,
        &[
            attempt(true, "claims its namespace", "create -f -", &marker),
            attempt(
                true,
                "renews the claim",
                "patch lease dynamo-operator-namespace-scope -n tenant --type=merge -p {}",
                "",
            ),
            attempt(true, "gives it back", "delete lease dynamo-operator-namespace-scope -n tenant", ""),
            attempt(
                false,
                "claims another namespace",
                "create -f -",
                &lease("team", "dynamo-operator-namespace-scope"),
            ),
            attempt(
                false,
                "watches marker Leases everywhere",
                "get leases -A --field-selector=metadata.name=dynamo-operator-namespace-scope",
                "",
            ),
            attempt(
                true,
                "indexes registry Secrets",
                "get secrets -n tenant --field-selector=type=kubernetes.io/dockerconfigjson",
                "",
            ),
            attempt(false, "reads Secrets elsewhere", "get secrets -n team", ""),
            attempt(
                true,
                "reads the MPI key of the release",
                "get secret mpi-run-ssh-secret -n dynamo-system",
                "",
            ),
            attempt(
                false,
                "reads other Secrets of the release namespace",
                "get secret other -n dynamo-system",
                "",
            ),
            attempt(
                true,
                "copies the MPI key",
                "apply --server-side -f -",
                &secret(TENANT, "mpi-run-ssh-secret"),
            ),
            attempt(
                false,
                "hands out a cluster role",
                "create rolebinding b -n tenant --clusterrole=cluster-admin --serviceaccount=tenant:a",
                "",
            ),
        ],
    );
}
