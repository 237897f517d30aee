//! The index against changes as the watches tell them: who is woken, and what is told.

use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::{Value, json};

use super::*;

fn pod(uid: &str, status: Value) -> Arc<SeenPod> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": uid,
            "labels": {"nvidia.com/selector": "g-worker", "pod-template-hash": "6c9"}},
        "spec": {"containers": [{"name": "main", "image": "r/x:1"}]},
        "status": status,
    }))
    .unwrap();
    Arc::new(pod.into())
}

fn state(state: Value) -> Value {
    json!({"phase": "Pending", "containerStatuses": [
        {"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]})
}

fn waiting(reason: &str, message: &str) -> Value {
    state(json!({"waiting": {"reason": reason, "message": message}}))
}

/// Tells one form of a pod after another; returns after each whether the component is woken, and what is told then.
fn told(forms: &[Arc<SeenPod>]) -> Vec<(bool, Option<String>)> {
    let pods = pods();
    let mut before = None;
    let each = forms.iter().map(|now| {
        let change = Change::Applied { now: Arc::clone(now), before: before.replace(Arc::clone(now)) };
        let woken = pods.note_pod(&change);
        (woken, pods.troubled("ns", "g-worker").first().map(|pod| pod.trouble.text()))
    });
    each.collect()
}

fn pods() -> Pods {
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = Client::try_from(config).unwrap();
    let pods = Feed::<SeenPod>::new(client.clone(), None, watcher::Config::default()).cache();
    let events = Feed::<SeenEvent>::new(client, None, watcher::Config::default()).cache();
    Pods { pods, events, index: Arc::default() }
}

#[tokio::test]
async fn a_component_is_woken_once_by_a_pull_that_fails_again_and_again() {
    let attempt = || pod("1", waiting("ErrImagePull", "r/x:1: not found"));
    let pause = || pod("1", waiting("ImagePullBackOff", "Back-off pulling image \"r/x:1\""));
    let text = "container main: ImagePullBackOff: Back-off pulling image \"r/x:1\": r/x:1: not found";
    let text = || Some(text.to_owned());
    let seen = told(&[attempt(), pause(), attempt(), pause()]);
    assert_eq!(seen, [(true, text()), (false, text()), (false, text()), (false, text())]);
}

#[tokio::test]
async fn a_start_wakes_nobody_nor_does_a_pod_that_gets_ready_but_a_trouble_that_goes_away_does() {
    let starts = || pod("1", waiting("ContainerCreating", ""));
    let unscheduled = || {
        let why =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"});
        pod("1", json!({"phase": "Pending", "conditions": [why]}))
    };
    let runs = || pod("1", state(json!({"running": {}})));
    let ready = || pod("1", json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
    let woken: Vec<bool> = told(&[starts(), unscheduled(), starts(), runs(), ready()])
        .into_iter()
        .map(|(woken, _)| woken)
        .collect();
    assert_eq!(woken, [false, true, true, true, false]);
}

#[tokio::test]
async fn another_pod_of_the_same_name_and_one_that_leaves_inherit_nothing() {
    let attempt = pod("1", waiting("ErrImagePull", "r/x:1: not found"));
    let other = pod("2", waiting("ImagePullBackOff", "Back-off pulling image \"r/x:1\""));
    let leaving = {
        let mut leaving: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "2",
            "deletionTimestamp": "2026-01-01T00:00:00Z", "labels": {"nvidia.com/selector": "g-worker"}}}))
            .unwrap();
        leaving.spec = None;
        Arc::new(SeenPod::from(leaving))
    };
    let seen = told(&[attempt, other, leaving]);
    let bare = "container main: ImagePullBackOff: Back-off pulling image \"r/x:1\"".to_owned();
    assert_eq!(seen[1..], [(true, Some(bare)), (true, None)]);
}

#[tokio::test]
async fn an_event_about_a_volume_counts_for_its_very_pod_and_while_that_starts() {
    let pods = pods();
    let seen = pod("1", waiting("ContainerCreating", ""));
    pods.pods.note_written((*seen).clone());
    pods.note_pod(&Change::Applied { now: seen, before: None });
    let event = |name: &str, uid: &str, message: &str| {
        let event: Event = serde_json::from_value(json!({"metadata": {"name": name, "namespace": "ns"},
            "message": message, "involvedObject": {"kind": "Pod", "name": "p", "uid": uid}}))
        .unwrap();
        Change::Applied { now: Arc::new(SeenEvent::from(event)), before: None }
    };
    let missing = "MountVolume.SetUp failed for volume \"v\" : secret \"x\" not found";
    assert_eq!(pods.note_event(&event("p.0", "0", missing)), None);
    assert_eq!(pods.note_event(&event("p.1", "1", "Unable to attach or mount volumes: timed out")), None);
    assert_eq!(pods.note_event(&event("p.2", "1", missing)).as_deref(), Some("g-worker"));
    assert_eq!(pods.note_event(&event("p.2", "1", missing)), None);
    let text = || pods.troubled("ns", "g-worker").first().map(|pod| pod.trouble.text());
    assert_eq!(text().as_deref(), Some("FailedMount: secret \"x\" not found"));
    let runs = pod("1", state(json!({"running": {}})));
    assert!(pods.note_pod(&Change::Applied { now: runs, before: None }));
    assert_eq!(text().as_deref(), Some("container main is running but not ready"));
}
