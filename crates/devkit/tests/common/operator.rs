//! What an operator's log says.

use dynamo_devkit::demo::install::{NAMESPACE, RELEASE};
use dynamo_devkit::kubectl::Kubectl;

/// The logs of the pods of a release.
pub fn log(kubectl: &Kubectl, namespace: &str, release: &str) -> String {
    let selector = format!("app.kubernetes.io/instance={release}");
    kubectl.run(&["logs", "-n", namespace, "-l", &selector, "--all-containers", "--tail=-1"]).unwrap()
}

/// No request of the cluster-wide operator was refused for want of a right.
pub fn nothing_was_forbidden(kubectl: &Kubectl) {
    nothing_was_forbidden_in(&log(kubectl, NAMESPACE, RELEASE));
}

/// As [`nothing_was_forbidden`], of the log of any operator.
pub fn nothing_was_forbidden_in(log: &str) {
    // An empty or foreign log would prove nothing.
    assert!(log.lines().any(|line| line.contains("created")), "the log names nothing that was made:\n{log}");
    let refused: Vec<&str> =
        log.lines().filter(|line| line.contains("is forbidden") || line.contains("Forbidden")).collect();
    assert!(refused.is_empty(), "refused requests:\n{}", refused.join("\n"));
}
