//! What `status` says about one graph, in the form that programs get: fields are added, never renamed.
//! Pure: from what was read to what is said.

use dynamo_api::v1alpha1::{DynamoComponentDeployment, RestartPhase, State};
use dynamo_kubekit::pods::REVISION;
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use serde::Serialize;

use super::events::{SeenEvent, events};
use crate::causes::{Cause, Snapshot, is_ready, pods};

/// The whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub graph: Graph,
    pub services: Vec<Service>,
    /// The newest last.
    pub events: Vec<SeenEvent>,
    pub first_cause: Option<Reason>,
    pub other_causes: Vec<Reason>,
    /// What could not be read.
    pub unread: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Graph {
    pub namespace: String,
    pub name: String,
    pub ready: bool,
    pub state: String,
    pub generation: i64,
    pub created: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_framework: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    pub conditions: Vec<ConditionView>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionView {
    pub r#type: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    pub observed_generation: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component_type: Option<String>,
    pub wanted: i32,
    pub ready: i32,
    /// `None`: nobody made it yet.
    pub component: Option<Component>,
    pub deployment: Option<DeploymentView>,
    pub pods: Vec<PodView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    pub name: String,
    pub state: String,
    pub conditions: Vec<ConditionView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentView {
    pub name: String,
    pub wanted: i32,
    pub updated: i32,
    pub available: i32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodView {
    pub name: String,
    pub phase: String,
    pub ready: bool,
    pub restarts: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    pub created: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A cause as it is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    pub kind: crate::causes::Kind,
    pub title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    pub message: String,
    pub other_pods: usize,
    pub waiting_may_help: bool,
    pub next: Vec<String>,
}

impl Reason {
    /// `cause` of the graph `name` with its advice.
    pub fn of(cause: &Cause, namespace: &str, name: &str) -> Self {
        Self {
            kind: cause.kind,
            title: cause.kind.title(),
            service: cause.service.clone(),
            object: format!("{} {}", cause.object.0, cause.object.1),
            container: cause.container.clone(),
            message: cause.message.clone(),
            other_pods: cause.others,
            waiting_may_help: cause.kind.waiting_may_help(),
            next: cause.next(namespace, name),
        }
    }
}

/// What there is to say about the graph.
pub fn report(snapshot: &Snapshot, causes: &[Cause]) -> Report {
    let (namespace, name) = (snapshot.namespace(), snapshot.name());
    let mut reasons = causes.iter().map(|cause| Reason::of(cause, namespace, name));
    Report {
        graph: graph(snapshot),
        services: snapshot.graph.spec.services.keys().map(|name| service(snapshot, name)).collect(),
        events: events(snapshot),
        first_cause: reasons.next(),
        other_causes: reasons.collect(),
        unread: snapshot.unread.clone(),
    }
}

fn graph(snapshot: &Snapshot) -> Graph {
    let graph = &snapshot.graph;
    let status = graph.status.as_ref();
    let restart = status.and_then(|status| status.restart.as_ref());
    Graph {
        namespace: snapshot.namespace().to_owned(),
        name: snapshot.name().to_owned(),
        ready: is_ready(graph),
        state: graph.state().to_owned(),
        generation: graph.metadata.generation.unwrap_or_default(),
        created: graph.metadata.creation_timestamp.as_ref().map(|Time(time)| *time),
        backend_framework: graph.spec.backend_framework.as_ref().map(|one| one.as_str().to_owned()),
        restart: restart.map(|restart| {
            let phase = restart.phase.as_ref().map_or("", RestartPhase::as_str);
            let id = restart.observed_id.as_deref().unwrap_or_default();
            match restart.in_progress.as_slice() {
                [] => format!("{id} {phase}"),
                services => format!("{id} {phase}: {}", services.join(", ")),
            }
        }),
        conditions: status.map(|status| conditions(&status.conditions)).unwrap_or_default(),
    }
}

fn conditions(all: &[Condition]) -> Vec<ConditionView> {
    let each = all.iter().map(|one| ConditionView {
        r#type: one.type_.clone(),
        status: one.status.clone(),
        reason: one.reason.clone(),
        message: one.message.clone(),
        observed_generation: one.observed_generation,
    });
    each.collect()
}

fn service(snapshot: &Snapshot, name: &str) -> Service {
    let spec = &snapshot.graph.spec.services[name];
    let dcd = snapshot.component(name);
    let component = dcd.map(component);
    let own = component.as_ref().map(|component| component.name.as_str());
    let counts = dcd.and_then(|dcd| dcd.status.as_ref()?.service.as_ref());
    Service {
        name: name.to_owned(),
        component_type: spec.component_type.clone(),
        wanted: spec.replicas.unwrap_or(1),
        ready: counts.and_then(|counts| counts.ready_replicas.or(counts.available_replicas)).unwrap_or(0),
        deployment: own.and_then(|name| snapshot.deployment(name)).map(deployment),
        pods: own.map(|own| pods_of(snapshot, own)).unwrap_or_default(),
        component,
    }
}

fn component(dcd: &DynamoComponentDeployment) -> Component {
    Component {
        name: dcd.metadata.name.clone().unwrap_or_default(),
        state: dcd.state().to_owned(),
        conditions: dcd.status.as_ref().map(|status| conditions(&status.conditions)).unwrap_or_default(),
    }
}

fn deployment(deployment: &Deployment) -> DeploymentView {
    let status = deployment.status.as_ref();
    DeploymentView {
        name: deployment.metadata.name.clone().unwrap_or_default(),
        wanted: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        updated: status.and_then(|status| status.updated_replicas).unwrap_or(0),
        available: status.and_then(|status| status.available_replicas).unwrap_or(0),
    }
}

fn pods_of(snapshot: &Snapshot, component: &str) -> Vec<PodView> {
    let each = pods::of_component(snapshot, component).into_iter().map(|pod| pod_view(snapshot, pod));
    each.collect()
}

fn pod_view(snapshot: &Snapshot, pod: &Pod) -> PodView {
    let status = pod.status.as_ref();
    let containers = status.into_iter().flat_map(|status| status.container_statuses.iter().flatten());
    let is_leaving = pod.metadata.deletion_timestamp.is_some();
    let phase = status.and_then(|status| status.phase.clone()).unwrap_or_default();
    PodView {
        name: pod.metadata.name.clone().unwrap_or_default(),
        phase: if is_leaving { "Terminating".to_owned() } else { phase },
        ready: pods::is_ready(pod),
        restarts: containers.map(|container| container.restart_count).sum(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        revision: pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION)).cloned(),
        created: pod.metadata.creation_timestamp.as_ref().map(|Time(time)| *time),
        trouble: pods::trouble(snapshot, pod).map(|trouble| trouble.text()),
    }
}
