//! Graphs for the tests and what is asked about them again and again.
//! Everything is read from the API server, never from the operator.

use std::fmt::Debug;

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment};
use dynamo_testkit::{eventually, nodes};
use k8s_openapi::{NamespaceResourceScope, api::apps::v1::Deployment};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub fn api<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), namespace)
}

/// A frontend and a worker.
pub fn aggregated(name: &str) -> Value {
    json!({
        "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment",
        "metadata": {"name": name},
        "spec": {"services": {
            "Frontend": {"componentType": "frontend", "replicas": 1,
                "extraPodSpec": {"mainContainer": {"image": "example/serve:1"}}},
            "Worker": {"componentType": "worker", "replicas": 2,
                "envs": [{"name": "LEVEL", "value": "1"}],
                "extraPodSpec": {"mainContainer": {"image": "example/serve:1",
                    "command": ["python3", "-m", "dynamo.mocker"]}}},
        }}
    })
}

pub async fn create(client: &Client, namespace: &str, graph: &Value) -> DynamoGraphDeployment {
    let graph = serde_json::from_value(graph.clone()).unwrap();
    api(client, namespace).create(&PostParams::default(), &graph).await.unwrap()
}

pub async fn patch<K>(client: &Client, namespace: &str, name: &str, change: Value)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    let params = PatchParams::default();
    api::<K>(client, namespace).patch(name, &params, &Patch::Merge(change)).await.unwrap();
}

pub async fn names<K>(client: &Client, namespace: &str) -> Vec<String>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    let list = api::<K>(client, namespace).list(&ListParams::default()).await.unwrap();
    list.iter().map(ResourceExt::name_any).collect()
}

/// State, reason and message of the graph's Ready condition.
pub async fn verdict(client: &Client, namespace: &str, name: &str) -> (String, String, String) {
    let graph: DynamoGraphDeployment = api(client, namespace).get(name).await.unwrap();
    let status = graph.status.unwrap_or_default();
    let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready");
    let (reason, message) = ready.map(|ready| (ready.reason, ready.message)).unwrap_or_default();
    (status.state.unwrap_or_default(), reason, message)
}

/// Waits until the graph reports `state`; returns the message.
pub async fn state(client: &Client, namespace: &str, name: &str, wanted: &str) -> String {
    eventually(&format!("graph {name} reports {wanted}"), || async {
        let (state, reason, message) = verdict(client, namespace, name).await;
        if state == wanted { Ok(message) } else { Err(format!("{state} {reason}: {message}")) }
    })
    .await
}

/// Reports all pods as ready until the graph is ready.
pub async fn make_ready(client: &Client, namespace: &str, name: &str) {
    eventually(&format!("graph {name} is ready"), || async {
        nodes::run_pods(client, namespace).await;
        let (state, _, message) = verdict(client, namespace, name).await;
        if state == "successful" { Ok(()) } else { Err(message) }
    })
    .await;
}

pub async fn deployment(client: &Client, namespace: &str, name: &str) -> Deployment {
    eventually(&format!("Deployment {name} exists"), || async {
        api::<Deployment>(client, namespace).get(name).await.map_err(|error| error.to_string())
    })
    .await
}

pub async fn component(client: &Client, namespace: &str, name: &str) -> DynamoComponentDeployment {
    eventually(&format!("component {name} exists"), || async {
        api::<DynamoComponentDeployment>(client, namespace).get(name).await.map_err(|error| error.to_string())
    })
    .await
}
