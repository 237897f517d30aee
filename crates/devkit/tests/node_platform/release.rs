//! Releases of the charts on the cluster of this machine, by the commands that users type.
//! Must not hide what Helm says: a refusal is an answer, too.

use std::path::PathBuf;
use std::process::{Command, Output};

use dynamo_devkit::demo::install::{NAMESPACE, RELEASE};
use dynamo_devkit::images;
use dynamo_devkit::images::bundled::Bundled;
use dynamo_devkit::images::oci::Archive;
use dynamo_devkit::kubectl::Kubectl;
use dynamo_devkit::tools::{Tool, ensure};

use crate::common::{LIMIT, eventually};

pub const CRDS: &str = "./deploy/helm/charts/crds";
pub const PLATFORM: &str = "./deploy/helm/charts/platform";

/// Helm in the root of the checkout, on this cluster.
pub struct Helm<'a> {
    program: PathBuf,
    kubectl: &'a Kubectl,
    /// Values that name the images of this machine.
    images: Vec<String>,
}

impl<'a> Helm<'a> {
    pub fn new(kubectl: &'a Kubectl, operator: &Archive, bundled: &Bundled) -> Self {
        let mut values = Vec::new();
        for (key, archive) in [
            ("dynamo-operator.controllerManager.manager.image", operator),
            ("nats.container.image", &bundled.nats),
            ("etcd.image", &bundled.etcd),
        ] {
            let (repository, tag) = archive.pinned_name().rsplit_once(':').unwrap();
            // As strings: a tag of digits alone would become a number.
            values.extend(["--set-string".into(), format!("{key}.repository={repository}")]);
            values.extend(["--set-string".into(), format!("{key}.tag={tag}")]);
        }
        // Without the registry that the chart puts before etcd's image.
        values.extend(["--set-string".into(), "etcd.image.registry=".into()]);
        // The program that tells NATS of a changed configuration is not among the pinned tools.
        values.extend(["--set".into(), "nats.reloader.enabled=false".into()]);
        Self { program: ensure(&[Tool::Helm]).unwrap().program("helm"), kubectl, images: values }
    }

    pub fn try_run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.current_dir(images::workspace().unwrap()).env("KUBECONFIG", self.kubectl.kubeconfig());
        command.args(args).output().unwrap()
    }

    pub fn run(&self, args: &[&str]) -> String {
        let output = self.try_run(args);
        assert!(output.status.success(), "helm {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `helm VERB RELEASE` of the platform with the images of this machine and `more` arguments.
    pub fn platform(&self, verb: &[&str], more: &[&str]) -> Output {
        let mut args = verb.to_vec();
        args.extend([RELEASE, PLATFORM, "-n", NAMESPACE, "--create-namespace"]);
        args.extend(self.images.iter().map(String::as_str));
        args.extend(more);
        self.try_run(&args)
    }

    /// Installs or upgrades, and waits until every pod of the release is ready.
    pub fn install(&self, more: &[&str]) {
        let output = self.platform(&["upgrade", "--install"], more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        settled(self.kubectl);
    }
}

/// Every Deployment and StatefulSet of the release runs its newest revision in full.
pub fn settled(kubectl: &Kubectl) {
    let selector = format!("app.kubernetes.io/instance={RELEASE}");
    eventually("the release is rolled out", LIMIT, || {
        let args = ["get", "deployments,statefulsets", "-n", NAMESPACE, "-l", &selector];
        let list = kubectl.json(&args).map_err(|error| error.to_string())?;
        let items = list["items"].as_array().ok_or("no list")?;
        for item in items {
            let number =
                |path: &str| item.pointer(path).and_then(serde_json::Value::as_i64).unwrap_or_default();
            let wanted = number("/spec/replicas");
            let seen = number("/status/observedGeneration") >= number("/metadata/generation");
            let updated =
                number("/status/updatedReplicas") == wanted && number("/status/readyReplicas") == wanted;
            if !(seen && updated && number("/status/replicas") == wanted) {
                return Err(format!("{}: {}", item["metadata"]["name"], item["status"]));
            }
        }
        if items.is_empty() { Err("nothing is there".into()) } else { Ok(()) }
    });
}
