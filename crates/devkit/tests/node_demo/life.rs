//! What happens to a running graph: a restart in order, and an image that does not exist.
//! The pods are real; requests that go on meanwhile are the caller's.

use std::time::{Duration, Instant};

use dynamo_devkit::demo::NAMESPACE;
use dynamo_devkit::kubectl::Kubectl;
use serde_json::{Value, json};

use crate::common::{LIMIT, eventually, patch, pods, ready};

/// How long a user waits for the name of an image that cannot be pulled.
const TOLD: Duration = Duration::from_secs(60);

/// Restarts the workers, then the frontend: the frontend keeps its pods until the last worker is ready again.
pub fn restart_in_order(kubectl: &Kubectl) {
    let workers = pods::of(kubectl, "agg-worker");
    let frontends = pods::of(kubectl, "agg-frontend");
    let order = json!(["Worker", "Frontend"]);
    let restart = json!({"id": "first", "strategy": {"type": "Sequential", "order": order}});
    patch(kubectl, "agg", &json!({"spec": {"restart": restart}}));
    let mut walked: Vec<String> = Vec::new();
    eventually("the restart is complete", LIMIT, || {
        let status = restart_status(kubectl)?;
        let now = status["inProgress"][0].as_str().unwrap_or("nothing").to_owned();
        if status["observedID"] == "first" && walked.last() != Some(&now) {
            walked.push(now);
        }
        let frontend_is_old = pods::of(kubectl, "agg-frontend").iter().any(|pod| frontends.contains(pod));
        let worker_is_old = pods::of(kubectl, "agg-worker").iter().any(|pod| workers.contains(pod));
        assert!(!worker_is_old || frontend_is_old, "the frontend was restarted before the workers were done");
        if status["observedID"] == "first" && status["phase"] == "Completed" {
            return Ok(());
        }
        Err(status.to_string())
    });
    assert_eq!(walked, ["Worker", "Frontend", "nothing"]);
    ready(kubectl, "agg");
    let (new_workers, new_frontends) =
        (pods::settle(kubectl, "agg-worker", 2), pods::settle(kubectl, "agg-frontend", 1));
    assert!(workers.iter().all(|pod| !new_workers.contains(pod)), "{workers:?} -> {new_workers:?}");
    assert!(frontends.iter().all(|pod| !new_frontends.contains(pod)), "{frontends:?} -> {new_frontends:?}");
}

/// An image that does not exist fails the graph by name while the old pods go on; the right one heals it.
pub fn bad_image_is_named_and_put_right(kubectl: &Kubectl) {
    const MISSING: &str = "registry.invalid/missing:1";
    let workers = pods::of(kubectl, "agg-worker");
    let graph = kubectl.json(&["get", "dgd", "agg", "-n", NAMESPACE]).unwrap();
    let good = graph["spec"]["services"]["Worker"]["extraPodSpec"]["mainContainer"]["image"].clone();
    set_image(kubectl, &json!(MISSING));
    let started = Instant::now();
    let message = eventually("the graph fails by the name of the image", TOLD, || {
        let graph =
            kubectl.json(&["get", "dgd", "agg", "-n", NAMESPACE]).map_err(|error| error.to_string())?;
        let message = graph["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned();
        if graph["status"]["state"] == "failed" && message.contains(MISSING) {
            return Ok(message);
        }
        Err(format!("{}: {message}", graph["status"]["state"]))
    });
    eprintln!("    after {:.0} s: {message}", started.elapsed().as_secs_f64());
    assert!(message.contains("container main"), "{message}");
    let running = pods::of(kubectl, "agg-worker");
    let kept = workers.iter().filter(|pod| running.contains(pod)).count();
    assert_eq!(kept, workers.len(), "pods that serve were taken down for an image that cannot be pulled");
    set_image(kubectl, &good);
    ready(kubectl, "agg");
    pods::settle(kubectl, "agg-worker", 2);
}

fn set_image(kubectl: &Kubectl, image: &Value) {
    let container = json!({"mainContainer": {"image": image}});
    patch(kubectl, "agg", &json!({"spec": {"services": {"Worker": {"extraPodSpec": container}}}}));
}

fn restart_status(kubectl: &Kubectl) -> Result<Value, String> {
    let graph = kubectl.json(&["get", "dgd", "agg", "-n", NAMESPACE]).map_err(|error| error.to_string())?;
    Ok(graph["status"]["restart"].clone())
}
