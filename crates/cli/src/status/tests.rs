//! Snapshots of graphs in trouble, the order of their causes, and the tree on terminals and without one.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{report::report, tree};
use crate::{
    causes::{Kind, Snapshot, judge},
    console::Console,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": at(0)})
}

/// A graph of services `A` and `B` with two replicas each that its operator calls not ready.
fn snapshot(pods: &[Value]) -> Snapshot {
    let message = "Resources not ready: g-a: Component deployment not ready - Available condition not true";
    let graph = json!({
        "metadata": {"name": "g", "namespace": "ns", "generation": 1, "creationTimestamp": at(0)},
        "spec": {"backendFramework": "vllm", "services": {
            "A": {"componentType": "worker", "replicas": 2}, "B": {"componentType": "frontend", "replicas": 2}}},
        "status": {"state": "pending",
            "conditions": [condition("Ready", "False", "some_resources_are_not_ready", message)]},
    });
    let component = |service: &str, name: &str| {
        json!({
            "metadata": {"name": name, "namespace": "ns", "generation": 1},
            "spec": {"serviceName": service},
            "status": {"observedGeneration": 1,
                "conditions": [condition("Available", "False", "DeploymentNotReady", "Deployment is not ready")],
                "service": {"componentKind": "Deployment", "componentName": name, "replicas": 2,
                    "updatedReplicas": 2, "readyReplicas": 1}},
        })
    };
    let deployment = |name: &str| {
        json!({
            "metadata": {"name": name, "namespace": "ns", "generation": 1},
            "spec": {"replicas": 2, "selector": {}, "template": {}},
            "status": {"updatedReplicas": 2, "availableReplicas": 1, "conditions": [{"type": "Progressing",
                "status": "True", "message": format!("ReplicaSet \"{name}-new\" is progressing.")}]},
        })
    };
    let parse = |value: Value| serde_json::from_value(value).unwrap();
    Snapshot {
        graph: serde_json::from_value(graph).unwrap(),
        components: vec![
            serde_json::from_value(component("A", "g-a")).unwrap(),
            serde_json::from_value(component("B", "g-b")).unwrap(),
        ],
        deployments: vec![parse(deployment("g-a")), parse(deployment("g-b"))],
        pods: pods.iter().map(|pod| serde_json::from_value(pod.clone()).unwrap()).collect(),
        ..Snapshot::default()
    }
}

fn pod(component: &str, name: &str, revision: &str, status: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ns", "uid": name, "creationTimestamp": at(10),
            "labels": {"nvidia.com/selector": component, "pod-template-hash": revision}},
        "spec": {"containers": [{"name": "main", "image": "example/serve:1"}]},
        "status": status,
    })
}

fn waits(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false,
        "restartCount": 2, "state": {"waiting": {"reason": reason, "message": message}}}]})
}

fn unscheduled() -> Value {
    json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}]})
}

fn ready() -> Value {
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
}

fn event(number: usize, kind: &str, name: &str, reason: &str, message: &str) -> Value {
    json!({"metadata": {"name": format!("e{number}")}, "involvedObject": {"kind": kind, "name": name}, "type": "Warning",
        "reason": reason, "message": message, "lastTimestamp": at(20)})
}

fn troubled() -> Snapshot {
    let denied =
        "rpc error: code = Unknown desc = failed to resolve reference \"example/serve:1\": not found";
    let mut snapshot = snapshot(&[
        pod("g-a", "g-a-new-1", "new", unscheduled()),
        pod("g-a", "g-a-new-2", "new", unscheduled()),
        pod("g-b", "g-b-new-1", "new", waits("ImagePullBackOff", denied)),
        pod("g-b", "g-b-new-2", "new", ready()),
    ]);
    let events = (0..3).map(|number| event(number, "Pod", "g-b-new-1", "Failed", denied));
    snapshot.events = events.map(|event| serde_json::from_value(event).unwrap()).collect();
    snapshot
}

fn kinds(snapshot: &Snapshot) -> Vec<Kind> {
    judge(snapshot, at(60)).into_iter().map(|cause| cause.kind).collect()
}

fn text(snapshot: &Snapshot, width: Option<usize>) -> String {
    let report = report(snapshot, &judge(snapshot, at(60)));
    let mut out = Vec::new();
    {
        let mut plain = anstream::StripStream::new(&mut out);
        let mut console = match width {
            Some(width) => Console::of_width(&mut plain, width),
            None => Console::plain(&mut plain),
        };
        tree::write(&report, at(60), &mut console).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn what_no_waiting_repairs_comes_before_what_may_pass_and_equal_pods_are_one_cause() {
    let causes = judge(&troubled(), at(60));
    let seen: Vec<_> = causes.iter().map(|one| (one.kind, one.service.as_deref(), one.others)).collect();
    assert_eq!(seen, [(Kind::ImageMissing, Some("B"), 0), (Kind::NoGpu, Some("A"), 1)]);
}

#[test]
fn pods_of_an_older_revision_are_no_cause() {
    let old = pod("g-a", "g-a-old-1", "old", waits("InvalidImageName", "bad"));
    let new = pod("g-a", "g-a-new-1", "new", unscheduled());
    assert_eq!(kinds(&snapshot(&[old, new])), [Kind::NoGpu]);
}

#[test]
fn a_silent_operator_an_invalid_graph_and_a_deleted_one_come_before_their_pods() {
    let mut silent = troubled();
    silent.graph.metadata.generation = Some(2);
    assert_eq!(kinds(&silent)[0], Kind::OperatorSilent);
    let mut unseen = troubled();
    unseen.graph.status = None;
    assert_eq!(kinds(&unseen)[0], Kind::OperatorSilent);
    let mut invalid = troubled();
    let ready = &mut invalid.graph.status.as_mut().unwrap().conditions[0];
    ready.reason = "ValidationFailed".to_owned();
    assert_eq!(kinds(&invalid)[0], Kind::Invalid);
    let mut deleted = troubled();
    deleted.graph.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(30)));
    assert_eq!(kinds(&deleted)[0], Kind::Deleting);
}

#[test]
fn a_quota_is_known_from_its_event_before_the_deployment_tells_it_and_only_by_its_own_deployment() {
    let message =
        "Error creating: pods \"g-a-new-x\" is forbidden: exceeded quota: compute, requested: pods=1";
    let mut snapshot = snapshot(&[pod("g-b", "g-b-new-1", "new", ready())]);
    // g-a-other is another Deployment, whose ReplicaSet has a longer name.
    for name in ["g-a-other-1", "g-a-new"] {
        let found = event(1, "ReplicaSet", name, "FailedCreate", message);
        snapshot.events = vec![serde_json::from_value(found).unwrap()];
        let wanted: &[Kind] = if name == "g-a-new" { &[Kind::QuotaExceeded] } else { &[] };
        assert_eq!(kinds(&snapshot), wanted, "{name}");
    }
}

#[test]
fn the_log_of_a_crash_tells_a_model_that_cannot_be_loaded_and_else_its_last_line() {
    let crash = json!({"phase": "Running", "containerStatuses": [{"name": "main", "image": "", "imageID": "",
        "ready": false, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}]});
    let causes = judge(&snapshot(&[pod("g-a", "g-a-new-1", "new", crash)]), at(60));
    let crash = causes[0].clone();
    let wanted = crash.wanted_log().unwrap();
    assert_eq!((wanted.pod, wanted.container, wanted.previous), ("g-a-new-1", "main", true));
    let memory = crash.clone().with_log("INFO starting\ntorch.OutOfMemoryError: CUDA out of memory.\nbye\n");
    assert_eq!(memory.kind, Kind::ModelLoad);
    assert_eq!(memory.message, "torch.OutOfMemoryError: CUDA out of memory.");
    let other = crash.with_log("INFO starting\nKeyError: 'x'\n");
    assert_eq!(other.kind, Kind::CrashLoop);
    assert_eq!(other.message, "CrashLoopBackOff: exit code 1 (Error): KeyError: 'x'");
}

#[test]
fn a_graph_that_is_ready_has_no_cause() {
    let mut ready = troubled();
    let condition = &mut ready.graph.status.as_mut().unwrap().conditions[0];
    condition.status = "True".to_owned();
    assert_eq!(kinds(&ready), []);
    assert!(text(&ready, None).contains("The graph is ready."));
}

#[test]
fn the_tree_without_a_terminal_has_every_word() {
    insta::assert_snapshot!("no_terminal", text(&troubled(), None));
}

#[test]
fn the_tree_on_a_narrow_terminal_stays_within_it() {
    let narrow = text(&troubled(), Some(60));
    insta::assert_snapshot!("width_60", narrow);
    // Words that somebody copies stay whole.
    let too_long = narrow.lines().filter(|line| line.chars().count() > 60).collect::<Vec<_>>();
    assert!(too_long.iter().all(|line| line.trim().split(' ').count() <= 2), "{too_long:#?}");
}
