//! A stand-in for nodes on a bare control plane: it reports pods as running and ready, from which the controller
//! manager computes everything else, as it does with a kubelet. It writes the status of pods alone.

use futures::StreamExt;
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};

/// Reports every pod of `namespace` as ready.
pub async fn run_pods(client: &Client, namespace: &str) {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    for pod in api.list(&ListParams::default()).await.expect("pods") {
        let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
        if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
            continue;
        }
        let name = pod.metadata.name.expect("name");
        let now = Timestamp::from_second(Timestamp::now().as_second()).expect("time");
        let status = json!({"status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        }});
        match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await {
            Ok(_) => {}
            // Replaced by a roll-out meanwhile.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("status of pod {name}: {error}"),
        }
    }
}

/// Reports `status` for the only pod that `selector` finds, once there is one that is not being deleted; returns it.
pub async fn report(client: &Client, namespace: &str, selector: &str, status: &Value) -> Pod {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let found = crate::eventually("there is one pod", || async {
        let mut pods = api.list(&ListParams::default().labels(selector)).await.expect("pods").items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        if pods.len() == 1 { Ok(pods.remove(0)) } else { Err(format!("{} pods", pods.len())) }
    });
    let name = found.await.metadata.name.expect("name");
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(&name, &PatchParams::default(), &patch).await.expect("status of the pod")
}

/// Stands in for the Deployment controller on a plane without controllers: reports a Deployment as rolled out in full.
/// Nothing is written when that is what it says already.
pub async fn roll_out(client: &Client, deployment: &Deployment) {
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation == deployment.metadata.generation && status.available_replicas == replicas {
        return;
    }
    let change = json!({"status": {
        "observedGeneration": deployment.metadata.generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}],
    }});
    let namespace = deployment.metadata.namespace.as_deref().expect("namespace");
    let name = deployment.metadata.name.as_deref().expect("name");
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(change)).await.expect("status");
}

/// Rolls out every Deployment of a namespace as soon as it is seen, until the task is aborted.
pub fn roll_out_all(client: Client, namespace: &str) -> tokio::task::JoinHandle<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    tokio::spawn(async move {
        let mut seen = std::pin::pin!(watcher(api, watcher::Config::default()).applied_objects());
        while let Some(deployment) = seen.next().await {
            roll_out(&client, &deployment.expect("watch")).await;
        }
    })
}
