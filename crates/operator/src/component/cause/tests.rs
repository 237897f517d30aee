//! Deployments and their pods as they are found, and the one sentence about them.

use serde_json::{Value, json};

use super::*;
use dynamo_kubekit::pods::trouble::Trouble;

fn deployment(status: Value) -> Deployment {
    let mut deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "g-worker", "generation": 2},
        "spec": {"replicas": 2, "selector": {}, "template": {}},
        "status": status,
    }))
    .unwrap();
    let status = deployment.status.as_mut().unwrap();
    status.observed_generation = status.observed_generation.or(Some(2));
    deployment
}

/// The newest ReplicaSet is `g-worker-new`.
fn progressing() -> Value {
    json!({"conditions": [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
        "message": "ReplicaSet \"g-worker-new\" is progressing."}]})
}

fn pod(name: &str, revision: &str, second: i64, kind: Kind, reason: &str) -> TroubledPod {
    let created = k8s_openapi::jiff::Timestamp::from_second(second).unwrap();
    TroubledPod {
        name: name.to_owned(),
        revision: Some(revision.to_owned()),
        created: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created)),
        trouble: Trouble {
            kind,
            container: Some("container main".to_owned()),
            reason: reason.to_owned(),
            detail: String::new(),
        },
    }
}

fn text(deployment: &Deployment, pods: &[TroubledPod]) -> Option<(String, bool)> {
    of(deployment, pods).map(|cause| (cause.text, cause.terminal))
}

fn some(text: &str, terminal: bool) -> Option<(String, bool)> {
    Some((text.to_owned(), terminal))
}

#[test]
fn the_worst_trouble_is_told_for_the_pod_whose_name_comes_first() {
    let pods = [
        pod("p-a", "new", 1, Kind::Unready, "is running but not ready"),
        pod("p-b", "new", 3, Kind::Image, "InvalidImageName"),
        pod("p-c", "new", 2, Kind::Image, "InvalidImageName"),
    ];
    let wanted = some("pod p-b container main: InvalidImageName (and 1 more pod)", true);
    let mut reversed = pods.clone();
    reversed.reverse();
    assert_eq!(
        (text(&deployment(progressing()), &pods), text(&deployment(progressing()), &reversed)),
        (wanted.clone(), wanted)
    );
    let unready = some("pod p-a container main is running but not ready", false);
    assert_eq!(text(&deployment(progressing()), &pods[..1]), unready);
}

#[test]
fn pods_of_an_older_revision_say_nothing_about_the_newest() {
    let old = pod("p-a", "old", 9, Kind::Image, "InvalidImageName");
    let new = pod("p-b", "new", 1, Kind::Crash, "CrashLoopBackOff");
    let told = deployment(progressing());
    let crash = some("pod p-b container main: CrashLoopBackOff", false);
    assert_eq!(text(&told, &[old.clone(), new.clone()]), crash);
    assert_eq!(text(&told, std::slice::from_ref(&old)), None);
    // Where no revision is named the youngest pod decides.
    let silent = deployment(json!({}));
    assert_eq!(text(&silent, &[old, new]), some("pod p-a container main: InvalidImageName", true));
}

#[test]
fn what_keeps_pods_from_being_made_is_told_unless_a_pod_knows_that_waiting_is_useless() {
    let mut status = progressing();
    status["conditions"].as_array_mut().unwrap().push(json!({"type": "ReplicaFailure", "status": "True",
        "reason": "FailedCreate", "message": "pods \"g-worker-new-x\" is forbidden: exceeded quota: q"}));
    let refused = deployment(status);
    let wanted = some("ReplicaFailure: pods \"g-worker-new-x\" is forbidden: exceeded quota: q", false);
    let crash = pod("p", "new", 1, Kind::Crash, "CrashLoopBackOff");
    assert_eq!((text(&refused, &[]), text(&refused, &[crash])), (wanted.clone(), wanted));
    let image = pod("p", "new", 1, Kind::Image, "InvalidImageName");
    assert_eq!(text(&refused, &[image]), some("pod p container main: InvalidImageName", true));
}

#[test]
fn a_deadline_adds_to_what_is_known() {
    let late = deployment(json!({"conditions": [{"type": "Progressing", "status": "False",
        "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet \"g-worker-new\" has timed out progressing."}]}));
    let deadline = "ProgressDeadlineExceeded: ReplicaSet \"g-worker-new\" has timed out progressing.";
    assert_eq!(text(&late, &[]), some(deadline, false));
    let unready = pod("p", "new", 1, Kind::Unready, "is running but not ready");
    let both = format!("pod p container main is running but not ready; {deadline}");
    assert_eq!(text(&late, &[unready]), some(&both, false));
    let crash = pod("p", "new", 1, Kind::Crash, "CrashLoopBackOff");
    assert_eq!(text(&late, &[crash]), some("pod p container main: CrashLoopBackOff", false));
}

#[test]
fn a_pause_is_told_and_a_specification_that_nobody_looked_at_yet_has_no_cause() {
    let mut paused = deployment(json!({}));
    paused.spec.as_mut().unwrap().paused = Some(true);
    assert_eq!(text(&paused, &[]), some("it is paused (kubectl rollout pause)", false));
    let image = pod("p", "new", 1, Kind::Image, "InvalidImageName");
    let both = "it is paused (kubectl rollout pause); pod p container main: InvalidImageName";
    assert_eq!(text(&paused, std::slice::from_ref(&image)), some(both, true));
    assert_eq!(text(&deployment(json!({"observedGeneration": 1})), std::slice::from_ref(&image)), None);
    let mut nothing = deployment(json!({}));
    nothing.spec.as_mut().unwrap().replicas = Some(0);
    assert_eq!(text(&nothing, &[image]), None);
}
