//! Collects what explains a failed step: pods, their events and logs, and the operator's logs.
//! Must never fail itself.

use super::{install, pods};
use crate::Error;
use crate::kubectl::Kubectl;

/// Adds to an error what the cluster says about the pods of `namespace` and the operator.
pub fn explain(error: Error, kubectl: &Kubectl, namespace: &str) -> Error {
    let Error::Deadline { what, seconds, detail } = error else { return error };
    let mut text = vec![detail];
    let mut add = |title: &str, args: &[&str], lines: usize| {
        let found = kubectl.run(args).unwrap_or_else(|error| error.to_string());
        let all: Vec<&str> = found.lines().collect();
        if !all.is_empty() {
            text.push(format!("--- {title}\n{}", all[all.len().saturating_sub(lines)..].join("\n")));
        }
    };
    add("pods", &["get", "pods", "-n", namespace, "-o", "wide"], 30);
    for pod in pods::unready_names(&pods::all(kubectl, namespace)).iter().take(3) {
        add(&format!("description of {pod}"), &["describe", "pod", pod, "-n", namespace], 25);
        let args = ["logs", pod, "-n", namespace, "--all-containers", "--tail=15"];
        add(&format!("logs of {pod}"), &args, 15);
    }
    add("events", &["get", "events", "-n", namespace, "--sort-by=.lastTimestamp"], 12);
    let selector = format!("app.kubernetes.io/instance={}", install::RELEASE);
    add("operator's logs", &["logs", "-n", install::NAMESPACE, "-l", &selector, "--tail=25"], 25);
    Error::Deadline { what, seconds, detail: text.join("\n") }
}
