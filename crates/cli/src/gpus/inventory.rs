//! What nodes say about their GPUs (`tools.md` section 3.2), and what pods use of them.
//! Pure: objects in, records out.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Node, Pod},
    apimachinery::pkg::api::resource::Quantity,
};
use serde::Serialize;

pub const RESOURCE: &str = "nvidia.com/gpu";
const MIG: &str = "nvidia.com/mig-";
const COUNT: &str = "nvidia.com/gpu.count";
const PRODUCT: &str = "nvidia.com/gpu.product";
const MEMORY: &str = "nvidia.com/gpu.memory";
const MIG_CAPABLE: &str = "nvidia.com/mig.capable";

/// One node. The names of the fields are those of the JSON and the CSV form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Item {
    pub node_name: String,
    pub gpu_count: Option<u64>,
    pub gpu_product: Option<String>,
    /// MiB of one GPU.
    pub gpu_memory_mib: Option<u64>,
    pub mig_capable: Option<bool>,
    pub allocatable_gpu: Option<u64>,
    /// Resource names with their counts; zero counts are left out.
    pub mig_resources: BTreeMap<String, u64>,
    pub ready: bool,
    pub schedulable: bool,
    /// GPUs that pods on the node asked for; `None` when pods cannot be read.
    pub used_gpu: Option<u64>,
}

impl Item {
    /// The record of `node`; used GPUs come with [`note_used`].
    pub fn of(node: &Node) -> Self {
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let label = |name: &str| labels.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let status = node.status.clone().unwrap_or_default();
        let allocatable = status.allocatable.unwrap_or_default();
        let allocatable_gpu = allocatable.get(RESOURCE).and_then(|Quantity(count)| integer(count));
        let mig = allocatable.iter().filter(|(name, _)| name.starts_with(MIG));
        let mig = mig.filter_map(|(name, Quantity(count))| Some((name.clone(), integer(count)?)));
        let conditions = status.conditions.unwrap_or_default();
        Self {
            node_name: node.metadata.name.clone().unwrap_or_default(),
            gpu_count: label(COUNT).and_then(integer).or(allocatable_gpu),
            gpu_product: label(PRODUCT).map(str::to_owned),
            gpu_memory_mib: label(MEMORY).and_then(integer),
            mig_capable: label(MIG_CAPABLE).and_then(truth),
            allocatable_gpu,
            mig_resources: mig.filter(|(_, count)| *count > 0).collect(),
            ready: conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True"),
            schedulable: !node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false),
            used_gpu: None,
        }
    }

    /// Whether there are GPUs of which model or memory is not known.
    pub fn is_vague(&self) -> bool {
        self.gpu_count.unwrap_or(0) > 0 && (self.gpu_product.is_none() || self.gpu_memory_mib.is_none())
    }
}

/// The whole text as an integer, else the first run of digits in it.
pub fn integer(text: &str) -> Option<u64> {
    if let Ok(number) = text.trim().parse() {
        return Some(number);
    }
    let digits = text.split(|c: char| !c.is_ascii_digit()).find(|run| !run.is_empty())?;
    digits.parse().ok()
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// Writes into every item how many GPUs `pods` asked for on its node.
pub fn note_used(items: &mut [Item], pods: &[Pod]) {
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for pod in pods {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            continue;
        }
        if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
            *used.entry(node).or_default() += asked(pod);
        }
    }
    for item in items {
        item.used_gpu = Some(used.get(item.node_name.as_str()).copied().unwrap_or(0));
    }
}

/// GPUs that the scheduler sets aside for a pod: containers together with sidecars, or the largest init container.
fn asked(pod: &Pod) -> u64 {
    let Some(spec) = &pod.spec else { return 0 };
    let mut together: u64 = spec.containers.iter().map(of_container).sum();
    let mut largest = 0;
    let mut sidecars = 0;
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars += of_container(container);
            largest = largest.max(sidecars);
        } else {
            largest = largest.max(sidecars + of_container(container));
        }
    }
    together += sidecars;
    together.max(largest)
}

fn of_container(container: &Container) -> u64 {
    let Some(resources) = &container.resources else { return 0 };
    let named = |list: &Option<BTreeMap<String, Quantity>>| {
        list.as_ref().and_then(|list| list.get(RESOURCE)).and_then(|Quantity(count)| integer(count))
    };
    named(&resources.requests).or_else(|| named(&resources.limits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn item(labels: Value, allocatable: Value) -> Item {
        let node =
            json!({"metadata": {"name": "n", "labels": labels}, "status": {"allocatable": allocatable}});
        Item::of(&serde_json::from_value(node).unwrap())
    }

    #[test]
    fn labels_come_before_what_is_allocatable() {
        let labels = json!({"nvidia.com/gpu.count": "8", "nvidia.com/gpu.product": "H100", "nvidia.com/gpu.memory": "81559"});
        let it = item(labels, json!({"nvidia.com/gpu": "7"}));
        assert_eq!((it.gpu_count, it.allocatable_gpu), (Some(8), Some(7)));
        assert_eq!((it.gpu_product.as_deref(), it.gpu_memory_mib), (Some("H100"), Some(81559)));
        let it = item(json!({}), json!({"nvidia.com/gpu": "7"}));
        assert_eq!((it.gpu_count, it.gpu_product), (Some(7), None));
        assert_eq!(item(json!({}), json!({})).gpu_count, None);
    }

    #[test]
    fn integers_are_the_whole_text_or_its_first_digits() {
        assert_eq!(
            ["8", " 8 ", "81559MiB", "x12y34", "none", ""].map(integer),
            [Some(8), Some(8), Some(81559), Some(12), None, None]
        );
    }

    #[test]
    fn mig_is_said_by_a_label_and_counted_without_zeros() {
        let capable = |value: &str| item(json!({"nvidia.com/mig.capable": value}), json!({})).mig_capable;
        let said = ["true", "1", "yes", "false", "0", "no", "maybe"].map(capable);
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(said, [yes, yes, yes, no, no, no, None]);
        let it = item(json!({}), json!({"nvidia.com/mig-1g.5gb": "2", "nvidia.com/mig-2g.10gb": "0"}));
        assert_eq!(it.mig_resources, BTreeMap::from([("nvidia.com/mig-1g.5gb".to_owned(), 2)]));
    }

    #[test]
    fn used_gpus_are_those_the_scheduler_sets_aside() {
        let gpus = |count: u64| json!({"limits": {"nvidia.com/gpu": count.to_string()}});
        let pod = |phase: &str, spec: Value| -> Pod {
            let mut spec = spec;
            spec["nodeName"] = "n".into();
            serde_json::from_value(json!({"spec": spec, "status": {"phase": phase}})).unwrap()
        };
        let two =
            json!({"containers": [{"name": "a", "resources": gpus(1)}, {"name": "b", "resources": gpus(1)}]});
        let init = json!({"containers": [{"name": "a", "resources": gpus(1)}],
            "initContainers": [{"name": "i", "resources": gpus(4)}]});
        let sidecar = json!({"containers": [{"name": "a", "resources": gpus(1)}],
            "initContainers": [{"name": "s", "resources": gpus(1), "restartPolicy": "Always"}]});
        let used = |pods: &[Pod]| {
            let mut items = [item(json!({}), json!({}))];
            note_used(&mut items, pods);
            items[0].used_gpu
        };
        assert_eq!(used(&[]), Some(0));
        assert_eq!(used(&[pod("Running", two.clone()), pod("Pending", two.clone())]), Some(4));
        assert_eq!(used(&[pod("Succeeded", two.clone()), pod("Failed", two)]), Some(0));
        assert_eq!(used(&[pod("Running", init)]), Some(4));
        assert_eq!(used(&[pod("Running", sidecar)]), Some(2));
    }
}
