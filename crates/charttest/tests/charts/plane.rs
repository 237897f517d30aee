//! An API server for these tests, releases on it, and requests as the operator's account.
//! Must not judge beyond "allowed" and "forbidden": that is the tests' work.

use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dynamo_devkit::control_plane::{ControlPlane, ControlPlaneOptions};
use dynamo_devkit::tools::{Tool, is_built};
use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, RELEASE, platform};

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
    }
}
