//! Why a graph is not ready: what kubelets, the scheduler and the API server say about a pod is what its graph says.
//! Statuses of pods are staged; everything between them and the graph is real.

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment};
use dynamo_testkit::{Plane, audit, eventually, nodes};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Pod, ResourceQuota},
    events::v1::Event as Warning,
};
use kube::{
    Client, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    graphs::{self, api, create, make_ready, patch},
    operator,
};

const WORKER: &str = "nvidia.com/selector=g-worker";

/// One worker with an init container.
fn worker() -> Value {
    let mut graph = graphs::aggregated("g");
    let services = graph["spec"]["services"].as_object_mut().unwrap();
    services.remove("Frontend");
    services["Worker"]["replicas"] = json!(1);
    services["Worker"]["extraPodSpec"]["initContainers"] =
        json!([{"name": "fetch", "image": "example/fetch:1"}]);
    graph
}

async fn start() -> (Client, String) {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    (client, ns)
}

/// Waits until the graph names exactly this cause of its worker, with this state.
async fn names_cause(client: &Client, ns: &str, state: &str, cause: &str) {
    let wanted = format!(
        "Resources not ready: g-worker: Component deployment not ready - Available condition not true ({cause})"
    );
    eventually(&format!("the graph is {state} with {cause}"), || async {
        let seen = graphs::verdict(client, ns, "g").await;
        if seen == (state.to_owned(), "some_resources_are_not_ready".to_owned(), wanted.clone()) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
}

fn status_of(kind: &str, container: &str, state: &Value, last: &Value) -> Value {
    let status = json!({"name": container, "image": "", "imageID": "", "ready": false, "restartCount": 3,
        "state": state, "lastState": last});
    let mut whole = json!({"phase": "Pending", "reason": null, "message": null, "conditions": null,
        "containerStatuses": null, "initContainerStatuses": null});
    whole[kind] = json!([status]);
    whole
}

fn main_waits(reason: &str, message: &str) -> Value {
    let waiting = json!({"waiting": {"reason": reason, "message": message}});
    status_of("containerStatuses", "main", &waiting, &json!({}))
}

fn crashed(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "containerID": "containerd://1"}})
}

fn unscheduled(message: &str) -> Value {
    let mut status = main_waits("", "");
    status["containerStatuses"] = Value::Null;
    status["conditions"] =
        json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]);
    status
}

#[tokio::test]
async fn a_graph_names_pod_container_and_cause_and_fails_where_waiting_is_useless() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker()).await;
    let back_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}});
    let runs = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    let pull = "Back-off pulling image \"example/serve:1\"";
    for (status, state, cause) in [
        (
            main_waits("ErrImagePull", "example/serve:1: not found"),
            "failed",
            format!(" container main: ImagePullBackOff: {pull}: example/serve:1: not found"),
        ),
        (
            main_waits("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout"),
            "pending",
            format!(" container main: ImagePullBackOff: {pull}: dial tcp 10.0.0.1:443: i/o timeout"),
        ),
        (
            status_of("containerStatuses", "main", &back_off, &crashed(1, "Error")),
            "pending",
            " container main: CrashLoopBackOff: exit code 1 (Error)".to_owned(),
        ),
        (
            status_of("containerStatuses", "main", &back_off, &crashed(137, "OOMKilled")),
            "pending",
            " container main: CrashLoopBackOff: exit code 137 (OOMKilled)".to_owned(),
        ),
        (
            main_waits("CreateContainerConfigError", "secret \"hf-token\" not found"),
            "failed",
            " container main: CreateContainerConfigError: secret \"hf-token\" not found".to_owned(),
        ),
        (
            unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes"),
            "pending",
            ": Unschedulable: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.".to_owned(),
        ),
        (
            unscheduled("persistentvolumeclaim \"models\" not found"),
            "failed",
            ": persistentvolumeclaim \"models\" not found".to_owned(),
        ),
        (
            status_of("initContainerStatuses", "fetch", &back_off, &crashed(2, "Error")),
            "pending",
            " init container fetch: CrashLoopBackOff: exit code 2 (Error)".to_owned(),
        ),
        (
            status_of("containerStatuses", "main", &runs, &json!({})),
            "pending",
            " container main is running but not ready".to_owned(),
        ),
    ] {
        let pod = nodes::report(&client, &ns, WORKER, &status).await;
        names_cause(&client, &ns, state, &format!("pod {}{cause}", pod.name_any())).await;
    }
    make_ready(&client, &ns, "g").await;
}

#[tokio::test]
async fn the_component_tells_a_useless_wait_by_its_reason_and_warns_once() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker()).await;
    let attempt = main_waits("ErrImagePull", "example/serve:1: not found");
    let text = "Back-off pulling image \"example/serve:1\": ErrImagePull: example/serve:1: not found";
    let pause = main_waits("ImagePullBackOff", text);
    nodes::report(&client, &ns, WORKER, &attempt).await;
    let reason = |dcd: DynamoComponentDeployment| {
        let status = dcd.status.unwrap_or_default();
        let counted = status.service.is_some_and(|service| service.updated_replicas == 1);
        let available = status.conditions.into_iter().find(|condition| condition.type_ == "Available");
        available.map(|condition| condition.reason).filter(|_| counted).unwrap_or_default()
    };
    let becomes = async |wanted: &str| {
        eventually(&format!("the component says {wanted}"), || async {
            let seen = reason(graphs::component(&client, &ns, "g-worker").await);
            if seen == wanted { Ok(()) } else { Err(seen) }
        })
        .await;
    };
    becomes("DeploymentFailed").await;
    let written = || {
        let line = format!("patch dynamocomponentdeployments/status {ns}/g-worker 200");
        audit::writes(&Plane::shared().audit_log()).into_iter().filter(|write| *write == line).count()
    };
    let before = written();
    for _ in 0..3 {
        nodes::report(&client, &ns, WORKER, &pause).await;
        nodes::report(&client, &ns, WORKER, &attempt).await;
    }
    // Something else, to know that everything before has been seen.
    nodes::report(&client, &ns, WORKER, &main_waits("CreateContainerError", "no such runtime")).await;
    becomes("DeploymentNotReady").await;
    assert_eq!(written(), before + 1);
    let warnings = api::<Warning>(&client, &ns).list(&ListParams::default()).await.unwrap();
    let mut warnings = warnings.items;
    warnings.retain(|event| event.reason.as_deref() == Some("DeploymentFailed"));
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    let note = warnings[0].note.clone().unwrap();
    assert!(
        note.starts_with("Deployment is not ready: pod g-worker-") && note.ends_with("not found"),
        "{note}"
    );
}

#[tokio::test]
async fn a_failed_graph_recovers_when_its_image_is_put_right_though_the_old_pod_is_still_there() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker()).await;
    let bad = nodes::report(&client, &ns, WORKER, &main_waits("InvalidImageName", "example/serve:1")).await;
    graphs::state(&client, &ns, "g", "failed").await;
    let image = json!({"extraPodSpec": {"mainContainer": {"image": "example/serve:2"}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", json!({"spec": {"services": {"Worker": image}}})).await;
    let message = graphs::state(&client, &ns, "g", "pending").await;
    assert!(!message.contains("InvalidImageName"), "{message}");
    // With one replica a rolling update keeps the old pod until the new one is ready.
    assert!(api::<Pod>(&client, &ns).get_opt(&bad.name_any()).await.unwrap().is_some());
    make_ready(&client, &ns, "g").await;
}

#[tokio::test]
async fn old_pods_that_serve_do_not_hide_that_the_new_revision_cannot_start() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker()).await;
    make_ready(&client, &ns, "g").await;
    let old = graphs::names::<Pod>(&client, &ns).await.remove(0);
    let old: Pod = api(&client, &ns).get(&old).await.unwrap();
    let hash = &old.labels()["pod-template-hash"];
    let newest = format!("{WORKER},pod-template-hash!={hash}");
    let image = json!({"extraPodSpec": {"mainContainer": {"image": "example/serve:2"}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", json!({"spec": {"services": {"Worker": image}}})).await;
    let pod = nodes::report(&client, &ns, &newest, &main_waits("InvalidImageName", "bad")).await;
    let cause = format!("pod {} container main: InvalidImageName: bad", pod.name_any());
    names_cause(&client, &ns, "failed", &cause).await;
}

#[tokio::test]
async fn a_quota_and_a_missing_account_that_keep_pods_from_being_made_are_named() {
    let (client, ns) = start().await;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    let quota: ResourceQuota = serde_json::from_value(quota).unwrap();
    api::<ResourceQuota>(&client, &ns).create(&PostParams::default(), &quota).await.unwrap();
    eventually("the quota counts", || async {
        let quota: ResourceQuota = api(&client, &ns).get("none").await.unwrap();
        quota.status.and_then(|status| status.used).map(drop).ok_or_else(|| "no status".to_owned())
    })
    .await;
    create(&client, &ns, &worker()).await;
    let message = |part: &'static str| {
        let (client, ns) = (client.clone(), ns.clone());
        async move {
            eventually(part, || async {
                let (state, _, message) = graphs::verdict(&client, &ns, "g").await;
                let named = message.contains("(ReplicaFailure: pods \"g-worker-") && message.contains(part);
                if named && state == "pending" { Ok(()) } else { Err(format!("{state}: {message}")) }
            })
            .await;
        }
    };
    message("is forbidden: exceeded quota: none").await;
    api::<ResourceQuota>(&client, &ns).delete("none", &DeleteParams::default()).await.unwrap();
    make_ready(&client, &ns, "g").await;
    let account = json!({"extraPodSpec": {"serviceAccountName": "absent"}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", json!({"spec": {"services": {"Worker": account}}}))
        .await;
    message("serviceaccount \"absent\" not found").await;
}

#[tokio::test]
async fn a_secret_that_a_volume_lacks_is_named_while_its_pod_starts() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker()).await;
    let pod = nodes::report(&client, &ns, WORKER, &main_waits("ContainerCreating", "")).await;
    let event = json!({
        "metadata": {"name": format!("{}.1", pod.name_any())},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": ns, "name": pod.name_any(),
            "uid": pod.uid()},
        "type": "Warning", "reason": "FailedMount", "source": {"component": "kubelet"},
        "message": "MountVolume.SetUp failed for volume \"certs\" : secret \"tls\" not found",
    });
    let event: Event = serde_json::from_value(event).unwrap();
    api::<Event>(&client, &ns).create(&PostParams::default(), &event).await.unwrap();
    let cause = format!("pod {}: FailedMount: secret \"tls\" not found", pod.name_any());
    names_cause(&client, &ns, "failed", &cause).await;
    make_ready(&client, &ns, "g").await;
}

#[tokio::test]
async fn a_paused_deployment_says_so() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker()).await;
    make_ready(&client, &ns, "g").await;
    patch::<Deployment>(&client, &ns, "g-worker", json!({"spec": {"paused": true}})).await;
    names_cause(&client, &ns, "pending", "it is paused (kubectl rollout pause)").await;
    patch::<Deployment>(&client, &ns, "g-worker", json!({"spec": {"paused": false}})).await;
    make_ready(&client, &ns, "g").await;
}
