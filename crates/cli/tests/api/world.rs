//! A cluster whose nodes, classes and pods are made up: an API server without controllers, on which every object stays
//! as a test wrote it. Its scenarios take turns, for most of what they look at belongs to the whole cluster.

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use dynamo_testkit::Plane;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        admissionregistration::v1::ValidatingWebhookConfiguration,
        coordination::v1::Lease,
        core::v1::{Namespace, Node, PersistentVolumeClaim, Pod, Secret},
        discovery::v1::EndpointSlice,
        rbac::v1::ClusterRoleBinding,
        storage::v1::{CSIDriver, StorageClass},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_dynamoctl");
pub const NAMESPACE: &str = "dynamo-system";

/// The cluster, empty at first.
pub struct World {
    pub client: Client,
    pub kubeconfig: PathBuf,
    /// Every request of the commands under test.
    pub audit_log: PathBuf,
    /// Home of the programs that the command under test may find.
    tools: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    pub async fn empty() -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        static PLANE: OnceLock<Plane> = OnceLock::new();
        let turn = TURN.lock().await;
        let plane = PLANE.get_or_init(Plane::without_controllers);
        let client = plane.client().await;
        let world = Self {
            client,
            kubeconfig: plane.operator_kubeconfig(),
            audit_log: plane.audit_log(),
            tools: tempfile::tempdir().unwrap(),
            _turn: turn,
        };
        world.clear().await;
        world.tool("kubectl", "echo '{\"clientVersion\": {\"gitVersion\": \"v1.34.0\"}}'");
        world.tool("helm", "echo v3.19.0");
        world
    }

    async fn clear(&self) {
        for namespace in [NAMESPACE, "gpu-operator"] {
            let object = json!({"metadata": {"name": namespace}});
            let object: Namespace = serde_json::from_value(object).unwrap();
            let created = Api::all(self.client.clone()).create(&PostParams::default(), &object).await;
            assert!(
                created.is_ok() || matches!(created, Err(kube::Error::Api(status)) if status.code == 409)
            );
        }
        self.clear_all::<Node>(|_| true).await;
        self.clear_all::<StorageClass>(|_| true).await;
        self.clear_all::<CSIDriver>(|_| true).await;
        self.clear_all::<ValidatingWebhookConfiguration>(|_| true).await;
        self.clear_all::<ClusterRoleBinding>(|name| !name.starts_with("system:") && name != "cluster-admin")
            .await;
        for namespace in [NAMESPACE, "gpu-operator"] {
            self.clear_in::<Pod>(namespace).await;
            self.clear_in::<Lease>(namespace).await;
            self.clear_in::<Secret>(namespace).await;
            self.clear_in::<EndpointSlice>(namespace).await;
            self.clear_in::<PersistentVolumeClaim>(namespace).await;
        }
    }

    async fn clear_all<K>(&self, which: impl Fn(&str) -> bool)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        for object in api.list(&ListParams::default()).await.unwrap() {
            if which(&object.name_any()) {
                api.delete(&object.name_any(), &DeleteParams::default()).await.unwrap();
            }
        }
    }

    async fn clear_in<K>(&self, namespace: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        for object in api.list(&ListParams::default()).await.unwrap() {
            let name = object.name_any();
            if !object.finalizers().is_empty() {
                let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                api.patch(&name, &PatchParams::default(), &none).await.unwrap();
            }
            let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            api.delete(&name, &now).await.unwrap();
        }
    }

    pub async fn make<K>(&self, object: Value)
    where
        K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Debug,
    {
        let object: K = serde_json::from_value(object).unwrap();
        Api::all(self.client.clone()).create(&PostParams::default(), &object).await.unwrap();
    }

    pub async fn make_in<K>(&self, namespace: &str, object: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Serialize
            + DeserializeOwned
            + Debug,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let api = Api::namespaced(self.client.clone(), namespace);
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    /// A node that offers `allocatable`.
    pub async fn node(&self, name: &str, labels: Value, allocatable: Value) {
        self.make::<Node>(json!({"metadata": {"name": name, "labels": labels}})).await;
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let status =
            json!({"status": {"allocatable": allocatable, "capacity": allocatable, "conditions": ready}});
        let api: Api<Node> = Api::all(self.client.clone());
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    /// A class; `mark` is the annotation that makes it the default one.
    pub async fn class(&self, name: &str, provisioner: &str, mark: Option<&str>) {
        let annotations = mark.map(|mark| json!({mark: "true"}));
        let metadata = json!({"name": name, "annotations": annotations});
        self.make::<StorageClass>(json!({"metadata": metadata, "provisioner": provisioner})).await;
    }

    /// A pod with one container `main`, as its kubelet reports it.
    pub async fn pod(&self, namespace: &str, name: &str, labels: Value, phase: &str, container: Value) {
        let spec = json!({"containers": [{"name": "main", "image": "example.com/a:1"}]});
        let metadata = json!({"name": name, "labels": labels});
        self.make_in::<Pod>(namespace, json!({"metadata": metadata, "spec": spec})).await;
        let reported = json!([container]);
        let status = json!({"status": {"phase": phase, "containerStatuses": reported}});
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    /// A program that the command finds on PATH.
    pub fn tool(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = self.tools.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn without_tool(&self, name: &str) {
        std::fs::remove_file(self.tools.path().join(name)).unwrap();
    }

    /// The command as somebody with all rights runs it, with nothing from the environment of the test.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_as(&self.kubeconfig, words)
    }

    pub fn command_as(&self, kubeconfig: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("PATH", self.tools.path()).args(words);
        command.arg("--kubeconfig").arg(kubeconfig);
        command
    }

    pub fn run(&self, words: &[&str]) -> Answer {
        Answer::of(self.command(words).output().unwrap())
    }

    /// The kubeconfig of a user to whom nobody gave a right.
    pub fn stranger(&self) -> PathBuf {
        self.user("stranger")
    }

    /// The kubeconfig of a user with the rights that a test gives.
    pub fn user(&self, name: &str) -> PathBuf {
        let text = std::fs::read_to_string(&self.kubeconfig).unwrap();
        let mut config: Value = serde_yaml_ng::from_str(&text).unwrap();
        config["users"][0]["user"]["as"] = name.into();
        let file = self.tools.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }

    /// A kubeconfig whose server is not there.
    pub fn closed(&self) -> PathBuf {
        let text = std::fs::read_to_string(&self.kubeconfig).unwrap();
        let mut config: Value = serde_yaml_ng::from_str(&text).unwrap();
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        config["clusters"][0]["cluster"]["server"] = format!("https://127.0.0.1:{port}").into();
        let file = self.tools.path().join("closed.kubeconfig");
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }
}

/// What a command said.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("no signal ended it"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
