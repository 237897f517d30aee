//! Installs the two charts and waits for the operator.
//! Must restart the operator exactly when its image has another content.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{diagnose, pods};
use crate::kubectl::Kubectl;
use crate::progress::{self, Progress};
use crate::tools::{self, Tool};
use crate::{Result, process};

/// Release and namespace of the platform.
pub const RELEASE: &str = "dynamo-platform";
/// See [`RELEASE`].
pub const NAMESPACE: &str = "dynamo-system";
const LIMIT: Duration = Duration::from_secs(180);

/// Installs or upgrades both charts; the tag is made from the image's content, so that a new content is a roll-out.
///
/// # Errors
/// [`crate::Error::Failed`] with Helm's message, [`crate::Error::Deadline`] with the operator's logs.
pub fn install(kubectl: &Kubectl, root: &Path, log: &Path, repository: &str, tag: &str) -> Result<()> {
    let helm = match process::find("helm") {
        Some(program) => program,
        None => tools::ensure(&[Tool::Helm])?.program("helm"),
    };
    let run = Helm { program: helm, kubectl, root, log };
    run.upgrade("dynamo-crds", "deploy/helm/charts/crds", "default", &[])?;
    let image = "dynamo-operator.controllerManager.manager.image";
    // Images as strings: a tag of digits alone would become a number. The example needs neither NATS nor etcd.
    let values = [
        ("--set-string", format!("{image}.repository={repository}")),
        ("--set-string", format!("{image}.tag={tag}")),
        ("--set", "nats.enabled=false,etcd.enabled=false".to_owned()),
    ];
    run.upgrade(RELEASE, "deploy/helm/charts/platform", NAMESPACE, &values)?;
    let progress = Progress::start("wait for the operator");
    let result =
        progress::wait(&progress, "the operator's roll-out", LIMIT, Duration::from_millis(500), || {
            rolled_out(kubectl)
        });
    result.map_err(|error| diagnose::explain(error, kubectl, NAMESPACE))?;
    progress.done(&format!("{repository}:{tag}"));
    Ok(())
}

/// Whether every Deployment and StatefulSet of the platform's release runs its newest revision in full.
///
/// # Errors
/// What is missing.
pub fn rolled_out(kubectl: &Kubectl) -> std::result::Result<(), String> {
    let selector = format!("app.kubernetes.io/instance={RELEASE}");
    let args = ["get", "deployments,statefulsets", "-n", NAMESPACE, "-l", &selector];
    let value = kubectl.json(&args).map_err(|error| error.to_string())?;
    let all = value["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return Err("the chart's Deployment does not exist yet".into());
    }
    for workload in all {
        let number = |path: &str| workload.pointer(path).and_then(Value::as_i64).unwrap_or_default();
        let wanted = number("/spec/replicas");
        let seen = number("/status/observedGeneration") >= number("/metadata/generation");
        let updated =
            number("/status/updatedReplicas") >= wanted && number("/status/availableReplicas") >= wanted;
        if !(seen && updated && number("/status/replicas") == wanted) {
            return Err(pods::unready(kubectl, NAMESPACE)
                .unwrap_or_else(|| format!("{} is being rolled out", workload["metadata"]["name"])));
        }
    }
    Ok(())
}

struct Helm<'a> {
    program: PathBuf,
    kubectl: &'a Kubectl,
    root: &'a Path,
    log: &'a Path,
}

impl Helm<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.root).env("KUBECONFIG", self.kubectl.kubeconfig());
        command
    }

    fn upgrade(&self, release: &str, chart: &str, namespace: &str, values: &[(&str, String)]) -> Result<()> {
        let progress = Progress::start(format!("helm upgrade --install {release} ./{chart} -n {namespace}"));
        self.repair(release, namespace, &progress)?;
        let mut command = self.command();
        command.args([
            "upgrade",
            "--install",
            release,
            &format!("./{chart}"),
            "-n",
            namespace,
            "--create-namespace",
        ]);
        for (how, value) in values {
            command.args([how, value.as_str()]);
        }
        process::run_logged(&mut command, &format!("helm upgrade of {release}"), self.log, &progress)?;
        progress.done("");
        Ok(())
    }

    /// A Helm run that was killed leaves a lock that refuses every later one.
    fn repair(&self, release: &str, namespace: &str, progress: &Progress) -> Result<()> {
        let mut status = self.command();
        status.args(["status", release, "-n", namespace, "-o", "json"]);
        // No release is the usual reason of a failure; any other shows itself in the upgrade.
        let text = process::output(&mut status, "helm status").unwrap_or_default();
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let verb = match value["info"]["status"].as_str() {
            Some("pending-install") => "uninstall",
            Some("pending-upgrade" | "pending-rollback") => "rollback",
            _ => return Ok(()),
        };
        progress.waiting(&format!("helm {verb} of a release that an earlier run left half-done"));
        let mut command = self.command();
        process::run_logged(
            command.args([verb, release, "-n", namespace]),
            &format!("helm {verb}"),
            self.log,
            progress,
        )
    }
}
