//! Releases of the charts on the cluster of this machine, by the commands that users type.
//! Must not hide what Helm says: a refusal is an answer, too.

use std::path::PathBuf;
use std::process::{Command, Output};

use dynamo_devkit::demo::install::{self, NAMESPACE, RELEASE};
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

    /// Installs or upgrades the platform with the images of this machine.
    pub fn apply(&self, release: &str, namespace: &str, more: &[&str]) {
        let mut args = vec!["upgrade", "--install", release, PLATFORM, "-n", namespace, "--create-namespace"];
        args.extend(self.images.iter().map(String::as_str));
        args.extend(more);
        self.run(&args);
    }

    /// As [`Self::apply`] for the cluster-wide release, and waits until every pod of it is ready.
    pub fn install(&self, more: &[&str]) {
        self.apply(RELEASE, NAMESPACE, more);
        settled(self.kubectl);
    }
}

/// Waits until every Deployment and StatefulSet of the release runs its newest revision in full.
pub fn settled(kubectl: &Kubectl) {
    eventually("the release is rolled out", LIMIT, || install::rolled_out(kubectl));
}
