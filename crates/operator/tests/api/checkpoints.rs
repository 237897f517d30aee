//! Checkpoints: the Jobs that make them, what their status tells, and the graphs that use them.
//! Pods do not run here: a stand-in says how they ended, and the controller manager does the rest.

use std::fmt::Debug;

use dynamo_api::v1alpha1::{CheckpointPhase, DynamoCheckpoint};
use dynamo_testkit::{Operator, Plane, audit, eventually};
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Pod};
use kube::{
    Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    PROGRAM,
    graphs::{aggregated, api, component, create, deployment, names, patch, state},
};

const QWEN: &str = "73e74442beb109ed";

/// A graph whose worker has these checkpoint settings.
fn warm(name: &str, checkpoint: Value) -> Value {
    let mut graph = aggregated(name);
    graph["spec"]["envs"] = json!([{"name": "OF_GRAPH", "value": "yes"}]);
    graph["spec"]["services"]["Worker"]["checkpoint"] = checkpoint;
    graph
}

fn identified(mode: &str) -> Value {
    json!({"enabled": true, "mode": mode, "identity": {"model": "Qwen/Qwen3-0.6B", "backendFramework": "vllm"}})
}

/// A checkpoint as a user writes it; its Job tries once.
async fn by_hand(client: &Client, namespace: &str, name: &str, model: &str) -> DynamoCheckpoint {
    let checkpoint = json!({
        "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoCheckpoint",
        "metadata": {"name": name},
        "spec": {
            "identity": {"model": model, "backendFramework": "vllm"},
            "job": {"backoffLimit": 0, "podTemplateSpec": {"spec": {
                "containers": [{"name": "main", "image": "example/serve:1"}]}}},
        },
    });
    let checkpoint = serde_json::from_value(checkpoint).unwrap();
    api(client, namespace).create(&PostParams::default(), &checkpoint).await.unwrap()
}

async fn phase(client: &Client, namespace: &str, name: &str, wanted: CheckpointPhase) -> DynamoCheckpoint {
    eventually(&format!("checkpoint {name} is {wanted:?}"), || async {
        let found: DynamoCheckpoint =
            api(client, namespace).get(name).await.map_err(|error| error.to_string())?;
        let phase = found.status.as_ref().and_then(|status| status.phase.clone());
        if phase.as_ref() == Some(&wanted) { Ok(found) } else { Err(format!("{:?}", found.status)) }
    })
    .await
}

/// Type, status and reason of each condition.
fn conditions(checkpoint: &DynamoCheckpoint) -> Vec<String> {
    let conditions = checkpoint.status.iter().flat_map(|status| &status.conditions);
    conditions.map(|it| format!("{}={} {}", it.type_, it.status, it.reason)).collect()
}

async fn job(client: &Client, namespace: &str, name: &str) -> Job {
    eventually(&format!("Job {name} exists"), || async {
        api::<Job>(client, namespace).get(name).await.map_err(|error| error.to_string())
    })
    .await
}

/// Ends the pods of a Job, as `Succeeded` or `Failed`.
async fn end_pods(client: &Client, namespace: &str, job: &str, phase: &str) {
    let pods = api::<Pod>(client, namespace);
    let of_job = ListParams::default().labels(&format!("job-name={job}"));
    eventually(&format!("Job {job} has a pod"), || async {
        let found = pods.list(&of_job).await.map_err(|error| error.to_string())?;
        for pod in &found {
            let status = Patch::Merge(json!({"status": {"phase": phase}}));
            let done = pods.patch_status(&pod.name_any(), &PatchParams::default(), &status).await;
            done.map_err(|error| error.to_string())?;
        }
        if found.items.is_empty() { Err("none yet".to_owned()) } else { Ok(()) }
    })
    .await;
}

/// The pod template of the graph's worker, and how often it was changed.
fn template(deployment: &Deployment) -> (impl Debug + PartialEq + use<>, Option<i64>) {
    (deployment.spec.as_ref().unwrap().template.clone(), deployment.metadata.generation)
}

#[tokio::test]
async fn a_checkpoint_that_a_graph_asks_for_is_made_and_used() {
    let plane = Plane::start();
    let client = plane.client().await;
    let operator = Operator::start(PROGRAM, &plane, &["--checkpoint-enabled=true"]);
    let ns = plane.namespace(&client).await;
    create(&client, &ns, &warm("g", identified("Auto"))).await;

    let creating = phase(&client, &ns, QWEN, CheckpointPhase::Creating).await;
    assert_eq!(creating.owner_references(), []);
    assert_eq!(creating.labels()["nvidia.com/checkpoint-hash"], QWEN);
    assert_eq!(creating.labels()["nvidia.com/dynamo-graph-deployment-name"], "g");
    assert_eq!(conditions(&creating), ["JobCreated=True JobCreated"]);
    let made = job(&client, &ns, &format!("checkpoint-{QWEN}")).await;
    assert_eq!(made.owner_references()[0].uid, creating.uid().unwrap());
    let pod = made.spec.unwrap().template.spec.unwrap();
    let variables = pod.containers[0].env.clone().unwrap();
    assert!(
        variables.iter().any(|it| it.name == "OF_GRAPH"),
        "the merged spec is what is saved: {variables:?}"
    );
    let cold = template(&deployment(&client, &ns, "g-worker").await);

    end_pods(&client, &ns, &format!("checkpoint-{QWEN}"), "Succeeded").await;
    let ready = phase(&client, &ns, QWEN, CheckpointPhase::Ready).await;
    assert_eq!(
        conditions(&ready),
        ["JobCreated=True JobCreated", "JobCompleted=True JobSucceeded", "TarAvailable=True TarCreated"]
    );
    let status = ready.status.clone().unwrap();
    assert_eq!(status.location.as_deref(), Some(&*format!("/checkpoints/{QWEN}")));
    assert!(status.created_at.is_some());

    // What its Job made outlives the Job, and no pod is restarted for it.
    let background = DeleteParams::background();
    api::<Job>(&client, &ns).delete(&format!("checkpoint-{QWEN}"), &background).await.unwrap();
    by_hand(&client, &ns, "later", "other").await;
    phase(&client, &ns, "later", CheckpointPhase::Creating).await;
    let still = phase(&client, &ns, QWEN, CheckpointPhase::Ready).await;
    assert_eq!(
        still.metadata.resource_version, ready.metadata.resource_version,
        "written without a difference"
    );
    assert_eq!(names::<Job>(&client, &ns).await, ["checkpoint-later"]);
    assert_eq!(template(&deployment(&client, &ns, "g-worker").await), cold);
    // A second graph shares it.
    create(&client, &ns, &warm("h", identified("Auto"))).await;
    deployment(&client, &ns, "h-worker").await;
    assert_eq!(names::<DynamoCheckpoint>(&client, &ns).await, [QWEN, "later"]);
    assert!(!operator.log_text().contains("not reconciled"), "{}", operator.log_text());
}

#[tokio::test]
async fn a_job_that_fails_or_goes_is_told_and_one_that_goes_is_made_again() {
    let plane = Plane::start();
    let client = plane.client().await;
    let _operator = Operator::start(PROGRAM, &plane, &["--checkpoint-enabled=true"]);
    let ns = plane.namespace(&client).await;
    by_hand(&client, &ns, "warm", "Qwen/Qwen3-0.6B").await;
    let creating = phase(&client, &ns, "warm", CheckpointPhase::Creating).await;
    assert_eq!(creating.labels()["nvidia.com/checkpoint-hash"], QWEN, "so that graphs find it");
    let first = job(&client, &ns, "checkpoint-warm").await;

    let lost = {
        api::<Job>(&client, &ns).delete("checkpoint-warm", &DeleteParams::background()).await.unwrap();
        phase(&client, &ns, "warm", CheckpointPhase::Pending).await
    };
    assert_eq!(conditions(&lost), ["JobCreated=False JobDeleted"]);
    phase(&client, &ns, "warm", CheckpointPhase::Creating).await;
    let second = job(&client, &ns, "checkpoint-warm").await;
    assert_ne!(first.uid(), second.uid());

    end_pods(&client, &ns, "checkpoint-warm", "Failed").await;
    let failed = phase(&client, &ns, "warm", CheckpointPhase::Failed).await;
    assert_eq!(conditions(&failed), ["JobCreated=True JobCreated", "JobCompleted=False JobFailed"]);
    let message = failed.status.unwrap().message.unwrap();
    assert!(message.contains("BackoffLimitExceeded"), "{message}");

    // It used up its tries: when it goes in time it is not made again, for that would take GPUs for ever.
    api::<Job>(&client, &ns).delete("checkpoint-warm", &DeleteParams::background()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    phase(&client, &ns, "warm", CheckpointPhase::Failed).await;
    assert_eq!(names::<Job>(&client, &ns).await, [""; 0]);
    // Whoever fixed the cause changes the Job of the checkpoint.
    patch::<DynamoCheckpoint>(&client, &ns, "warm", json!({"spec": {"job": {"backoffLimit": 1}}})).await;
    phase(&client, &ns, "warm", CheckpointPhase::Creating).await;
    end_pods(&client, &ns, "checkpoint-warm", "Succeeded").await;
    phase(&client, &ns, "warm", CheckpointPhase::Ready).await;

    // A name that is taken is told.
    let foreign = json!({"metadata": {"name": "checkpoint-taken"}, "spec": {"suspend": true, "template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "main", "image": "example/serve:1"}]}}}});
    let foreign: Job = serde_json::from_value(foreign).unwrap();
    api(&client, &ns).create(&PostParams::default(), &foreign).await.unwrap();
    by_hand(&client, &ns, "taken", "x").await;
    let pending = phase(&client, &ns, "taken", CheckpointPhase::Pending).await;
    let message = pending.status.unwrap().message.unwrap();
    assert!(message.contains("checkpoint-taken already exists"), "{message}");
}

#[tokio::test]
async fn a_reference_waits_for_its_checkpoint() {
    let plane = Plane::start();
    let client = plane.client().await;
    let _operator = Operator::start(PROGRAM, &plane, &["--checkpoint-enabled=true"]);
    let ns = plane.namespace(&client).await;
    create(&client, &ns, &warm("g", json!({"enabled": true, "checkpointRef": "warm"}))).await;
    eventually("the missing checkpoint is named", || async {
        let message = state(&client, &ns, "g", "failed").await;
        if message.contains("spec.checkpoint.checkpointRef: \"warm\"") { Ok(()) } else { Err(message) }
    })
    .await;
    assert_eq!(names::<DynamoCheckpoint>(&client, &ns).await, [""; 0]);
    by_hand(&client, &ns, "warm", "Qwen/Qwen3-0.6B").await;
    let worker = deployment(&client, &ns, "g-worker").await;
    let variables = worker.spec.unwrap().template.spec.unwrap().containers[0].env.clone().unwrap();
    assert_eq!(variables[1].value.as_deref(), Some(QWEN));
    component(&client, &ns, "g-worker").await;
}

#[tokio::test]
async fn without_the_flag_checkpoints_are_admitted_and_left_alone() {
    let plane = Plane::start();
    let client = plane.client().await;
    let _operator = Operator::start(PROGRAM, &plane, &[]);
    let ns = plane.namespace(&client).await;
    let made = by_hand(&client, &ns, "warm", "Qwen/Qwen3-0.6B").await;
    create(&client, &ns, &warm("g", identified("Auto"))).await;
    eventually("the flag is named", || async {
        let message = state(&client, &ns, "g", "failed").await;
        if message.contains("--checkpoint-enabled") { Ok(()) } else { Err(message) }
    })
    .await;
    let touch = json!({"metadata": {"annotations": {"touched": "yes"}}});
    patch::<DynamoCheckpoint>(&client, &ns, "warm", touch).await;
    // What comes after it was seen after it.
    create(&client, &ns, &aggregated("other")).await;
    deployment(&client, &ns, "other-worker").await;
    let writes = audit::writes(&plane.audit_log());
    let strange: Vec<&String> =
        writes.iter().filter(|line| line.contains("dynamocheckpoints") || line.contains(" jobs ")).collect();
    assert_eq!(strange, [""; 0]);
    let now: DynamoCheckpoint = api(&client, &ns).get("warm").await.unwrap();
    assert_eq!((now.status, now.metadata.generation), (None, made.metadata.generation));
    assert_eq!(names::<DynamoCheckpoint>(&client, &ns).await, ["warm"]);
}
