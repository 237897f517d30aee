//! `dynamoctl scale`, `restart` and `wait` on graphs that an operator runs.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use dynamo_api::v1alpha1::{DynamoGraphDeployment, DynamoGraphDeploymentScalingAdapter};
use dynamo_testkit::{Plane, eventually, nodes, plane::SECOND_USER};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::running::{api, command, create, dynamoctl, make_ready, start, worker};

/// A worker with a scaling adapter and a frontend without one.
fn two() -> Value {
    let mut graph = worker("g");
    let services = &mut graph["spec"]["services"];
    services["Frontend"] = services["Worker"].clone();
    services["Frontend"]["componentType"] = json!("frontend");
    services["Worker"]["scalingAdapter"] = json!({"enabled": true});
    graph
}

async fn replicas(client: &Client, ns: &str, service: &str) -> i32 {
    let graph: DynamoGraphDeployment = api(client, ns).get("g").await.unwrap();
    graph.spec.services[service].replicas.unwrap_or(1)
}

#[tokio::test]
async fn a_service_is_scaled_through_its_adapter_and_else_in_the_graph() {
    let (client, ns) = start().await;
    create(&client, &ns, &two()).await;
    make_ready(&client, &ns, "g").await;
    let answer = dynamoctl(&ns, &["scale", "g", "Worker=3", "Frontend=2"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(
        answer.out,
        "Frontend: 1 -> 2 replicas, in the graph\nWorker: 1 -> 3 replicas, by its scaling adapter g-worker\n"
    );
    assert_eq!(replicas(&client, &ns, "Frontend").await, 2);
    let adapter: DynamoGraphDeploymentScalingAdapter = api(&client, &ns).get("g-worker").await.unwrap();
    assert_eq!(adapter.spec.replicas, Some(3));
    eventually("the operator passes it on", || async {
        let now = replicas(&client, &ns, "Worker").await;
        if now == 3 { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    let again = dynamoctl(&ns, &["scale", "g", "Frontend=2"]);
    assert_eq!((again.code, again.out.as_str()), (0, "Frontend: has 2 replicas already\n"));
    for (words, text) in [
        (["scale", "g", "worker=1"], "graph \"g\" has no service \"worker\" (did you mean \"Worker\"?)"),
        (["scale", "h", "Worker=1"], "there is no graph \"h\""),
        (["scale", "g", "Worker=-1"], "is no number of replicas: write 0 or more"),
    ] {
        let answer = dynamoctl(&ns, &words);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.err.contains(text), "{}", answer.err);
    }
    let twice = dynamoctl(&ns, &["scale", "g", "Frontend=1", "Frontend=2"]);
    assert!(twice.code == 2 && twice.err.contains("is named twice"), "{twice:?}");
    assert_eq!(replicas(&client, &ns, "Frontend").await, 2);
}

#[tokio::test]
async fn a_graph_is_restarted_by_the_operator_and_a_service_by_its_deployment() {
    let (client, ns) = start().await;
    create(&client, &ns, &two()).await;
    make_ready(&client, &ns, "g").await;
    let answer = dynamoctl(&ns, &["restart", "g", "--order", "Worker,Frontend"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    eventually("the operator restarts the worker first", || async {
        let graph: DynamoGraphDeployment = api(&client, &ns).get("g").await.unwrap();
        let restart = graph.status.unwrap_or_default().restart.unwrap_or_default();
        let asked = graph.spec.restart.unwrap_or_default();
        if restart.observed_id == Some(asked.id) && restart.in_progress == ["Worker"] {
            Ok(())
        } else {
            Err(format!("{restart:?}"))
        }
    })
    .await;
    make_ready(&client, &ns, "g").await;
    let answer = dynamoctl(&ns, &["restart", "g", "Frontend"]);
    assert_eq!(
        (answer.code, answer.out.as_str()),
        (0, "Frontend: Deployment g-frontend is rolled out anew\n")
    );
    let template = |name: &'static str| {
        let (client, ns) = (client.clone(), ns.clone());
        async move {
            let deployment: Deployment = api(&client, &ns).get(name).await.unwrap();
            let annotations = deployment.spec.unwrap().template.metadata.unwrap().annotations;
            annotations.unwrap_or_default().contains_key("kubectl.kubernetes.io/restartedAt")
        }
    };
    assert!(template("g-frontend").await);
    assert!(!template("g-worker").await);
    let wrong = dynamoctl(&ns, &["restart", "g", "frontend"]);
    assert!(wrong.code == 2 && wrong.err.contains("did you mean \"Frontend\"?"), "{wrong:?}");
}

#[tokio::test]
async fn a_wait_tells_its_progress_and_ends_when_the_graph_is_ready_and_when_it_is_gone() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker("g")).await;
    let spawn = |words: &[&str]| {
        let kubeconfig = Plane::shared().kubeconfig_of(SECOND_USER);
        let mut command = command(&kubeconfig, &ns, words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut child = spawn(&["wait", "g", "--timeout", "180s"]);
    let mut progress = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = Vec::new();
    // A graph that is ready before the first look is no progress.
    for line in progress.by_ref() {
        told.push(line.unwrap());
        if told.iter().any(|line| line.contains("0/1 services")) {
            break;
        }
    }
    assert!(told.iter().all(|line| line.starts_with("g: ")), "{told:?}");
    assert!(told.last().is_some_and(|line| line.contains("0/1 services")), "{told:?}");
    make_ready(&client, &ns, "g").await;
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"graph g is ready\n"[..]));
    let child = spawn(&["wait", "g", "--for", "deleted", "--timeout", "180s"]);
    api::<DynamoGraphDeployment>(&client, &ns).delete("g", &DeleteParams::default()).await.unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"graph g is gone\n"[..]));
}

#[tokio::test]
async fn a_wait_without_success_names_the_first_cause_and_one_without_hope_ends_early() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker("g")).await;
    let status = json!({"phase": "Pending", "containerStatuses": [{"name": "main", "image": "", "imageID": "",
        "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ErrImagePull", "message": "example/serve:1: not found"}}}]});
    nodes::report(&client, &ns, "nvidia.com/selector=g-worker", &status).await;
    let answer = dynamoctl(&ns, &["wait", "g", "--timeout", "3s"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.out.starts_with("graph g is not ready after 3 s\n"), "{}", answer.out);
    assert!(answer.out.contains("First cause: the image cannot be had"), "{}", answer.out);
    assert!(answer.err.contains("Worker: the image cannot be had"), "{}", answer.err);
    let change = json!({"spec": {"services": {"Worker": {"replicas": 1,
        "resources": {"limits": {"gpu": "1"}}, "multinode": {"nodeCount": 2}}}}});
    let graphs = api::<DynamoGraphDeployment>(&client, &ns);
    graphs.patch("g", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    let start = std::time::Instant::now();
    let answer = dynamoctl(&ns, &["wait", "g", "--timeout", "300s"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(answer.out.contains("the orchestrator for that is missing"), "{}", answer.out);
    let unknown = dynamoctl(&ns, &["wait", "h"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
}
