//! Roll-outs under edits and reverts: never fewer ready pods than the budget allows, and `Ready` only for what runs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Plane, eventually, nodes};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Client, api::ListParams};
use serde_json::json;

use crate::{
    graphs::{aggregated, api, create, make_ready, patch, verdict},
    operator,
};

const REPLICAS: usize = 4;

/// Pods of the workers that are ready and not going away.
async fn ready(client: &Client, ns: &str) -> usize {
    let workers = ListParams::default().labels("nvidia.com/selector=g-worker");
    let pods = api::<Pod>(client, ns).list(&workers).await.unwrap();
    let is_ready = |pod: &&Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        pod.metadata.deletion_timestamp.is_none()
            && conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
    };
    pods.iter().filter(is_ready).count()
}

/// Pods come up one look after another, while the number of ready ones is noted again and again.
fn watch(client: Client, ns: String) -> (Arc<AtomicBool>, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let (stop, least) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(usize::MAX)));
    let (stopped, noted) = (Arc::clone(&stop), Arc::clone(&least));
    let task = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            noted.fetch_min(ready(&client, &ns).await, Ordering::Relaxed);
            nodes::run_pods(&client, &ns).await;
        }
    });
    (stop, least, task)
}

async fn set_level(client: &Client, ns: &str, level: &str) {
    let envs = json!([{"name": "LEVEL", "value": level}]);
    let change = json!({"spec": {"services": {"Worker": {"envs": envs}}}});
    patch::<DynamoGraphDeployment>(client, ns, "g", change).await;
}

#[tokio::test]
async fn edits_and_reverts_in_the_middle_of_a_roll_out_keep_the_unavailable_budget() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let mut graph = aggregated("g");
    graph["spec"]["services"]["Worker"]["replicas"] = json!(REPLICAS);
    create(&client, &ns, &graph).await;
    make_ready(&client, &ns, "g").await;
    // 25 % of 4 may be away.
    let budget = REPLICAS - 1;
    let (stop, least, task) = watch(client.clone(), ns.clone());
    for level in ["2", "3", "1", "2", "1", "4", "1", "5"] {
        set_level(&client, &ns, level).await;
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    }
    eventually("the last edit is rolled out", || async {
        let (state, _, message) = verdict(&client, &ns, "g").await;
        if state == "successful" { Ok(()) } else { Err(message) }
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    task.await.unwrap();
    let least = least.load(Ordering::Relaxed);
    assert!(least >= budget, "only {least} of {REPLICAS} workers were ready at one time");
    let deployment: Deployment = api(&client, &ns).get("g-worker").await.unwrap();
    let container = deployment.spec.unwrap().template.spec.unwrap().containers.remove(0);
    let level = container.env.unwrap().into_iter().find(|variable| variable.name == "LEVEL");
    assert_eq!(level.unwrap().value.as_deref(), Some("5"));
}

#[tokio::test]
async fn a_graph_that_was_edited_is_never_called_successful_before_the_edit_runs() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    set_level(&client, &ns, "2").await;
    // Nobody reports the new pods as ready: from the first look at the edit on it is not rolled out.
    let edited: DynamoGraphDeployment = api(&client, &ns).get("g").await.unwrap();
    let newest = edited.metadata.generation;
    let mut looks = 0;
    eventually("the edit was looked at for a while", || {
        looks += 1;
        let (client, ns, enough) = (client.clone(), ns.clone(), looks > 40);
        async move {
            let graph: DynamoGraphDeployment = api(&client, &ns).get("g").await.unwrap();
            let status = graph.status.unwrap();
            let ready = &status.conditions[0];
            if ready.observed_generation == newest {
                assert_eq!(status.state.as_deref(), Some("pending"), "{}", ready.message);
                return if enough { Ok(()) } else { Err("not long enough".to_owned()) };
            }
            Err("not observed".to_owned())
        }
    })
    .await;
}
