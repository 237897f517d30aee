//! Checks 3 and 4: nodes with GPUs, and the GPU Operator that makes them usable (`tools.md` section 1.2).
//! Both judge the same nodes, so one reading serves them.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, api::ListParams};

use super::report::Verdict;
use crate::{
    cluster::{Cluster, Error},
    gpus::inventory::RESOURCE,
    pages,
    pods::{self, Health},
};

const PRESENT: &str = "nvidia.com/gpu.present";
/// Newer charts of the GPU Operator use the first, older ones the second.
const OPERATOR: [&str; 2] = ["app.kubernetes.io/name=gpu-operator", "app=gpu-operator"];

/// A node that has GPUs, or says so.
#[derive(Debug, PartialEq, Eq)]
pub struct GpuNode {
    name: String,
    labelled: bool,
    /// What pods may ask for; 0 when no device plugin offers any.
    allocatable: u64,
}

/// # Errors
/// Nodes cannot be listed.
pub async fn gather_nodes(cluster: &Cluster) -> Result<Vec<GpuNode>, Error> {
    let nodes = pages::all(&Api::<Node>::all(cluster.client.clone()), ListParams::default()).await;
    let nodes = nodes.map_err(|error| Error::of("list nodes", &error))?;
    let mut found: Vec<GpuNode> =
        nodes.iter().map(gpu_node).filter(|node| node.labelled || node.allocatable > 0).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn gpu_node(node: &Node) -> GpuNode {
    let labels = node.metadata.labels.as_ref();
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let count =
        allocatable.and_then(|resources| resources.get(RESOURCE)).and_then(|count| count.0.parse().ok());
    GpuNode {
        name: node.metadata.name.clone().unwrap_or_default(),
        labelled: labels.is_some_and(|labels| labels.get(PRESENT).is_some_and(|value| value == "true")),
        allocatable: count.unwrap_or(0),
    }
}

/// Check 3. The labels decide; nodes without them that offer GPUs are as good, with a warning.
pub fn judge_nodes(nodes: &[GpuNode]) -> Verdict {
    let labelled = nodes.iter().filter(|node| node.labelled).count();
    if labelled > 0 {
        let idle: Vec<&str> = nodes
            .iter()
            .filter(|node| node.labelled && node.allocatable == 0)
            .map(|node| node.name.as_str())
            .collect();
        let verdict = Verdict::passed(format!("Found {labelled} GPU node(s) in the cluster"));
        if idle.is_empty() {
            return verdict;
        }
        return verdict.warn(format!(
            "no GPU can be asked for on {}: the device plugin does not run there, or the driver is missing",
            idle.join(", ")
        ));
    }
    if nodes.is_empty() {
        return Verdict::failed(
            "No GPU nodes found in the cluster",
            "install the NVIDIA driver and the device plugin (the GPU Operator brings both), and GPU feature discovery \
             for the label",
        )
        .hint(format!("No node has the label {PRESENT}=true (kubectl get nodes -l {PRESENT}=true)"))
        .hint(format!("and no node offers {RESOURCE} in status.allocatable (kubectl describe nodes)"));
    }
    Verdict::passed(format!("Found {} GPU node(s) via allocatable GPU resources", nodes.len()))
        .lines(nodes.iter().map(|node| format!("  - {}: {} GPU(s)", node.name, node.allocatable)))
        .warn(format!(
            "no node has the label {PRESENT}=true; without GPU feature discovery nobody knows model and memory of \
             these GPUs"
        ))
}

/// # Errors
/// Pods of all namespaces cannot be listed.
pub async fn gather_operator(cluster: &Cluster) -> Result<Vec<Health>, Error> {
    let api: Api<Pod> = Api::all(cluster.client.clone());
    let mut found = Vec::new();
    for selector in OPERATOR {
        let pods = pages::all(&api, ListParams::default().labels(selector)).await;
        let pods = pods.map_err(|error| Error::of("list pods of all namespaces", &error))?;
        found.extend(pods.iter().filter_map(pods::health));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Check 4. Zero running pods is no operator; a driver of the node image makes one unnecessary.
pub fn judge_operator(operator: &[Health], nodes: &Result<Vec<GpuNode>, Error>) -> Verdict {
    let total = operator.len();
    let running = operator.iter().filter(|pod| pod.is_well()).count();
    let list = || operator.iter().map(|pod| format!("  - {pod}"));
    if total > 0 && running == total {
        return Verdict::passed(format!("GPU operator is running ({running}/{total} pods)"));
    }
    if running > 0 {
        return Verdict::caution_first(format!(
            "GPU operator partially running: {running}/{total} pods running"
        ))
        .lines(list())
        .good("GPU operator is available (with warnings)");
    }
    if total > 0 {
        return Verdict::failed(
            "GPU operator pods are not running",
            "look at the pods above (kubectl describe pod, kubectl logs); until one runs, drivers and device plugins \
             are not kept up",
        )
        .lines(list());
    }
    let nodes = match nodes {
        Ok(nodes) => nodes,
        // Whether GPUs are offered decides here, and that is not known.
        Err(error) => return Verdict::error(error),
    };
    let offered: u64 = nodes.iter().map(|node| node.allocatable).sum();
    if offered > 0 {
        return Verdict::passed(format!("Nodes offer {offered} GPU(s) without the GPU operator")).warn(
            "GPU operator not found in the cluster; driver and device plugin come from elsewhere, such as the node \
             image, and nobody here keeps them up",
        );
    }
    Verdict::failed(
        "GPU operator not found in the cluster",
        "install the GPU Operator (helm install gpu-operator nvidia/gpu-operator -n gpu-operator --create-namespace), \
         or use a node image with driver and device plugin",
    )
}
