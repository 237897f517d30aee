//! Statuses as kubelets and schedulers write them, and what is told about them.

use serde_json::{Value, json};

use super::*;

/// What is told about a pod whose container `main` has this status.
fn main(status: Value) -> Option<Trouble> {
    pod(json!({"phase": "Pending", "containerStatuses": [container("main", status)]}))
}

fn container(name: &str, status: Value) -> Value {
    let mut whole = json!({"name": name, "image": "r/x:1", "imageID": "", "ready": false, "restartCount": 0});
    whole.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    whole
}

fn pod(status: Value) -> Option<Trouble> {
    let pod = json!({
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "main", "image": "r/x:1"}],
            "initContainers": [{"name": "fetch", "image": "r/f:1"},
                {"name": "proxy", "image": "r/p:1", "restartPolicy": "Always"}],
        },
        "status": status,
    });
    of(&serde_json::from_value(pod).unwrap())
}

fn waiting(reason: &str, message: &str) -> Trouble {
    main(json!({"state": {"waiting": {"reason": reason, "message": message}}})).unwrap()
}

fn ended(code: i32, reason: &str, message: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "message": message}})
}

fn looping(last: &Value) -> Trouble {
    let back_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}});
    main(json!({"restartCount": 5, "state": back_off, "lastState": last})).unwrap()
}

const NOT_FOUND: &str = "rpc error: code = NotFound desc = failed to pull and unpack image: r/x:1: not found";

#[test]
fn an_attempt_to_pull_and_the_pause_after_it_are_told_in_the_same_words() {
    let attempt = waiting("ErrImagePull", NOT_FOUND);
    let pause =
        waiting("ImagePullBackOff", &format!("Back-off pulling image \"r/x:1\": ErrImagePull: {NOT_FOUND}"));
    assert_eq!(attempt, pause);
    let wanted = format!("container main: ImagePullBackOff: Back-off pulling image \"r/x:1\": {NOT_FOUND}");
    assert_eq!((attempt.text(), attempt.is_terminal()), (wanted, true));
}

#[test]
fn a_kubelet_that_forgets_the_cause_in_the_pause_does_not_make_it_forgotten() {
    let attempt = waiting("ErrImagePull", NOT_FOUND);
    let pause = waiting("ImagePullBackOff", "Back-off pulling image \"r/x:1\"");
    assert_eq!((pause.kind, pause.detail.as_str()), (Kind::Pull, ""));
    assert_eq!(pause.after(&attempt), attempt);
}

#[test]
fn only_the_last_word_of_a_registry_makes_a_pull_useless() {
    for (message, is_final) in [
        (NOT_FOUND, true),
        ("manifest unknown: manifest unknown", true),
        ("pull access denied, repository does not exist or may require authorization", true),
        ("failed to authorize: 401 Unauthorized", true),
        ("dial tcp 10.0.0.1:443: i/o timeout", false),
        ("429 Too Many Requests - toomanyrequests", false),
        ("write /var/lib/x: permission denied", false),
    ] {
        assert_eq!(waiting("ErrImagePull", message).is_terminal(), is_final, "{message}");
    }
    let invalid = waiting("InvalidImageName", "couldn't parse image reference \"X:\": invalid reference");
    assert!(invalid.is_terminal() && waiting("ErrImageNeverPull", "is not present").is_terminal());
}

#[test]
fn a_number_that_changes_in_a_message_is_no_news_and_another_name_is() {
    let port =
        |port: u32| waiting("ErrImagePull", &format!("read udp 10.0.0.1:{port}->10.0.0.2:53: timeout"));
    assert_eq!(port(4711).after(&port(1174)), port(1174));
    let nodes = |count: u32| {
        let message =
            format!("0/{count} nodes are available: {count} Insufficient cpu. preemption: 0/1 nodes");
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
        pod(json!({"phase": "Pending", "conditions": [condition]})).unwrap()
    };
    assert_eq!(nodes(3).text(), "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.");
    assert_eq!(nodes(3).after(&nodes(2)), nodes(2));
    let missing = |name: &str| waiting("CreateContainerConfigError", &format!("secret \"{name}\" not found"));
    assert_eq!(missing("a2").after(&missing("a1")), missing("a2"));
    assert!(missing("a1").is_terminal());
    assert_eq!(missing("a1").text(), "container main: CreateContainerConfigError: secret \"a1\" not found");
}

#[test]
fn a_crash_loop_names_how_the_container_ended_and_stays_one_while_it_runs_again() {
    let crash = looping(&ended(1, "Error", "Traceback\n  x\nValueError: no model\n"));
    assert_eq!(crash.text(), "container main: CrashLoopBackOff: exit code 1 (Error): ValueError: no model");
    let last = ended(1, "Error", "");
    let runs = main(json!({"restartCount": 6, "state": {"running": {}}, "lastState": last})).unwrap();
    assert_eq!(runs.text(), "container main is running but not ready, after exit code 1 (Error)");
    assert_eq!(runs.after(&crash), crash);
    let over = main(json!({"restartCount": 6, "state": ended(1, "Error", "other words")})).unwrap();
    assert_eq!(over.after(&crash), crash);
    let memory = looping(&ended(137, "OOMKilled", ""));
    assert_eq!(memory.text(), "container main: CrashLoopBackOff: exit code 137 (OOMKilled)");
    assert_eq!(memory.clone().after(&crash), memory);
    assert!(!memory.is_terminal());
}

#[test]
fn the_worst_container_is_named_and_init_containers_are_told_apart() {
    let back_off = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let back_off = json!({"state": back_off, "lastState": ended(2, "Error", "")});
    let starting = json!({"state": {"waiting": {"reason": "PodInitializing"}}});
    let runs = json!({"state": {"running": {}}});
    let told = |init: Vec<Value>, main: &Value| {
        pod(json!({"phase": "Pending", "initContainerStatuses": init,
            "containerStatuses": [container("main", main.clone())]}))
        .unwrap()
        .text()
    };
    let fetch = |status: &Value| container("fetch", status.clone());
    let failed = told(vec![fetch(&back_off)], &starting);
    assert_eq!(failed, "init container fetch: CrashLoopBackOff: exit code 2 (Error)");
    assert_eq!(told(vec![fetch(&runs)], &starting), "init container fetch has not ended yet");
    let done = json!({"state": ended(0, "Completed", ""), "ready": true});
    let proxy = container("proxy", json!({"state": {"running": {}}, "ready": true, "started": true}));
    assert_eq!(told(vec![fetch(&done), proxy], &runs), "container main is running but not ready");
}

#[test]
fn claims_evictions_and_refusals_are_told_and_a_start_is_not() {
    let message = "0/1 nodes are available: persistentvolumeclaim \"models\" not found. preemption: 0/1";
    let condition =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
    let claim = pod(json!({"phase": "Pending", "conditions": [condition]})).unwrap();
    assert_eq!(claim.text(), "persistentvolumeclaim \"models\" not found");
    assert!(claim.is_terminal());
    let evicted = pod(json!({"phase": "Failed", "reason": "Evicted", "message": "low on resource: memory."}));
    assert_eq!(evicted.unwrap().text(), "Evicted: low on resource: memory.");
    let refused =
        waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root");
    assert_eq!((refused.kind, refused.is_terminal()), (Kind::Refused, false));
    assert_eq!(main(json!({"state": {"waiting": {"reason": "ContainerCreating"}}})), None);
    assert_eq!(pod(json!({"phase": "Pending"})), None);
}

#[test]
fn a_readiness_gate_is_told_when_all_containers_are_ready() {
    let gate =
        json!({"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": "gate g"});
    let ready = container("main", json!({"ready": true, "state": {"running": {}}}));
    let waits = pod(json!({"phase": "Running", "containerStatuses": [ready], "conditions": [gate]}));
    assert_eq!(waits.unwrap().text(), "ReadinessGatesNotReady: gate g");
}
