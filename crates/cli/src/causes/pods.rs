//! Causes that the pods of a service, their Deployment and the events about both show. What a status of a pod means is
//! told by the library of the operator; events add what no status says, such as which probe fails.

use std::collections::BTreeMap;

use dynamo_api::labels;
use dynamo_kubekit::pods::{
    REVISION, newest_revision,
    trouble::{self, FAILED_MOUNT, Kind as Told, Trouble},
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Event, Pod},
    },
    jiff::Timestamp,
};

use super::{Cause, Kind, Level, Snapshot, engine, quoted, refusal};

/// Whether a pod is ready.
pub fn is_ready(pod: &Pod) -> bool {
    has(pod, "Ready")
}

fn has(pod: &Pod, condition: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|one| one.type_ == condition && one.status == "True")
}

/// The pods of a component that are not going away, by name.
pub fn of_component<'a>(snapshot: &'a Snapshot, component: &str) -> Vec<&'a Pod> {
    let is_one = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(labels::SELECTOR)).is_some_and(|name| name == component)
    };
    let mut pods: Vec<&Pod> = snapshot.pods.iter().filter(is_one).collect();
    pods.sort_by_key(|pod| &pod.metadata.name);
    pods
}

/// What is wrong with a pod that is not ready; `None` while it just starts.
pub fn trouble(snapshot: &Snapshot, pod: &Pod) -> Option<Trouble> {
    if is_ready(pod) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    trouble::of(pod).or_else(|| {
        // Later they are history.
        let starts = !has(pod, "PodReadyToStartContainers");
        let mounts = events_of(snapshot, pod).filter(|event| starts && reason(event) == FAILED_MOUNT);
        mounts.filter_map(|event| trouble::of_mount(message(event))).min_by_key(|found| found.kind)
    })
}

pub(super) fn of_service(snapshot: &Snapshot, service: &str) -> Vec<Cause> {
    let Some(component) = snapshot.component(service).and_then(|dcd| dcd.metadata.name.as_deref()) else {
        return Vec::new();
    };
    let deployment = snapshot.deployment(component);
    let pods = newest(of_component(snapshot, component), deployment);
    // The same trouble of several pods is one cause.
    let mut by_kind: BTreeMap<Kind, Cause> = BTreeMap::new();
    for pod in &pods {
        let Some(cause) = of_pod(snapshot, pod) else { continue };
        match by_kind.get_mut(&cause.kind) {
            Some(known) => known.others += 1,
            None => drop(by_kind.insert(cause.kind, cause)),
        }
    }
    let mut causes: Vec<Cause> = by_kind.into_values().collect();
    if let Some(deployment) = deployment {
        causes.extend(of_deployment(snapshot, deployment, component, pods.len()));
    }
    causes
}

/// Those of the newest revision, where it is known; old ones are on their way out.
fn newest<'a>(mut pods: Vec<&'a Pod>, deployment: Option<&Deployment>) -> Vec<&'a Pod> {
    let revision = |pod: &Pod| pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION)).cloned();
    let newest = deployment.and_then(newest_revision).map(str::to_owned).or_else(|| {
        let youngest = pods.iter().max_by_key(|pod| &pod.metadata.creation_timestamp)?;
        revision(youngest)
    });
    pods.retain(|pod| newest.is_none() || revision(pod) == newest);
    pods
}

fn of_pod(snapshot: &Snapshot, pod: &Pod) -> Option<Cause> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    if is_ready(pod) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let Some(trouble) = trouble(snapshot, pod) else {
        let message = starting(snapshot, pod);
        return Some(Cause::of(Level::Pod, Kind::Starting, ("Pod", name), &message));
    };
    let said = match trouble.detail.as_str() {
        "" => trouble.reason.clone(),
        detail => format!("{}: {detail}", trouble.reason),
    };
    let (kind, message) = meaning(snapshot, pod, &trouble, said);
    let mut cause = Cause::of(Level::Pod, kind, ("Pod", name), &message);
    cause.container = trouble.container;
    cause.subject = match kind {
        Kind::ImageMissing | Kind::ImagePull => image(pod, cause.container.as_deref()),
        Kind::ObjectMissing | Kind::ClaimMissing => missing(&message),
        _ => None,
    };
    Some(cause)
}

/// The kind of a trouble, and the words that tell it best.
fn meaning(snapshot: &Snapshot, pod: &Pod, trouble: &Trouble, said: String) -> (Kind, String) {
    match trouble.kind {
        Told::Image => (Kind::ImageMissing, said),
        Told::Pull => (Kind::ImagePull, said),
        Told::Missing if said.contains("persistentvolumeclaim ") => (Kind::ClaimMissing, said),
        Told::Missing => (Kind::ObjectMissing, said),
        Told::Refused => (Kind::ContainerRefused, said),
        Told::Crash => {
            if let Some(probe) = killed_by_probe(snapshot, pod) {
                return (Kind::ProbeFails, format!("{probe} ({said})"));
            }
            let ending = endings(pod);
            match engine::load_error(&ending) {
                Some(line) => (Kind::ModelLoad, line),
                None if said.contains("OOMKilled") => (Kind::OutOfMemory, said),
                None => (Kind::CrashLoop, said),
            }
        }
        Told::Unschedulable if said.contains("nvidia.com/") && said.contains("Insufficient") => {
            (Kind::NoGpu, said)
        }
        Told::Unschedulable if said.contains("unbound immediate PersistentVolumeClaims") => {
            (Kind::ClaimUnbound, said)
        }
        Told::Unschedulable => (Kind::Unschedulable, said),
        Told::Mount => (Kind::MountFails, said),
        Told::Unready => {
            match latest(events_of(snapshot, pod).filter(|event| reason(event) == "Unhealthy")) {
                Some(event) => (Kind::ProbeFails, message(event).to_owned()),
                None => (Kind::NotReadyYet, said),
            }
        }
        Told::Over => (Kind::PodOver, said),
    }
}

/// Everything that the containers of a pod left behind when they ended.
fn endings(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let containers = status.into_iter().flat_map(|status| {
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
    });
    let states = containers.flat_map(|container| [container.last_state.as_ref(), container.state.as_ref()]);
    let ends = states.flatten().filter_map(|state| state.terminated.as_ref()?.message.clone());
    ends.collect::<Vec<_>>().join("\n")
}

/// The probe for which a kubelet ended a container of the pod.
fn killed_by_probe(snapshot: &Snapshot, pod: &Pod) -> Option<String> {
    let was_killed = events_of(snapshot, pod).any(|event| {
        let text = message(event);
        reason(event) == "Killing" && text.contains("failed ") && text.contains(" probe")
    });
    let unhealthy = events_of(snapshot, pod).filter(|event| {
        let text = message(event);
        reason(event) == "Unhealthy" && (text.starts_with("Liveness") || text.starts_with("Startup"))
    });
    latest(unhealthy).filter(|_| was_killed).map(|event| message(event).to_owned())
}

/// What a pod without trouble is at.
fn starting(snapshot: &Snapshot, pod: &Pod) -> String {
    if !has(pod, "PodScheduled") && pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
        return "no node has been chosen for it yet".to_owned();
    }
    match latest(events_of(snapshot, pod).filter(|event| reason(event) != "Scheduled")) {
        Some(event) => message(event).to_owned(),
        None => "its containers are being made".to_owned(),
    }
}

fn of_deployment(snapshot: &Snapshot, deployment: &Deployment, name: &str, pods: usize) -> Vec<Cause> {
    let object = || ("Deployment", name.to_owned());
    let spec = deployment.spec.as_ref();
    if spec.is_some_and(|spec| spec.paused == Some(true)) {
        return vec![Cause::of(Level::Pod, Kind::Paused, object(), "spec.paused is true")];
    }
    let conditions = || deployment.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let refused = conditions().find(|one| one.type_ == "ReplicaFailure" && one.status == "True");
    let refused = refused.and_then(|one| Some((object(), one.message.clone()?)));
    // The Deployment tells it a moment later than the event of its ReplicaSet.
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let lacks_pods = usize::try_from(wanted).is_ok_and(|wanted| pods < wanted);
    let from_event = || {
        let event = latest(snapshot.events.iter().filter(|event| is_failed_create(event, name)))?;
        let replica_set = event.involved_object.name.clone().unwrap_or_default();
        Some((("ReplicaSet", replica_set), message(event).to_owned()))
    };
    if let Some((object, text)) = refused.or_else(|| lacks_pods.then(from_event).flatten()) {
        let kind = refusal::kind(&text);
        let mut cause = Cause::of(Level::Pod, kind, object, &text);
        cause.subject = refusal::subject(kind, &text);
        return vec![cause];
    }
    let late = conditions().find(|one| one.type_ == "Progressing" && one.status == "False");
    let late = late.map(|one| {
        let text = format!("{}: {}", text(&one.reason), text(&one.message));
        Cause::of(Level::Pod, Kind::Late, object(), &text)
    });
    late.into_iter().collect()
}

fn is_failed_create(event: &Event, deployment: &str) -> bool {
    let about = &event.involved_object;
    let of_it = about.name.as_deref().and_then(|name| name.strip_prefix(deployment)?.strip_prefix('-'));
    // The rest is the revision: a longer name is a ReplicaSet of another Deployment.
    about.kind.as_deref() == Some("ReplicaSet")
        && of_it.is_some_and(|revision| !revision.contains('-'))
        && reason(event) == "FailedCreate"
}

fn events_of<'a>(snapshot: &'a Snapshot, pod: &'a Pod) -> impl Iterator<Item = &'a Event> {
    snapshot.events.iter().filter(|event| {
        let about = &event.involved_object;
        about.kind.as_deref() == Some("Pod")
            && about.name == pod.metadata.name
            && (about.uid.is_none() || about.uid == pod.metadata.uid)
    })
}

/// When an event was last seen.
pub fn seen(event: &Event) -> Option<Timestamp> {
    let of_series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let micro = of_series.or(event.event_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().or(event.metadata.creation_timestamp.as_ref());
    micro.or(last.map(|time| time.0))
}

fn latest<'a>(events: impl Iterator<Item = &'a Event>) -> Option<&'a Event> {
    events.max_by_key(|event| seen(event))
}

fn image(pod: &Pod, container: Option<&str>) -> Option<String> {
    let name = container?.rsplit(' ').next()?;
    let spec = pod.spec.as_ref()?;
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    all.find(|one| one.name == name)?.image.clone()
}

/// `secret "x"`, `configmap "x"`, the name of a claim, or `key in Secret ns/x`.
fn missing(text: &str) -> Option<String> {
    let kinds = [("secret \"", "secret"), ("configmap \"", "configmap"), ("persistentvolumeclaim \"", "")];
    let named = kinds.iter().find_map(|(before, kind)| {
        let at = text.find(before)?;
        let name = quoted(&text[at..])?;
        Some(if kind.is_empty() { name } else { format!("{kind} {name}") })
    });
    named.or_else(|| text.split_once("couldn't find ").map(|(_, rest)| rest.to_owned()))
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

fn reason(event: &Event) -> &str {
    text(&event.reason)
}

fn message(event: &Event) -> &str {
    text(&event.message)
}
