//! What the operator's log says about its rights.

use dynamo_devkit::demo::install::{NAMESPACE, RELEASE};
use dynamo_devkit::kubectl::Kubectl;

/// No request of the operator was refused for want of a right.
pub fn nothing_was_forbidden(kubectl: &Kubectl) {
    let selector = format!("app.kubernetes.io/instance={RELEASE}");
    let log =
        kubectl.run(&["logs", "-n", NAMESPACE, "-l", &selector, "--all-containers", "--tail=-1"]).unwrap();
    // An empty or foreign log would prove nothing.
    assert!(log.lines().any(|line| line.contains("created")), "the log names nothing that was made:\n{log}");
    let refused: Vec<&str> =
        log.lines().filter(|line| line.contains("is forbidden") || line.contains("Forbidden")).collect();
    assert!(refused.is_empty(), "refused requests:\n{}", refused.join("\n"));
}
