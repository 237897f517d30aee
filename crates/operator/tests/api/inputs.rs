//! What users get wrong is named in a condition; the process survives everything.

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::Plane;
use serde_json::{Value, json};

use crate::{
    graphs::{self, aggregated, create, patch},
    operator,
};

async fn refused(change: impl FnOnce(&mut Value), named: &str) {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let mut graph = aggregated("g");
    change(&mut graph);
    create(&client, &ns, &graph).await;
    let name = graph["metadata"]["name"].as_str().unwrap();
    let message = graphs::state(&client, &ns, name, "failed").await;
    assert!(message.contains(named), "{message}");
    operator();
}

#[tokio::test]
async fn a_graph_without_services_is_refused_by_name_of_the_field() {
    refused(|graph| graph["spec"]["services"] = json!({}), "spec.services must have at least one service")
        .await;
}

#[tokio::test]
async fn a_graph_without_a_spec_is_refused_by_name_of_the_field() {
    refused(|graph| drop(graph.as_object_mut().unwrap().remove("spec")), "spec.services must have").await;
}

#[tokio::test]
async fn an_unparsable_quantity_is_named_with_its_value() {
    refused(
        |graph| graph["spec"]["services"]["Worker"]["resources"] = json!({"limits": {"cpu": "a lot"}}),
        r#"spec.services[Worker].resources.limits.cpu: "a lot": is not a quantity"#,
    )
    .await;
}

#[tokio::test]
async fn a_missing_image_is_named() {
    refused(
        |graph| graph["spec"]["services"]["Frontend"]["extraPodSpec"] = Value::Null,
        "spec.services[Frontend].extraPodSpec.mainContainer.image is required",
    )
    .await;
}

#[tokio::test]
async fn a_name_that_makes_a_service_name_too_long_is_named() {
    refused(|graph| graph["metadata"]["name"] = "g".repeat(42).into(), "metadata.name").await;
}

#[tokio::test]
async fn services_that_differ_only_in_case_are_refused() {
    refused(
        |graph| {
            let worker = graph["spec"]["services"]["Worker"].clone();
            graph["spec"]["services"]["worker"] = worker;
        },
        "is also the derived name of service Worker",
    )
    .await;
}

#[tokio::test]
async fn several_nodes_without_an_orchestrator_fail_with_the_known_words() {
    refused(
        |graph| graph["spec"]["services"]["Worker"]["multinode"] = json!({"nodeCount": 2}),
        "failed to reconcile Dynamo components deployments: no multinode orchestrator available",
    )
    .await;
}

#[tokio::test]
async fn a_corrected_graph_recovers() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let mut graph = aggregated("g");
    graph["spec"]["services"]["Worker"]["resources"] = json!({"limits": {"gpu": "one"}});
    create(&client, &ns, &graph).await;
    graphs::state(&client, &ns, "g", "failed").await;
    let change = json!({"spec": {"services": {"Worker": {"resources": {"limits": {"gpu": "1"}}}}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", change).await;
    graphs::make_ready(&client, &ns, "g").await;
}
