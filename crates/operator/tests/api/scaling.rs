//! Scaling adapters (`workload.md` section 14): who sets the replicas of a service, and that nobody fights over them.

use dynamo_api::v1alpha1::{DynamoGraphDeployment, DynamoGraphDeploymentScalingAdapter as Adapter};
use dynamo_testkit::{Plane, eventually};
use kube::{
    Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    graphs::{self, aggregated, api, create, make_ready, names, patch},
    operator,
};

fn scaled() -> Value {
    let mut graph = aggregated("g");
    graph["spec"]["services"]["Worker"]["scalingAdapter"] = json!({"enabled": true});
    graph
}

/// What an autoscaler does.
async fn scale(client: &Client, ns: &str, replicas: i32) {
    let change = json!({"spec": {"replicas": replicas}});
    let adapters = api::<Adapter>(client, ns);
    adapters.patch_scale("g-worker", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

async fn replicas(client: &Client, ns: &str) -> (Option<i32>, Option<i32>) {
    let graph: DynamoGraphDeployment = api(client, ns).get("g").await.unwrap();
    let deployment = graphs::deployment(client, ns, "g-worker").await;
    (graph.spec.services["Worker"].replicas, deployment.spec.unwrap().replicas)
}

#[tokio::test]
async fn an_autoscaler_scales_a_service_through_its_adapter_and_is_told_what_runs() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &scaled()).await;
    make_ready(&client, &ns, "g").await;
    let adapter: Adapter = api(&client, &ns).get("g-worker").await.unwrap();
    assert_eq!(adapter.spec.replicas, Some(2), "seeded from the graph");
    scale(&client, &ns, 3).await;
    eventually("the graph and the Deployment follow", || async {
        let seen = replicas(&client, &ns).await;
        if seen == (Some(3), Some(3)) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    make_ready(&client, &ns, "g").await;
    eventually("the adapter tells what runs", || async {
        let status = api::<Adapter>(&client, &ns).get("g-worker").await.unwrap().status.unwrap_or_default();
        let selector = "nvidia.com/dynamo-graph-deployment-name=g,nvidia.com/dynamo-component=Worker";
        let told = status.replicas == Some(3)
            && status.selector.as_deref() == Some(selector)
            && status.last_scale_time.is_some();
        if told { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    // Whatever else of the graph changes, the number stays the autoscaler's.
    let change = json!({"spec": {"services": {"Worker": {"envs": [{"name": "LEVEL", "value": "2"}]}}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", change).await;
    make_ready(&client, &ns, "g").await;
    assert_eq!(replicas(&client, &ns).await, (Some(3), Some(3)));
    let adapter: Adapter = api(&client, &ns).get("g-worker").await.unwrap();
    assert_eq!(adapter.spec.replicas, Some(3));
}

#[tokio::test]
async fn an_adapter_goes_when_it_is_no_longer_asked_for() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &scaled()).await;
    make_ready(&client, &ns, "g").await;
    assert_eq!(names::<Adapter>(&client, &ns).await, ["g-worker"]);
    scale(&client, &ns, 3).await;
    eventually("the graph follows", || async {
        let seen = replicas(&client, &ns).await;
        if seen == (Some(3), Some(3)) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    // Who switches it off says what holds from then on.
    let change = json!({"spec": {"services": {"Worker": {"scalingAdapter": null, "replicas": 2}}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", change).await;
    eventually("the adapter is gone", || async {
        let left = names::<Adapter>(&client, &ns).await;
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await;
    eventually("the graph's own number holds", || async {
        let seen = replicas(&client, &ns).await;
        if seen == (Some(2), Some(2)) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

#[tokio::test]
async fn an_adapter_made_by_hand_waits_for_its_graph() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let adapter = json!({
        "metadata": {"name": "by-hand"},
        "spec": {"replicas": 4, "dgdRef": {"name": "g", "serviceName": "Worker"}},
    });
    let adapter: Adapter = serde_json::from_value(adapter).unwrap();
    api(&client, &ns).create(&kube::api::PostParams::default(), &adapter).await.unwrap();
    create(&client, &ns, &aggregated("g")).await;
    eventually("the graph follows", || async {
        let seen = replicas(&client, &ns).await;
        if seen == (Some(4), Some(4)) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}
