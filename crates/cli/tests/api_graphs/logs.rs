//! `dynamoctl logs`, and what `status` reads of a log, from a node's recorded one.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use dynamo_testkit::{Kubelet, Plane, audit, eventually, kubelet, nodes, plane::SECOND_USER};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::running::{api, command, create, dynamoctl, start, worker};

const TEXT: &str = "INFO engine starts\nValueError: No available memory for the cache blocks.\nbye\n";

/// A graph whose pods are on a node of their own; each has restarted once.
async fn on_a_node(replicas: i32) -> (Client, String, Kubelet, Vec<String>) {
    let (client, ns) = start().await;
    let node = format!("node-{ns}");
    let object: Node = serde_json::from_value(json!({"metadata": {"name": node}})).unwrap();
    Api::<Node>::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
    let kubelet = Kubelet::start(TEXT).await;
    kubelet.serve(&client, &node).await;
    let mut graph = worker("g");
    graph["spec"]["services"]["Worker"]["replicas"] = json!(replicas);
    create(&client, &ns, &graph).await;
    let pods = eventually("the pods are there", || async {
        let pods = api::<Pod>(&client, &ns).list(&ListParams::default()).await.unwrap();
        let names: Vec<String> = pods.iter().map(ResourceExt::name_any).collect();
        if names.len() == usize::try_from(replicas).unwrap() { Ok(names) } else { Err(format!("{names:?}")) }
    })
    .await;
    for pod in &pods {
        kubelet::bind(&client, &ns, pod, &node).await;
    }
    (client, ns, kubelet, pods)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_all_pods_come_with_their_names_and_the_options_reach_the_node() {
    let (_client, ns, kubelet, pods) = on_a_node(2).await;
    let answer = dynamoctl(&ns, &["logs", "g", "--tail", "5", "--since", "2m"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    for pod in &pods {
        let line = format!("[{pod}] INFO engine starts\n");
        assert!(answer.out.contains(&line), "{}", answer.out);
    }
    assert_eq!(answer.out.lines().count(), 6);
    let last = kubelet.last_asked();
    assert!(
        last.contains("/main?") && last.contains("tailLines=5") && last.contains("sinceSeconds=120"),
        "{last}"
    );
    let answer = dynamoctl(&ns, &["logs", "g", "Worker", "--previous", "--no-prefix"]);
    assert_eq!(answer.out, format!("{TEXT}{TEXT}"), "{answer:?}");
    assert!(kubelet.last_asked().contains("previous=true"));
    let answer = dynamoctl(&ns, &["logs", "g", "worker"]);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("has no service \"worker\" (did you mean \"Worker\"?)"), "{}", answer.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_followed_is_shown_at_once_and_an_interrupt_ends_it_cleanly() {
    let (client, ns, kubelet, pods) = on_a_node(1).await;
    let runs = json!({"phase": "Running", "containerStatuses": [{"name": "main", "image": "", "imageID": "",
        "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]});
    nodes::report(&client, &ns, "nvidia.com/selector=g-worker", &runs).await;
    let kubeconfig = Plane::shared().kubeconfig_of(SECOND_USER);
    let mut child = command(&kubeconfig, &ns, &["logs", "g", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = tokio::task::spawn_blocking(move || {
        let read: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
        (read, lines)
    });
    let (read, _lines) = first.await.unwrap();
    assert_eq!(read[2], format!("[{}] bye", pods[0]));
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    std::process::Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(kubelet.last_asked().contains("follow=true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_reads_the_log_of_a_crash_with_its_sixth_request_and_finds_the_model_error() {
    let (client, ns, kubelet, pods) = on_a_node(1).await;
    let crash = json!({"phase": "Running", "containerStatuses": [{"name": "main", "image": "", "imageID": "",
        "ready": false, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "containerID": "containerd://1"}}}]});
    nodes::report(&client, &ns, "nvidia.com/selector=g-worker", &crash).await;
    let answer = dynamoctl(&ns, &["status", "g", "-o", "json"]);
    let report: Value = serde_json::from_str(&answer.out).unwrap_or_else(|_| panic!("{answer:?}"));
    assert_eq!(report["firstCause"]["kind"], "ModelLoad", "{}", report["firstCause"]);
    assert_eq!(report["firstCause"]["message"], "ValueError: No available memory for the cache blocks.");
    let path = kubelet.last_asked();
    assert!(path.starts_with(&format!("/containerLogs/{ns}/{}/main?", pods[0])), "{path}");
    assert!(path.contains("previous=true"), "{path}");
    let requests = eventually("the log has the requests", || async {
        let all = audit::requests_of(&Plane::shared().audit_log(), SECOND_USER);
        let mine: Vec<String> = all.into_iter().filter(|line| line.contains(&format!(" {ns}/"))).collect();
        if mine.iter().any(|line| line.starts_with("get pods/log")) {
            Ok(mine)
        } else {
            Err(format!("{mine:?}"))
        }
    })
    .await;
    assert_eq!(requests.len(), 6, "{requests:#?}");
}
