//! Ten failures as they come about, each with the first cause that `status` must name.

use dynamo_testkit::{eventually, nodes};
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration,
    core::v1::{Event, Namespace, Pod, ResourceQuota},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::running::{api, create, dynamoctl, start, worker};

const WORKER: &str = "nvidia.com/selector=g-worker";

/// What goes wrong.
enum Stage {
    /// The status of the worker's pod, and events about it as reason and message.
    Pod(Value, &'static [(&'static str, &'static str)]),
    Quota,
    Webhook,
    Multinode,
    /// No operator serves the namespace.
    Unserved,
}

fn container(state: &Value, last: &Value) -> Value {
    json!({"phase": "Running",
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "PodReadyToStartContainers", "status": "True"}],
        "containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": state, "lastState": last}]})
}

fn waits(reason: &str, message: &str) -> Value {
    container(&json!({"waiting": {"reason": reason, "message": message}}), &json!({}))
}

fn loops(code: i32, reason: &str, message: &str) -> Value {
    let end = json!({"terminated": {"exitCode": code, "reason": reason, "message": message,
        "containerID": "containerd://1"}});
    container(&json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}), &end)
}

fn unscheduled(message: &str) -> Value {
    json!({"phase": "Pending", "conditions":
        [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]})
}

fn runs() -> Value {
    container(&json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), &json!({}))
}

/// Failure, how it is staged, the kind that must come first, words of what the cluster said, words of what to do.
fn table() -> Vec<(&'static str, Stage, &'static str, &'static str, &'static str)> {
    let pod = |status| Stage::Pod(status, &[]);
    vec![
        (
            "bad image",
            pod(waits("ErrImagePull", "example/serve:1: not found")),
            "ImageMissing",
            "example/serve:1: not found",
            "check the name and tag example/serve:1",
        ),
        (
            "no GPU",
            pod(unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes")),
            "NoGpu",
            "3 Insufficient nvidia.com/gpu",
            "dynamoctl gpus",
        ),
        (
            "missing secret",
            pod(waits("CreateContainerConfigError", "secret \"hf-token-secret\" not found")),
            "ObjectMissing",
            "secret \"hf-token-secret\" not found",
            "kubectl create secret generic hf-token-secret -n",
        ),
        (
            "missing claim",
            pod(unscheduled("0/1 nodes are available: persistentvolumeclaim \"models\" not found.")),
            "ClaimMissing",
            "persistentvolumeclaim \"models\" not found",
            "list models in spec.pvcs",
        ),
        ("quota", Stage::Quota, "QuotaExceeded", "exceeded quota: compute", "kubectl describe quota compute"),
        (
            "crash loop",
            pod(loops(1, "Error", "Traceback\nKeyError: 'DYN_X'")),
            "CrashLoop",
            "exit code 1 (Error): KeyError: 'DYN_X'",
            "dynamoctl logs g Worker",
        ),
        (
            "failing probe",
            Stage::Pod(
                runs(),
                &[("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")],
            ),
            "ProbeFails",
            "Readiness probe failed: HTTP probe failed with statuscode: 503",
            "dynamoctl logs g Worker",
        ),
        (
            "a liveness probe that ends the container",
            Stage::Pod(
                loops(137, "Error", ""),
                &[
                    ("Unhealthy", "Liveness probe failed: connection refused"),
                    ("Killing", "Container main failed liveness probe, will be restarted"),
                ],
            ),
            "ProbeFails",
            "Liveness probe failed: connection refused (CrashLoopBackOff: exit code 137 (Error))",
            "startupProbe",
        ),
        ("webhook down", Stage::Webhook, "WebhookDown", "failed calling webhook", "port 9443"),
        (
            "no operator",
            Stage::Unserved,
            "OperatorSilent",
            "no condition Ready",
            "whose name contains ephemeral",
        ),
        (
            "orchestrator missing",
            Stage::Multinode,
            "NoOrchestrator",
            "no multinode orchestrator available",
            "take multinode out",
        ),
        (
            "model load error",
            pod(loops(
                1,
                "Error",
                "OSError: You are trying to access a gated repo.\nRuntimeError: Engine died",
            )),
            "ModelLoad",
            "OSError: You are trying to access a gated repo.",
            "hf-token-secret",
        ),
    ]
}

async fn quota(client: &Client, namespace: &str) {
    let quota = json!({"metadata": {"name": "compute"}, "spec": {"hard": {"pods": "0"}}});
    let quota: ResourceQuota = serde_json::from_value(quota).unwrap();
    api::<ResourceQuota>(client, namespace).create(&PostParams::default(), &quota).await.unwrap();
    eventually("the quota counts", || async {
        let quota: ResourceQuota = api(client, namespace).get("compute").await.unwrap();
        quota.status.and_then(|status| status.used).map(drop).ok_or_else(|| "no status".to_owned())
    })
    .await;
}

/// A namespace that cluster-wide operators never serve.
async fn ephemeral(client: &Client) -> String {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("test-ephemeral".to_owned());
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    "test-ephemeral".to_owned()
}

/// A webhook of the platform that nobody serves any more: the operator's own writes are refused.
async fn dead_webhook(client: &Client, namespace: &str) -> String {
    let name = format!("dead-{namespace}");
    let configuration: ValidatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": {"name": name},
        "webhooks": [{
            "name": "vdynamocomponentdeployment.kb.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 1,
            "clientConfig": {"url": "https://127.0.0.1:1/validate"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"apiGroups": ["nvidia.com"], "apiVersions": ["v1alpha1"], "operations": ["CREATE"],
                "resources": ["dynamocomponentdeployments"]}],
        }],
    }))
    .unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &configuration).await.unwrap();
    name
}

async fn tell(client: &Client, namespace: &str, pod: &Pod, number: usize, event: (&str, &str)) {
    let event: Event = serde_json::from_value(json!({
        "metadata": {"name": format!("{}.{number}", pod.name_any())},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod.name_any(),
            "uid": pod.uid()},
        "type": if event.0 == "Killing" { "Normal" } else { "Warning" }, "reason": event.0, "message": event.1,
        "source": {"component": "kubelet"}, "count": 4, "lastTimestamp": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    api::<Event>(client, namespace).create(&PostParams::default(), &event).await.unwrap();
}

#[tokio::test]
async fn the_true_first_cause_of_each_staged_failure_is_named_with_what_to_do() {
    for (failure, stage, kind, said, to_do) in table() {
        let (client, mut ns) = start().await;
        let mut graph = worker("g");
        let mut webhook = None;
        match &stage {
            Stage::Quota => quota(&client, &ns).await,
            Stage::Webhook => webhook = Some(dead_webhook(&client, &ns).await),
            Stage::Multinode => {
                graph["spec"]["services"]["Worker"]["multinode"] = json!({"nodeCount": 2});
                graph["spec"]["services"]["Worker"]["resources"] = json!({"limits": {"gpu": "1"}});
            }
            Stage::Unserved => ns = ephemeral(&client).await,
            Stage::Pod(..) => {}
        }
        create(&client, &ns, &graph).await;
        if let Stage::Pod(status, events) = &stage {
            let pod = nodes::report(&client, &ns, WORKER, status).await;
            for (number, event) in events.iter().enumerate() {
                tell(&client, &ns, &pod, number, *event).await;
            }
        }
        let answer = eventually(failure, || async {
            let answer = dynamoctl(&ns, &["status", "g", "-o", "json"]);
            let report: Value = serde_json::from_str(&answer.out).map_err(|_| format!("{answer:?}"))?;
            let told = report["firstCause"]["kind"].as_str().map(str::to_owned);
            if told.as_deref() == Some(kind) {
                Ok((answer.code, report))
            } else {
                Err(format!("{told:?}: {report}"))
            }
        });
        let (code, report) = answer.await;
        assert_eq!(code, 1, "{failure}");
        let first = &report["firstCause"];
        let message = first["message"].as_str().unwrap();
        assert!(message.contains(said), "{failure}: {message}");
        let next = first["next"].to_string();
        assert!(next.contains(to_do), "{failure}: {next}");
        let text = dynamoctl(&ns, &["status", "g"]);
        assert_eq!(text.code, 1, "{failure}");
        assert!(!text.out.contains('\u{1b}'), "colours without a terminal: {}", text.out);
        println!("=== {failure}\n{}", text.out);
        if let Some(name) = webhook {
            let webhooks = Api::<ValidatingWebhookConfiguration>::all(client.clone());
            webhooks.delete(&name, &DeleteParams::default()).await.unwrap();
        }
    }
}
