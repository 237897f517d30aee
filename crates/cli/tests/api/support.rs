//! What tests of the command line ask again and again: the program, an operator, graphs.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::OnceLock,
    time::Duration,
};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_devkit::{
    kubectl::Kubectl,
    tools::{self, Tool},
};
use dynamo_testkit::{Plane, operator::REQUIRED, plane::OPERATOR_USER};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Namespace, PersistentVolumeClaim, Secret},
    },
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::common::{STACK, operator, runtime};

/// Bound of every wait for the operator; nothing here judges speed.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Where the operator's Secret for MPI is.
const HOME: &str = "dynamo-system";

/// A cluster in which nothing becomes ready, with an operator that can be found.
pub struct Cluster {
    pub plane: Plane,
    pub runtime: tokio::runtime::Runtime,
}

/// The one of this program.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let runtime = runtime();
        let plane = Plane::without_controllers();
        let cluster = Cluster { plane, runtime };
        cluster.runtime.block_on(cluster.start());
        cluster
    })
}

impl Cluster {
    async fn start(&self) {
        let client = self.client().await;
        create::<Namespace>(&Api::all(client.clone()), json!({"metadata": {"name": HOME}})).await;
        let key = json!({"metadata": {"name": "mpi-run-ssh-key"},
            "stringData": {"private.key": "private", "private.key.pub": "public"}});
        create::<Secret>(&Api::namespaced(client.clone(), HOME), key).await;
        // What the chart makes of it, which nobody runs here.
        let labels =
            json!({"control-plane": "controller-manager", "app.kubernetes.io/name": "dynamo-operator"});
        let deployment = json!({"metadata": {"name": "operator", "labels": labels}, "spec": {"replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                {"name": "manager", "image": "example.com/operator:1", "args": REQUIRED}]}}}});
        create::<Deployment>(&Api::namespaced(client, HOME), deployment).await;
        operator(&self.plane.operator_kubeconfig());
    }

    pub async fn client(&self) -> Client {
        self.plane.client().await
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.plane.kubeconfig_of(OPERATOR_USER)
    }

    pub fn kubectl(&self) -> Kubectl {
        let program = tools::ensure(&[Tool::Kubernetes]).unwrap().program("kubectl");
        Kubectl::new(program, self.kubeconfig())
    }

    /// `dynamoctl` with this cluster's kubeconfig: the exit code, and what it printed.
    pub fn call(&self, words: &[&str]) -> (ExitCode, String) {
        let kubeconfig = self.kubeconfig().display().to_string();
        let words: Vec<&str> =
            ["--kubeconfig", &kubeconfig].into_iter().chain(words.iter().copied()).collect();
        self.call_alone(&words)
    }

    /// The same without a word more.
    pub fn call_alone(&self, words: &[&str]) -> (ExitCode, String) {
        let words: Vec<&str> = std::iter::once("dynamoctl").chain(words.iter().copied()).collect();
        std::thread::scope(|scope| {
            let call = || {
                let mut out = Vec::new();
                let code = dynamoctl::call(words, &mut out);
                (code, String::from_utf8(out).unwrap())
            };
            // A program has more stack than a test.
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, call).unwrap();
            thread.join().unwrap()
        })
    }
}

pub async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Resource + serde::Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

pub fn api<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), namespace)
}

/// The documents of a manifest.
pub fn documents(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|part| serde::Deserialize::deserialize(part).unwrap())
        .filter(|value: &Value| !value.is_null())
        .collect()
}

/// Creates the graphs of a manifest, and before them the claims that they expect to find.
pub async fn create_graphs(client: &Client, namespace: &str, documents: &[Value]) {
    for graph in documents.iter().filter(|document| document["kind"] == "DynamoGraphDeployment") {
        let claims = graph["spec"]["pvcs"].as_array().into_iter().flatten();
        for claim in claims.filter(|claim| claim["create"] != true) {
            let claim = json!({"metadata": {"name": claim["name"]}, "spec": {
                "accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}});
            let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
            match api(client, namespace).create(&PostParams::default(), &claim).await {
                Ok(_) => {}
                // Two graphs of one manifest share it.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("claim: {error}"),
            }
        }
        create::<DynamoGraphDeployment>(&api(client, namespace), graph.clone()).await;
    }
}

/// Access to objects of the kind of `object`.
pub fn dynamic(client: &Client, namespace: &str, object: &Value) -> Api<DynamicObject> {
    let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), namespace, &resource)
}
