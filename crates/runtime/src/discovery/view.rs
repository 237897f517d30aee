//! What is visible, computed from the slices and objects seen so far (runtime.md 5.1).
//! It is pure: no client and no clock.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::DynamicObject;

use super::Snapshot;
use super::record::{Published, read_data};

/// One pod as one slice names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SlicePod {
    name: String,
    uid: Option<String>,
    ready: bool,
    terminating: bool,
}

/// One DynamoWorkerMetadata object.
#[derive(Clone, Debug, PartialEq)]
struct PodObject {
    owner_uids: Vec<String>,
    terminating: bool,
    published: Published,
}

/// Everything the two watches have delivered.
#[derive(Debug, Default)]
pub(super) struct View {
    slices: HashMap<String, Vec<SlicePod>>,
    objects: BTreeMap<String, PodObject>,
    refused: HashSet<(String, String)>,
}

impl View {
    pub(super) fn put_slice(&mut self, slice: &EndpointSlice) {
        let pods = slice.endpoints.iter().filter_map(|endpoint| {
            let target = endpoint.target_ref.as_ref()?;
            let conditions = endpoint.conditions.as_ref();
            Some(SlicePod {
                name: target.name.clone()?,
                uid: target.uid.clone(),
                ready: conditions.and_then(|c| c.ready).unwrap_or(false),
                terminating: conditions.and_then(|c| c.terminating).unwrap_or(false),
            })
        });
        self.slices.insert(slice.name_any(), pods.collect());
    }

    pub(super) fn remove_slice(&mut self, name: &str) {
        self.slices.remove(name);
    }

    pub(super) fn keep_slices(&mut self, names: &HashSet<String>) {
        self.slices.retain(|name, _| names.contains(name));
    }

    pub(super) fn put_object(&mut self, object: &DynamicObject) {
        let published =
            object.data.get("spec").and_then(|spec| spec.get("data")).map(read_data).unwrap_or_default();
        let name = object.name_any();
        let new = PodObject {
            owner_uids: object.owner_references().iter().map(|owner| owner.uid.clone()).collect(),
            terminating: object.metadata.deletion_timestamp.is_some(),
            published,
        };
        if self.objects.get(&name) != Some(&new) {
            for problem in &new.published.problems {
                tracing::warn!("DynamoWorkerMetadata {name}: {problem}; this entry is ignored");
            }
        }
        self.objects.insert(name, new);
    }

    pub(super) fn remove_object(&mut self, name: &str) {
        self.objects.remove(name);
    }

    pub(super) fn keep_objects(&mut self, names: &HashSet<String>) {
        self.objects.retain(|name, _| names.contains(name));
    }

    /// A pod is visible iff a slice says it is ready, none says it is terminating, and its object
    /// exists and belongs to this very pod.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let mut ready: HashMap<&str, Option<&str>> = HashMap::new();
        let mut terminating: HashSet<&str> = HashSet::new();
        for pod in self.slices.values().flatten() {
            if pod.terminating {
                terminating.insert(&pod.name);
            } else if pod.ready {
                ready.insert(&pod.name, pod.uid.as_deref());
            }
        }
        let mut snapshot = Snapshot { synced: true, ..Snapshot::default() };
        let mut taken: HashMap<String, &str> = HashMap::new();
        for (name, object) in &self.objects {
            let Some(uid) = ready.get(name.as_str()) else { continue };
            let foreign = uid.is_some_and(|uid| {
                !object.owner_uids.is_empty() && !object.owner_uids.iter().any(|owner| owner == uid)
            });
            if terminating.contains(name.as_str()) || object.terminating || foreign {
                continue;
            }
            for (key, instance) in &object.published.instances {
                match snapshot.instances.entry(key.clone()) {
                    Entry::Vacant(free) => {
                        free.insert(instance.clone());
                        taken.insert(key.clone(), name);
                    }
                    Entry::Occupied(_) => {
                        let first = taken.get(key).copied().unwrap_or_default();
                        if self.refused.insert((key.clone(), name.clone())) {
                            tracing::error!(
                                "pods {first} and {name} publish the same instance {key}: their names hash \
                                 to one id; {name} is ignored, delete that pod to get another name"
                            );
                        }
                    }
                }
            }
            for (key, card) in &object.published.cards {
                snapshot.cards.entry(key.clone()).or_insert_with(|| card.clone());
            }
        }
        snapshot
    }
}

/// The part of `target` that may be shown at once: what disappeared or changed is taken off
/// `current`, nothing is added.
pub(super) fn without_removed(current: &Snapshot, target: &Snapshot) -> Snapshot {
    let mut shown = current.clone();
    shown.instances.retain(|key, instance| target.instances.get(key) == Some(instance));
    shown.cards.retain(|key, card| target.cards.get(key) == Some(card));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EndpointId;
    use serde_json::{Value, json};

    fn slice(name: &str, pods: &[(&str, &str, bool, bool)]) -> EndpointSlice {
        let endpoints: Vec<Value> = pods
            .iter()
            .map(|(pod, uid, ready, terminating)| {
                json!({"addresses": ["198.18.0.9"], "conditions": {"ready": ready, "terminating": terminating},
                       "targetRef": {"kind": "Pod", "name": pod, "uid": uid}})
            })
            .collect();
        let object = json!({"metadata": {"name": name}, "addressType": "IPv4", "endpoints": endpoints});
        serde_json::from_value(object).unwrap()
    }

    fn object(pod: &str, uid: &str, id: u64, port: u16) -> DynamicObject {
        let record = json!({"type": "Endpoint", "namespace": "ns", "component": "backend", "endpoint": "generate",
            "instance_id": id, "transport": {"tcp": format!("198.18.0.9:{port}/{id:x}/generate")}});
        let key = EndpointId::new("ns", "backend", "generate").key(id);
        serde_json::from_value(json!({
            "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoWorkerMetadata",
            "metadata": {"name": pod, "ownerReferences":
                [{"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid, "controller": true}]},
            "spec": {"data": {"endpoints": {key: record}, "model_cards": {}, "event_channels": {}}}}))
        .unwrap()
    }

    fn visible(view: &mut View) -> usize {
        view.snapshot().instances.len()
    }

    #[test]
    fn a_pod_is_visible_only_when_ready_and_published() {
        let mut view = View::default();
        view.put_slice(&slice("s", &[("a", "ua", true, false), ("b", "ub", false, false)]));
        assert_eq!(visible(&mut view), 0);
        view.put_object(&object("a", "ua", 1, 1000));
        view.put_object(&object("b", "ub", 2, 1000));
        view.put_object(&object("c", "uc", 3, 1000));
        let snapshot = view.snapshot();
        assert_eq!(snapshot.instances.keys().collect::<Vec<_>>(), ["ns/backend/generate/1"]);
    }

    #[test]
    fn a_terminating_pod_is_hidden_even_while_another_slice_says_ready() {
        let mut view = View::default();
        view.put_object(&object("a", "ua", 1, 1000));
        view.put_slice(&slice("s1", &[("a", "ua", true, false)]));
        assert_eq!(visible(&mut view), 1);
        view.put_slice(&slice("s2", &[("a", "ua", false, true)]));
        assert_eq!(visible(&mut view), 0);
        view.remove_slice("s2");
        assert_eq!(visible(&mut view), 1);
        view.remove_object("a");
        assert_eq!(visible(&mut view), 0);
    }

    #[test]
    fn an_object_of_a_dead_pod_with_the_same_name_is_not_used() {
        let mut view = View::default();
        view.put_slice(&slice("s", &[("a", "new", true, false)]));
        view.put_object(&object("a", "old", 1, 1000));
        assert_eq!(visible(&mut view), 0);
        view.put_object(&object("a", "new", 1, 1000));
        assert_eq!(visible(&mut view), 1);
    }

    #[test]
    fn of_two_pods_with_one_id_the_second_is_refused() {
        let mut view = View::default();
        view.put_slice(&slice("s", &[("a", "ua", true, false), ("b", "ub", true, false)]));
        view.put_object(&object("b", "ub", 1, 2000));
        view.put_object(&object("a", "ua", 1, 1000));
        let snapshot = view.snapshot();
        let instance = &snapshot.instances["ns/backend/generate/1"];
        assert_eq!(instance.transport, super::super::Transport::Tcp("198.18.0.9:1000/1/generate".to_owned()));
    }

    #[test]
    fn removals_and_changed_content_leave_at_once_and_nothing_is_added() {
        let mut view = View::default();
        view.put_slice(&slice("s", &[("a", "ua", true, false), ("b", "ub", true, false)]));
        view.put_object(&object("a", "ua", 1, 1000));
        view.put_object(&object("b", "ub", 2, 1000));
        let before = view.snapshot();
        view.put_object(&object("a", "ua", 1, 1001));
        view.put_slice(&slice("s2", &[("c", "uc", true, false)]));
        view.put_object(&object("c", "uc", 3, 1000));
        let target = view.snapshot();
        let shown = without_removed(&before, &target);
        assert_eq!(shown.instances.keys().collect::<Vec<_>>(), ["ns/backend/generate/2"]);
        assert_eq!(target.instances.len(), 3);
    }

    #[test]
    fn what_a_relist_does_not_name_is_forgotten() {
        let mut view = View::default();
        view.put_slice(&slice("s", &[("a", "ua", true, false)]));
        view.put_object(&object("a", "ua", 1, 1000));
        view.keep_objects(&HashSet::new());
        assert_eq!(visible(&mut view), 0);
        view.put_object(&object("a", "ua", 1, 1000));
        view.keep_slices(&HashSet::new());
        assert_eq!(visible(&mut view), 0);
    }
}
