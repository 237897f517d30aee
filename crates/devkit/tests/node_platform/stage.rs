//! What every test of the platform begins with: a cluster that has the images, and on which nothing is installed.
//! Must take away what an earlier run left, however that ended.

use dynamo_devkit::cluster::{self, Cluster};
use dynamo_devkit::demo::NAMESPACE as GRAPHS;
use dynamo_devkit::demo::install::{NAMESPACE, RELEASE};
use dynamo_devkit::images::bundled::Bundled;
use dynamo_devkit::images::{BuildOptions, Built, build};
use dynamo_devkit::kubectl::Kubectl;

use crate::common::{LIMIT, eventually, step};
use crate::monitoring::MONITORING;
use crate::release::Helm;

/// Namespace of the restricted release and its graph.
pub const TEAM: &str = "team";
/// What keeps pods off a spot machine of AKS, unless they say otherwise.
const SPOT: &str = "kubernetes.azure.com/scalesetpriority=spot:NoSchedule";
/// Every namespace that a test makes.
const NAMESPACES: [&str; 4] = [GRAPHS, TEAM, NAMESPACE, MONITORING];

pub struct Stage {
    pub cluster: Cluster,
    pub kubectl: Kubectl,
    built: Built,
    bundled: Bundled,
}

impl Stage {
    pub fn prepare() -> Self {
        step("a cluster with the images of this checkout, and nothing installed");
        let cluster = cluster::up().unwrap();
        let kubectl = cluster.kubectl();
        let (built, bundled) = (build(&BuildOptions::default()).unwrap(), Bundled::pack().unwrap());
        for archive in [&built.operator, &built.serve].into_iter().chain(bundled.all()) {
            cluster.runtime().load(archive).unwrap();
        }
        let stage = Self { cluster, kubectl, built, bundled };
        stage.clean();
        stage
    }

    pub fn helm(&self) -> Helm<'_> {
        Helm::new(&self.kubectl, &self.built.operator, &self.bundled)
    }

    pub fn namespace(&self, name: &str) {
        let namespace = format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}}}}"#);
        self.kubectl.apply(&namespace).unwrap();
    }

    /// Takes away what a test left.
    pub fn clean(&self) {
        let delete = |namespace: &str| {
            self.kubectl
                .run(&["delete", "namespace", namespace, "--ignore-not-found", "--wait=false"])
                .unwrap();
        };
        make_regular(&self.kubectl);
        // Graphs first, while there is an operator that lets them go.
        delete(GRAPHS);
        delete(TEAM);
        let _ = self.helm().try_run(&["uninstall", RELEASE, "-n", NAMESPACE]);
        delete(NAMESPACE);
        delete(MONITORING);
        eventually("the namespaces are gone", LIMIT, || {
            let list = self.kubectl.json(&["get", "namespaces"]).map_err(|error| error.to_string())?;
            let names = list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone());
            let left: Vec<_> = names.filter(|name| NAMESPACES.iter().any(|made| name == made)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }
}

/// Every node is a spot machine of AKS until this is dropped.
pub struct SpotMachines<'a>(&'a Kubectl);

impl<'a> SpotMachines<'a> {
    pub fn new(kubectl: &'a Kubectl) -> Self {
        kubectl.run(&["taint", "nodes", "--all", "--overwrite", SPOT]).unwrap();
        Self(kubectl)
    }
}

impl Drop for SpotMachines<'_> {
    fn drop(&mut self) {
        make_regular(self.0);
    }
}

fn make_regular(kubectl: &Kubectl) {
    // An error says that there is no such taint.
    let _ = kubectl.run(&["taint", "nodes", "--all", &format!("{SPOT}-")]);
}
