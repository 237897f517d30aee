//! The Service of a model (`workload.md` section 9): one for all components of a namespace that serve it, as long as one
//! of them does.

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Plane, eventually};
use k8s_openapi::api::core::v1::Service;
use kube::{Client, api::DeleteParams};
use serde_json::{Value, json};

use crate::{
    graphs::{aggregated, api, create, make_ready, patch},
    operator,
};

/// First eight digits of the SHA-256 of the name below.
const NAME: &str = "dynamo-model-fb68f5a6";

fn serving(name: &str) -> Value {
    let mut graph = aggregated(name);
    graph["spec"]["services"]["Worker"]["modelRef"] = json!({"name": "Qwen/Qwen3-0.6B"});
    graph
}

/// Names of the owners, the controlling one first with a star.
async fn owners(client: &Client, ns: &str) -> Vec<String> {
    let Some(service) = api::<Service>(client, ns).get_opt(NAME).await.unwrap() else { return Vec::new() };
    let owners = service.metadata.owner_references.unwrap_or_default();
    let mut names: Vec<String> = owners
        .iter()
        .map(|owner| format!("{}{}", if owner.controller == Some(true) { "*" } else { "" }, owner.name))
        .collect();
    names.sort();
    names
}

async fn owned_by(client: &Client, ns: &str, wanted: &[&str]) {
    eventually(&format!("the Service of the model belongs to {wanted:?}"), || async {
        let owners = owners(client, ns).await;
        if owners == wanted { Ok(()) } else { Err(format!("{owners:?}")) }
    })
    .await;
}

#[tokio::test]
async fn the_service_of_a_model_lives_as_long_as_one_graph_serves_it() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &serving("a")).await;
    make_ready(&client, &ns, "a").await;
    owned_by(&client, &ns, &["*a-worker"]).await;
    let service: Service = api(&client, &ns).get(NAME).await.unwrap();
    let uid = service.metadata.uid.clone();
    let spec = service.spec.unwrap();
    assert_eq!(spec.cluster_ip.as_deref(), Some("None"), "headless");
    create(&client, &ns, &serving("b")).await;
    make_ready(&client, &ns, "b").await;
    owned_by(&client, &ns, &["*a-worker", "b-worker"]).await;
    api::<DynamoGraphDeployment>(&client, &ns).delete("a", &DeleteParams::default()).await.unwrap();
    owned_by(&client, &ns, &["*b-worker"]).await;
    let after: Service = api(&client, &ns).get(NAME).await.unwrap();
    assert_eq!(after.metadata.uid, uid, "it was never away");
    make_ready(&client, &ns, "b").await;
    patch::<DynamoGraphDeployment>(
        &client,
        &ns,
        "b",
        json!({"spec": {"services": {"Worker": {"modelRef": null}}}}),
    )
    .await;
    owned_by(&client, &ns, &[]).await;
}

#[tokio::test]
async fn a_deleted_or_changed_service_of_a_model_comes_back_as_it_was() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    for name in ["a", "b"] {
        create(&client, &ns, &serving(name)).await;
        make_ready(&client, &ns, name).await;
    }
    owned_by(&client, &ns, &["*a-worker", "b-worker"]).await;
    patch::<Service>(&client, &ns, NAME, json!({"spec": {"selector": {"stolen": "yes"}}})).await;
    eventually("the selector is as it was", || async {
        let service: Service = api(&client, &ns).get(NAME).await.unwrap();
        let selector = service.spec.unwrap().selector.unwrap();
        if selector.contains_key("stolen") { Err(format!("{selector:?}")) } else { Ok(()) }
    })
    .await;
    api::<Service>(&client, &ns).delete(NAME, &DeleteParams::default()).await.unwrap();
    owned_by(&client, &ns, &["*a-worker", "b-worker"]).await;
}
