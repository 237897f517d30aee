//! Check 1: does the cluster answer (`tools.md` section 1.2)?
//! The question goes over the API; kubectl is only looked for.

use super::{report::Verdict, versions::Tool};
use crate::cluster::Error;

/// The verdict on the answer of the cluster.
pub fn judge<T>(connected: &Result<T, Error>, kubectl: &Tool) -> Verdict {
    const ABSENT: &str = "kubectl is not installed or not in PATH";
    match (connected, kubectl) {
        (Ok(_), Tool::Absent) => Verdict::passed("cluster is accessible")
            .warn(format!("{ABSENT}; the guides use it: https://kubernetes.io/docs/tasks/tools/")),
        (Ok(_), _) => Verdict::passed("kubectl is available and cluster is accessible"),
        (Err(error), kubectl) => {
            let verdict = Verdict::failed(
                "Cannot connect to Kubernetes cluster",
                "set KUBECONFIG or --kubeconfig to a kubeconfig of the cluster, and look whether its server can be \
                 reached from here",
            )
            .hint(error.to_string());
            if *kubectl == Tool::Absent { verdict.warn(ABSENT) } else { verdict }
        }
    }
}
