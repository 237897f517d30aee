//! The platform's own pods in the namespace that was asked for: operator, etcd, NATS (`tools.md` section 1.4).
//! Before the install there are none, which is no fault.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};

use super::report::Verdict;
use crate::{
    cluster::{Cluster, Error},
    pages,
    pods::{self, Health},
};

const PARTS: &str = "app.kubernetes.io/name in (dynamo-operator,etcd,nats)";

/// # Errors
/// Pods of the namespace cannot be listed.
pub async fn gather(cluster: &Cluster) -> Result<Vec<Health>, Error> {
    let api: Api<Pod> = cluster.api();
    let found = pages::all(&api, ListParams::default().labels(PARTS)).await;
    let found =
        found.map_err(|error| Error::of(format!("list pods of namespace {}", cluster.namespace), &error))?;
    let mut found: Vec<Health> = found.iter().filter_map(pods::health).collect();
    found.sort();
    Ok(found)
}

/// The verdict on the pods of `namespace`.
pub fn judge(pods: &[Health], namespace: &str) -> Verdict {
    if pods.is_empty() {
        return Verdict::passed(format!("The platform is not installed in namespace {namespace} yet"))
            .line("  Name another namespace with -n");
    }
    let well = pods.iter().filter(|pod| pod.is_well()).count();
    let list = pods.iter().map(|pod| format!("  - {pod}"));
    if well == pods.len() {
        return Verdict::passed(format!("The platform is running in namespace {namespace} ({well} pods)"))
            .lines(list);
    }
    Verdict::failed(
        format!("{well}/{} pods of the platform are running in namespace {namespace}", pods.len()),
        "look at the pods that are not ready (kubectl describe pod, kubectl logs --previous); for images of etcd that \
         cannot be pulled: --set etcd.image.repository=bitnamilegacy/etcd --set \
         etcd.global.security.allowInsecureImages=true",
    )
    .lines(list)
}
