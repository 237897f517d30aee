//! The life of a graph: made, ready, changed, repaired, deleted.

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment};
use dynamo_testkit::{Plane, eventually};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Service, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::api::DeleteParams;
use serde_json::json;

use crate::{
    graphs::{self, aggregated, api, create, make_ready, names, patch},
    operator,
};

#[tokio::test]
async fn a_graph_becomes_components_deployments_services_and_the_account_of_its_pods() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;

    let both = ["g-frontend", "g-worker"];
    assert_eq!(names::<DynamoComponentDeployment>(&client, &ns).await, both);
    assert_eq!(names::<Deployment>(&client, &ns).await, both);
    assert_eq!(names::<Service>(&client, &ns).await, both);
    assert!(names::<ServiceAccount>(&client, &ns).await.contains(&"g-k8s-service-discovery".to_owned()));
    assert_eq!(names::<Role>(&client, &ns).await, ["g-k8s-service-discovery-role"]);
    assert_eq!(
        names::<RoleBinding>(&client, &ns).await,
        ["g-k8s-service-discovery-binding", "planner-serviceaccount-binding"]
    );

    let graph: DynamoGraphDeployment = api(&client, &ns).get("g").await.unwrap();
    let status = graph.status.unwrap();
    assert_eq!(status.conditions[0].observed_generation, Some(1));
    let worker = &status.services["Worker"];
    assert_eq!(
        (worker.component_name.as_str(), worker.replicas, worker.ready_replicas),
        ("g-worker", 2, Some(2))
    );
    let dcd = graphs::component(&client, &ns, "g-worker").await.status.unwrap();
    let conditions: Vec<String> =
        dcd.conditions.iter().map(|c| format!("{} {} {}", c.type_, c.status, c.reason)).collect();
    assert_eq!(
        conditions,
        [
            "Valid True ValidationPassed",
            "Available True DeploymentReady",
            "DynamoComponentReady True ComponentReady"
        ]
    );
}

#[tokio::test]
async fn a_graph_waits_naming_the_components_that_are_not_ready() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    let message = graphs::state(&client, &ns, "g", "pending").await;
    assert!(message.starts_with("Resources not ready: g-frontend: "), "{message}");
    assert!(message.contains("; g-worker: "), "{message}");
}

#[tokio::test]
async fn a_changed_variable_and_a_new_number_of_replicas_reach_the_deployment() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    let change =
        json!({"spec": {"services": {"Worker": {"replicas": 3, "envs": [{"name": "LEVEL", "value": "2"}]}}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", change).await;
    eventually("the Deployment follows", || async {
        let spec = graphs::deployment(&client, &ns, "g-worker").await.spec.unwrap();
        let container = spec.template.spec.unwrap().containers.remove(0);
        let level = container.env.unwrap().into_iter().find(|v| v.name == "LEVEL").and_then(|v| v.value);
        let seen = (spec.replicas, level.as_deref() == Some("2"));
        if seen == (Some(3), true) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    // The roll-out is not finished before somebody reports it for the new generation.
    graphs::state(&client, &ns, "g", "pending").await;
    make_ready(&client, &ns, "g").await;
}

#[tokio::test]
async fn a_variable_that_is_taken_out_disappears_and_fields_of_strangers_stay() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    graphs::deployment(&client, &ns, "g-worker").await;
    let note = json!({"metadata": {"annotations": {"example.com/note": "mine"}}});
    patch::<Deployment>(&client, &ns, "g-worker", note).await;
    let change = json!({"spec": {"services": {"Worker": {"envs": null}}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", change).await;
    eventually("the variable is gone", || async {
        let deployment = graphs::deployment(&client, &ns, "g-worker").await;
        assert_eq!(deployment.metadata.annotations.unwrap()["example.com/note"], "mine");
        let mut pod = deployment.spec.unwrap().template.spec.unwrap();
        let gone = pod.containers.remove(0).env.unwrap().iter().all(|variable| variable.name != "LEVEL");
        gone.then_some(()).ok_or_else(|| "LEVEL is still set".to_owned())
    })
    .await;
}

#[tokio::test]
async fn drift_of_owned_fields_and_deleted_children_are_repaired() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    patch::<Deployment>(&client, &ns, "g-worker", json!({"spec": {"replicas": 7}})).await;
    patch::<Service>(&client, &ns, "g-worker", json!({"spec": {"selector": {"stolen": "yes"}}})).await;
    patch::<Role>(&client, &ns, "g-k8s-service-discovery-role", json!({"rules": []})).await;
    api::<Service>(&client, &ns).delete("g-frontend", &DeleteParams::default()).await.unwrap();
    api::<DynamoComponentDeployment>(&client, &ns)
        .delete("g-frontend", &DeleteParams::default())
        .await
        .unwrap();
    eventually("everything is as it was", || async {
        let replicas = graphs::deployment(&client, &ns, "g-worker").await.spec.unwrap().replicas;
        let service: Service = api(&client, &ns).get("g-worker").await.unwrap();
        let stolen = service.spec.unwrap().selector.unwrap().contains_key("stolen");
        let role: Role = api(&client, &ns).get("g-k8s-service-discovery-role").await.unwrap();
        let rules = role.rules.unwrap_or_default().len();
        let services = names::<Service>(&client, &ns).await.len();
        let components = names::<DynamoComponentDeployment>(&client, &ns).await.len();
        let seen = (replicas, stolen, rules, services, components);
        if seen == (Some(2), false, 3, 2, 2) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_graph_takes_everything_along() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    api::<DynamoGraphDeployment>(&client, &ns).delete("g", &DeleteParams::default()).await.unwrap();
    eventually("nothing is left", || async {
        let mut left = names::<DynamoGraphDeployment>(&client, &ns).await;
        left.extend(names::<DynamoComponentDeployment>(&client, &ns).await);
        left.extend(names::<Deployment>(&client, &ns).await);
        left.extend(names::<Service>(&client, &ns).await);
        left.extend(names::<Role>(&client, &ns).await);
        left.extend(names::<RoleBinding>(&client, &ns).await);
        left.extend(names::<ServiceAccount>(&client, &ns).await.into_iter().filter(|name| name != "default"));
        // The account of planners belongs to the namespace.
        left.retain(|name| !name.starts_with("planner-serviceaccount"));
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await;
}

#[tokio::test]
async fn a_finalizer_of_the_reference_does_not_hold_up_a_deletion() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let mut graph = aggregated("g");
    graph["metadata"]["finalizers"] = json!(["nvidia.com/finalizer"]);
    create(&client, &ns, &graph).await;
    let component = graphs::component(&client, &ns, "g-worker").await;
    assert_eq!(component.metadata.finalizers, None);
    api::<DynamoGraphDeployment>(&client, &ns).delete("g", &DeleteParams::default()).await.unwrap();
    eventually("the graph is gone", || async {
        let left = names::<DynamoGraphDeployment>(&client, &ns).await;
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await;
}

#[tokio::test]
async fn children_are_not_made_again_while_a_graph_goes_away_in_the_foreground() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let mut graph = aggregated("g");
    graph["metadata"]["finalizers"] = json!(["example.com/hold"]);
    create(&client, &ns, &graph).await;
    make_ready(&client, &ns, "g").await;
    api::<DynamoGraphDeployment>(&client, &ns).delete("g", &DeleteParams::foreground()).await.unwrap();
    eventually("the children are gone", || async {
        let left = names::<DynamoComponentDeployment>(&client, &ns).await;
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await;
    // Wake the controller once more: it must see a graph that goes away and leave it alone.
    patch::<DynamoGraphDeployment>(&client, &ns, "g", json!({"metadata": {"labels": {"touched": "yes"}}}))
        .await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(names::<DynamoComponentDeployment>(&client, &ns).await, Vec::<String>::new());
    patch::<DynamoGraphDeployment>(&client, &ns, "g", json!({"metadata": {"finalizers": null}})).await;
}

#[tokio::test]
async fn a_graph_that_loses_its_origin_keeps_the_pods_that_it_has() {
    const ORIGIN: &str = "nvidia.com/dynamo-operator-origin-version";
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let mut graph = aggregated("g");
    graph["metadata"]["annotations"] = json!({ORIGIN: "0.9.0+dynamo-rs"});
    // Given only to graphs that this operator admitted.
    graph["spec"]["services"]["Worker"]["resources"] = json!({"requests": {"gpu": "1"}});
    create(&client, &ns, &graph).await;
    make_ready(&client, &ns, "g").await;
    let before = graphs::deployment(&client, &ns, "g-worker").await;
    // What `kubectl replace` with the user's own file does.
    let change = json!({"metadata": {"annotations": {ORIGIN: null}, "labels": {"touched": "yes"}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", change).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let after = graphs::deployment(&client, &ns, "g-worker").await;
    assert_eq!(after.metadata.generation, before.metadata.generation, "the pods were replaced");
    let limits = after.spec.unwrap().template.spec.unwrap().containers.remove(0).resources.unwrap().limits;
    assert!(limits.unwrap().contains_key("nvidia.com/gpu"));
}

#[tokio::test]
async fn switching_discovery_to_etcd_takes_the_account_away() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    let change = json!({"metadata": {"annotations": {"nvidia.com/dynamo-discovery-backend": "etcd"}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", change).await;
    eventually("role and binding are gone", || async {
        let mut left = names::<Role>(&client, &ns).await;
        left.extend(names::<RoleBinding>(&client, &ns).await);
        left.retain(|name| name != "planner-serviceaccount-binding");
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await;
}
