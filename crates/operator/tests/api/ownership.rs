//! What belongs to others is left alone and named.

use dynamo_testkit::Plane;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::{
    graphs::{self, aggregated, api, create},
    operator,
};

#[tokio::test]
async fn a_foreign_object_with_a_derived_name_is_named_and_left_untouched() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let foreign = json!({
        "metadata": {"name": "g-worker"},
        "spec": {"selector": {"app": "other"}, "ports": [{"port": 80}]},
    });
    let foreign: Service = serde_json::from_value(foreign).unwrap();
    api::<Service>(&client, &ns).create(&PostParams::default(), &foreign).await.unwrap();
    create(&client, &ns, &aggregated("g")).await;
    dynamo_testkit::eventually("the graph names the foreign Service", || async {
        let (_, _, message) = graphs::verdict(&client, &ns, "g").await;
        let named = message.contains("Service") && message.contains("is controlled by nobody");
        if named { Ok(()) } else { Err(message) }
    })
    .await;
    let after: Service = api(&client, &ns).get("g-worker").await.unwrap();
    assert_eq!(after.spec.unwrap().selector.unwrap()["app"], "other");
    assert_eq!(after.metadata.owner_references, None);
    // The way is free again: the graph recovers by itself.
    api::<Service>(&client, &ns).delete("g-worker", &DeleteParams::default()).await.unwrap();
    graphs::make_ready(&client, &ns, "g").await;
}

#[tokio::test]
async fn two_graphs_whose_derived_names_meet_do_not_fight() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    // a + b-worker and a-b + worker both derive a-b-worker.
    let mut first = aggregated("a");
    let worker = first["spec"]["services"]["Worker"].take();
    first["spec"]["services"] = json!({"b-worker": worker});
    create(&client, &ns, &first).await;
    graphs::make_ready(&client, &ns, "a").await;
    create(&client, &ns, &aggregated("a-b")).await;
    let message = graphs::state(&client, &ns, "a-b", "failed").await;
    assert!(
        message.contains("a-b-worker already exists and belongs to DynamoGraphDeployment a;"),
        "{message}"
    );
    let held: Deployment = api(&client, &ns).get("a-b-worker").await.unwrap();
    let labels = held.metadata.labels.unwrap();
    assert_eq!(labels["nvidia.com/dynamo-graph-deployment-name"], "a");
}
