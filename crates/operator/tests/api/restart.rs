//! Restarts of a graph's services (`workload.md` section 13): who restarts when, and what the status says.

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Plane, eventually};
use kube::Client;
use serde_json::{Value, json};

use crate::{
    graphs::{self, aggregated, api, create, make_ready, patch},
    operator,
};

/// Phase, and services in progress.
async fn restart(client: &Client, ns: &str) -> (String, Vec<String>) {
    let graph: DynamoGraphDeployment = api(client, ns).get("g").await.unwrap();
    let restart = graph.status.unwrap_or_default().restart.unwrap_or_default();
    let phase = restart.phase.map(|phase| phase.as_str().to_owned()).unwrap_or_default();
    (format!("{} {phase}", restart.observed_id.unwrap_or_default()), restart.in_progress)
}

/// Waits for a phase; returns the services in progress.
async fn reaches(client: &Client, ns: &str, wanted: &str) -> Vec<String> {
    eventually(&format!("restart {wanted}"), || async {
        let (phase, services) = restart(client, ns).await;
        if phase == wanted { Ok(services) } else { Err(format!("{phase}: {services:?}")) }
    })
    .await
}

/// The id with which the pods of a Deployment were restarted last.
async fn restarted_at(client: &Client, ns: &str, name: &str) -> Option<String> {
    let template = graphs::deployment(client, ns, name).await.spec.unwrap().template;
    template.metadata.unwrap().annotations?.get("nvidia.com/restartAt").cloned()
}

async fn ask(client: &Client, ns: &str, restart: Value) {
    patch::<DynamoGraphDeployment>(client, ns, "g", json!({"spec": {"restart": restart}})).await;
}

#[tokio::test]
async fn a_sequential_restart_takes_down_the_next_service_only_when_the_one_before_is_ready() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    ask(&client, &ns, json!({"id": "r1", "strategy": {"order": ["Worker", "Frontend"]}})).await;
    eventually("the workers are restarted first", || async {
        let seen = (
            restart(&client, &ns).await,
            restarted_at(&client, &ns, "g-worker").await,
            restarted_at(&client, &ns, "g-frontend").await,
        );
        let wanted = (("r1 Restarting".into(), vec!["Worker".into()]), Some("r1".into()), None);
        if seen == wanted { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    // Nobody reports the new pods as ready: the frontend must be left alone.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(restarted_at(&client, &ns, "g-frontend").await, None);
    make_ready(&client, &ns, "g").await;
    eventually("the frontend follows, and the restart is over", || async {
        dynamo_testkit::nodes::run_pods(&client, &ns).await;
        let (phase, services) = restart(&client, &ns).await;
        if phase == "r1 Completed" && services.is_empty() {
            Ok(())
        } else {
            Err(format!("{phase} {services:?}"))
        }
    })
    .await;
    assert_eq!(restarted_at(&client, &ns, "g-frontend").await.as_deref(), Some("r1"));
    make_ready(&client, &ns, "g").await;
    // Taking the request out takes nothing from the pods.
    ask(&client, &ns, Value::Null).await;
    let change = json!({"metadata": {"labels": {"touched": "yes"}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", change).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(restarted_at(&client, &ns, "g-worker").await.as_deref(), Some("r1"));
    assert_eq!(restart(&client, &ns).await.0, "r1 Completed", "what is over stays told");
}

#[tokio::test]
async fn a_parallel_restart_takes_all_services_and_a_new_id_supersedes_it() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    ask(&client, &ns, json!({"id": "p1", "strategy": {"type": "Parallel"}})).await;
    assert_eq!(reaches(&client, &ns, "p1 Restarting").await, ["Frontend", "Worker"]);
    for name in ["g-frontend", "g-worker"] {
        eventually("the pods get the id", || async {
            let at = restarted_at(&client, &ns, name).await;
            if at.as_deref() == Some("p1") { Ok(()) } else { Err(format!("{at:?}")) }
        })
        .await;
    }
    // By name again, from the start: the frontend is the first.
    ask(&client, &ns, json!({"id": "s2", "strategy": {"type": "Sequential"}})).await;
    assert_eq!(reaches(&client, &ns, "s2 Restarting").await, ["Frontend"]);
    assert_eq!(restarted_at(&client, &ns, "g-worker").await.as_deref(), Some("p1"));
    eventually("the second restart is over", || async {
        dynamo_testkit::nodes::run_pods(&client, &ns).await;
        let (phase, _) = restart(&client, &ns).await;
        if phase == "s2 Completed" { Ok(()) } else { Err(phase) }
    })
    .await;
}

#[tokio::test]
async fn a_restart_that_is_there_at_creation_restarts_nothing() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let mut graph = aggregated("g");
    graph["spec"]["restart"] = json!({"id": "first"});
    create(&client, &ns, &graph).await;
    make_ready(&client, &ns, "g").await;
    reaches(&client, &ns, "first Completed").await;
    for name in ["g-frontend", "g-worker"] {
        let deployment = graphs::deployment(&client, &ns, name).await;
        assert_eq!(deployment.metadata.generation, Some(1), "{name} was changed after its creation");
    }
}

#[tokio::test]
async fn a_restart_by_kubectl_is_left_alone() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    // What `kubectl rollout restart` does.
    let key = "kubectl.kubernetes.io/restartedAt";
    let change = json!({"spec": {"template": {"metadata": {"annotations": {key: "2026-01-01T00:00:00Z"}}}}});
    patch::<k8s_openapi::api::apps::v1::Deployment>(&client, &ns, "g-worker", change).await;
    make_ready(&client, &ns, "g").await;
    let change = json!({"spec": {"services": {"Worker": {"envs": [{"name": "LEVEL", "value": "9"}]}}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", change).await;
    eventually("a later change of the graph keeps it", || async {
        let template = graphs::deployment(&client, &ns, "g-worker").await.spec.unwrap().template;
        let env = template.spec.unwrap().containers.remove(0).env.unwrap();
        let changed = env.iter().any(|variable| variable.value.as_deref() == Some("9"));
        let kept = template.metadata.unwrap().annotations.unwrap_or_default().contains_key(key);
        if changed && kept { Ok(()) } else { Err(format!("changed {changed}, kept {kept}")) }
    })
    .await;
}
