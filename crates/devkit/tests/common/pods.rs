//! The pods of a Deployment, and the hard end of one.

use dynamo_devkit::demo::NAMESPACE;
use dynamo_devkit::kubectl::Kubectl;
use serde_json::Value;

use super::{LIMIT, eventually};

/// Names of the pods of a Deployment that are not going away, sorted.
pub fn of(kubectl: &Kubectl, deployment: &str) -> Vec<String> {
    list(kubectl, deployment).unwrap().iter().filter(|pod| !terminating(pod)).map(name).collect()
}

/// Waits until a Deployment has exactly `count` pods, all ready, none going away; returns their names.
pub fn settle(kubectl: &Kubectl, deployment: &str, count: usize) -> Vec<String> {
    eventually(&format!("{count} ready pods of {deployment}"), LIMIT, || {
        let pods = list(kubectl, deployment)?;
        if pods.len() == count && pods.iter().all(|pod| ready(pod) && !terminating(pod)) {
            return Ok(pods.iter().map(name).collect());
        }
        Err(pods.iter().map(name).collect::<Vec<_>>().join(", "))
    })
}

fn list(kubectl: &Kubectl, deployment: &str) -> Result<Vec<Value>, String> {
    let selector = format!("nvidia.com/selector={deployment}");
    let pods = kubectl
        .json(&["get", "pods", "-n", NAMESPACE, "-l", &selector])
        .map_err(|error| error.to_string())?;
    Ok(pods["items"].as_array().cloned().unwrap_or_default())
}

fn name(pod: &Value) -> String {
    pod["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn terminating(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Kind and name of an object, for messages.
pub fn label(object: &Value) -> String {
    format!("{}/{}", object["kind"].as_str().unwrap_or_default(), name(object))
}

/// Kills the process of a pod's main container without a chance to say goodbye. Containers of the cluster are
/// processes of this machine, told apart by the pod's name in their environment.
pub fn kill_hard(pod: &str) {
    let wanted = format!("POD_NAME={pod}");
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            let pid = nix::unistd::Pid::from_raw(pid);
            killed += i32::from(nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).is_ok());
        }
    }
    assert!(killed > 0, "no process of pod {pod}");
}
