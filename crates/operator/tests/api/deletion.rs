//! Deletion in its three forms, and what is left to whom.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::{
    DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentScalingAdapter as Adapter,
};
use dynamo_testkit::{Plane, eventually};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Service, ServiceAccount},
    rbac::v1::Role,
};
use kube::{
    Client, ResourceExt,
    api::{DeleteParams, ListParams, PropagationPolicy},
};
use serde_json::json;

use crate::{
    graphs::{self, aggregated, api, create, make_ready, names, patch},
    operator,
};

async fn left(client: &Client, ns: &str) -> Vec<String> {
    let mut left = names::<DynamoGraphDeployment>(client, ns).await;
    left.extend(names::<DynamoComponentDeployment>(client, ns).await);
    left.extend(names::<Deployment>(client, ns).await);
    left.extend(names::<Service>(client, ns).await);
    left.extend(names::<Role>(client, ns).await);
    left
}

#[tokio::test]
async fn nothing_is_left_of_a_graph_that_is_deleted_in_the_background_or_in_the_foreground() {
    operator();
    let client = Plane::shared().client().await;
    for params in [DeleteParams::background(), DeleteParams::foreground()] {
        let ns = Plane::shared().namespace(&client).await;
        create(&client, &ns, &aggregated("g")).await;
        make_ready(&client, &ns, "g").await;
        api::<DynamoGraphDeployment>(&client, &ns).delete("g", &params).await.unwrap();
        eventually("nothing is left", || async {
            let left = left(&client, &ns).await;
            if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
        })
        .await;
    }
}

/// UID and generation of each Deployment.
async fn deployments(client: &Client, ns: &str) -> BTreeMap<String, (Option<String>, Option<i64>)> {
    let list = api::<Deployment>(client, ns).list(&ListParams::default()).await.unwrap();
    let of = |d: &Deployment| (d.name_any(), (d.metadata.uid.clone(), d.metadata.generation));
    list.iter().map(of).collect()
}

#[tokio::test]
async fn the_pods_of_a_graph_that_is_deleted_without_its_children_run_on_and_are_taken_up_by_its_successor() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let mut graph = aggregated("g");
    graph["spec"]["services"]["Worker"]["scalingAdapter"] = json!({"enabled": true});
    create(&client, &ns, &graph).await;
    make_ready(&client, &ns, "g").await;
    // It was restarted and scaled in its life, of which its manifest knows nothing.
    let restart = json!({"spec": {"restart": {"id": "r1", "strategy": {"type": "Parallel"}}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", restart).await;
    patch::<Adapter>(&client, &ns, "g-worker", json!({"spec": {"replicas": 3}})).await;
    eventually("it is restarted and scaled", || async {
        let all = deployments(&client, &ns).await;
        let generations: Vec<_> =
            all.values().map(|(_, generation)| generation.unwrap_or_default()).collect();
        let scaled = graphs::deployment(&client, &ns, "g-worker").await.spec.unwrap().replicas == Some(3);
        if scaled && generations.iter().all(|at| *at > 1) { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    make_ready(&client, &ns, "g").await;
    let before = deployments(&client, &ns).await;
    let params =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    api::<DynamoGraphDeployment>(&client, &ns).delete("g", &params).await.unwrap();
    eventually("the graph is gone and its components have no owner", || async {
        let graphs = names::<DynamoGraphDeployment>(&client, &ns).await;
        let components =
            api::<DynamoComponentDeployment>(&client, &ns).list(&ListParams::default()).await.unwrap();
        let owned = components.iter().filter(|dcd| !dcd.owner_references().is_empty()).count();
        if graphs.is_empty() && owned == 0 { Ok(()) } else { Err(format!("{graphs:?}, {owned} owned")) }
    })
    .await;
    // Their controller has seen them by now, or does in a moment: it must find nothing to change.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(deployments(&client, &ns).await, before, "orphaned pods were replaced");
    create(&client, &ns, &graph).await;
    make_ready(&client, &ns, "g").await;
    eventually("the successor takes over what its adapter says", || async {
        let successor: DynamoGraphDeployment = api(&client, &ns).get("g").await.unwrap();
        let replicas = successor.spec.services["Worker"].replicas;
        if replicas == Some(3) { Ok(()) } else { Err(format!("{replicas:?}")) }
    })
    .await;
    make_ready(&client, &ns, "g").await;
    let after = deployments(&client, &ns).await;
    let uids = |all: &BTreeMap<String, (Option<String>, Option<i64>)>| {
        all.values().map(|(uid, _)| uid.clone()).collect::<Vec<_>>()
    };
    assert_eq!(uids(&after), uids(&before), "a successor made new Deployments");
    let worker = graphs::deployment(&client, &ns, "g-worker").await.spec.unwrap();
    let template = worker.template.metadata.unwrap().annotations.unwrap();
    assert_eq!((worker.replicas, template["nvidia.com/restartAt"].as_str()), (Some(3), "r1"));
    for component in ["g-frontend", "g-worker"] {
        let dcd: DynamoComponentDeployment = api(&client, &ns).get(component).await.unwrap();
        assert_eq!(dcd.owner_references()[0].controller, Some(true), "{component} has an owner again");
    }
    let account: ServiceAccount = api(&client, &ns).get("g-k8s-service-discovery").await.unwrap();
    assert_eq!(account.owner_references().len(), 1);
}
