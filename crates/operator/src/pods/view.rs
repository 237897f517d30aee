//! Pods, and the events about their volumes, as the caches keep them: whose they are and what is wrong with them.
//! Everything else is dropped while it is decoded.

use dynamo_api::labels;
use dynamo_kubekit::pods::{
    REVISION,
    trouble::{self, Trouble},
};
use k8s_openapi::{
    api::core::v1::{Event, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::viewed::Viewed;

/// A watched pod.
pub type SeenPod = Viewed<Pod, PodView>;

/// A watched event about a volume of a pod.
pub type SeenEvent = Viewed<Event, MountEvent>;

/// What is kept of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Name of the component. The pods of its debug Deployment have another one.
    pub component: String,
    /// Which template of its Deployment the pod was made from.
    pub revision: Option<String>,
    pub created: Option<Time>,
    pub state: State,
}

/// How it stands with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Ready,
    Leaving,
    /// Nothing is wrong, as far as the pod itself says, and its volumes are not mounted yet.
    Starting,
    /// Nothing is wrong, and its volumes are mounted.
    Mounted,
    Troubled(Box<Trouble>),
}

impl From<Pod> for PodView {
    fn from(mut pod: Pod) -> Self {
        let mut label = |name: &str| pod.metadata.labels.as_mut().and_then(|labels| labels.remove(name));
        let (component, revision) = (label(labels::SELECTOR).unwrap_or_default(), label(REVISION));
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
        let conditions = conditions.unwrap_or_default();
        let holds = |type_: &str| conditions.iter().any(|one| one.type_ == type_ && one.status == "True");
        let is_ready = holds("Ready");
        let state = if pod.metadata.deletion_timestamp.is_some() {
            State::Leaving
        } else if is_ready {
            State::Ready
        } else {
            let calm = if holds("PodReadyToStartContainers") { State::Mounted } else { State::Starting };
            trouble::of(&pod).map_or(calm, |trouble| State::Troubled(Box::new(trouble)))
        };
        Self { component, revision, created: pod.metadata.creation_timestamp, state }
    }
}

/// What is kept of an event `FailedMount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEvent {
    pub pod: String,
    pub uid: Option<String>,
    /// `None`: nothing to tell.
    pub trouble: Option<Trouble>,
}

impl From<Event> for MountEvent {
    fn from(event: Event) -> Self {
        let message = event.message.unwrap_or_default();
        let trouble = trouble::of_mount(&message);
        let pod = event.involved_object;
        Self { pod: pod.name.unwrap_or_default(), uid: pod.uid, trouble }
    }
}

#[cfg(test)]
mod tests {
    use dynamo_kubekit::pods::trouble::Kind;
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_a_pods_specification_is_kept() {
        let pod: SeenPod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "1", "annotations": {"note": "hunter2"},
                "labels": {"nvidia.com/selector": "g-worker", "pod-template-hash": "6c9", "other": "hunter2"}},
            "spec": {"containers": [{"name": "main", "env": [{"name": "TOKEN", "value": "hunter2"}]}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "main", "image": "x", "imageID": "",
                "ready": false, "restartCount": 0, "state": {"running": {}}}]},
        }))
        .unwrap();
        assert!(!format!("{pod:?}").contains("hunter2"), "{pod:?}");
        assert_eq!((pod.view.component.as_str(), pod.view.revision.as_deref()), ("g-worker", Some("6c9")));
        let State::Troubled(trouble) = pod.view.state else { panic!("{:?}", pod.view) };
        assert_eq!(trouble.text(), "container main is running but not ready");
    }

    #[test]
    fn an_event_tells_what_a_volume_misses_and_no_passing_delay() {
        let event = |message: &str| -> MountEvent {
            let event: SeenEvent = serde_json::from_value(json!({
                "metadata": {"name": "p.1", "namespace": "ns"}, "message": message,
                "involvedObject": {"kind": "Pod", "name": "p", "uid": "1"},
            }))
            .unwrap();
            event.view
        };
        let missing = event("MountVolume.SetUp failed for volume \"v\" : secret \"x\" not found");
        let trouble = missing.trouble.unwrap();
        assert_eq!(
            (trouble.text().as_str(), trouble.is_terminal()),
            ("FailedMount: secret \"x\" not found", true)
        );
        let late = "MountVolume.SetUp failed for volume \"v\" : failed to sync secret cache: timed out";
        assert_eq!(event(late).trouble, None);
        let nfs = event("MountVolume.SetUp failed for volume \"v\" : mount failed: exit status 32")
            .trouble
            .unwrap();
        assert_eq!((nfs.kind, nfs.is_terminal()), (Kind::Mount, false));
    }
}
