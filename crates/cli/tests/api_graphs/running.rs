//! A cluster in which an operator runs graphs, and the tool as a process that asks it.
//! Pods get the statuses that a test gives them; everything between them and the graph is real.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Plane, eventually, nodes, plane::SECOND_USER};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

use crate::common;

/// The operator of this test program, in a thread of its own. It must survive all tests.
pub fn operator() {
    static OPERATOR: OnceLock<thread::JoinHandle<()>> = OnceLock::new();
    let thread = OPERATOR.get_or_init(|| common::operator(&Plane::shared().operator_kubeconfig()));
    assert!(!thread.is_finished(), "the operator has ended");
}

/// A client, and a fresh namespace that the operator serves.
pub async fn start() -> (Client, String) {
    operator();
    let client = Plane::shared().client().await;
    let namespace = Plane::shared().namespace(&client).await;
    (client, namespace)
}

/// What a call of the tool gave.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The tool as a process without a terminal, as the administrator.
pub fn dynamoctl(namespace: &str, words: &[&str]) -> Answer {
    call(&Plane::shared().kubeconfig_of(SECOND_USER), namespace, words)
}

/// The same with a kubeconfig of one's own.
pub fn call(kubeconfig: &Path, namespace: &str, words: &[&str]) -> Answer {
    let output = command(kubeconfig, namespace, words).output().expect("dynamoctl");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Answer { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The process, not yet started.
pub fn command(kubeconfig: &Path, namespace: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dynamoctl"));
    command.args(words).args(["--namespace", namespace]).arg("--kubeconfig").arg(kubeconfig);
    command.stdin(Stdio::null());
    command
}

pub fn api<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), namespace)
}

/// One worker with one replica.
pub fn worker(name: &str) -> Value {
    json!({
        "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment", "metadata": {"name": name},
        "spec": {"services": {"Worker": {"componentType": "worker", "replicas": 1,
            "extraPodSpec": {"mainContainer": {"image": "example/serve:1",
                "command": ["python3", "-m", "dynamo.mocker"]}}}}},
    })
}

pub async fn create(client: &Client, namespace: &str, graph: &Value) {
    let graph: DynamoGraphDeployment = serde_json::from_value(graph.clone()).unwrap();
    api(client, namespace).create(&PostParams::default(), &graph).await.unwrap();
}

/// Reports all pods as ready until the graph is.
pub async fn make_ready(client: &Client, namespace: &str, name: &str) {
    eventually(&format!("graph {name} is ready"), || async {
        nodes::run_pods(client, namespace).await;
        let graph: DynamoGraphDeployment = api(client, namespace).get(name).await.unwrap();
        if dynamoctl::causes::is_ready(&graph) { Ok(()) } else { Err(format!("{:?}", graph.status)) }
    })
    .await;
}
