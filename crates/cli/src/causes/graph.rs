//! Causes that the operator reports of the graph and its components, and those that come from its silence.
//! What pods say is not looked at here.

use dynamo_api::{
    conditions::{FALSE, reason, types},
    v1alpha1::DynamoGraphDeployment,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::{Cause, Kind, Level, Snapshot, refusal};
use crate::layout;

pub(super) fn of_graph(snapshot: &Snapshot, now: Timestamp) -> Vec<Cause> {
    let graph = &snapshot.graph;
    let object = || ("DynamoGraphDeployment", snapshot.name().to_owned());
    if let Some(Time(since)) = &graph.metadata.deletion_timestamp {
        let holders = graph.metadata.finalizers.clone().unwrap_or_default();
        let who = if holders.is_empty() { "its children".to_owned() } else { holders.join(", ") };
        let message = format!("deleted {} ago; it waits for {who}", layout::age(*since, now));
        return vec![Cause::of(Level::Graph, Kind::Deleting, object(), &message)];
    }
    let Some(ready) = judged(graph) else {
        let generation = graph.metadata.generation.unwrap_or_default();
        let created = graph.metadata.creation_timestamp.as_ref().map_or(now, |Time(created)| *created);
        let message = match has_condition(graph) {
            true => format!("generation {generation} of its spec is not judged yet, an older one is"),
            false => format!("it has no condition Ready, {} after its creation", layout::age(created, now)),
        };
        return vec![Cause::of(Level::Graph, Kind::OperatorSilent, object(), &message)];
    };
    let kind = match ready.reason.as_str() {
        _ if ready.status != FALSE => return Vec::new(),
        reason::VALIDATION_FAILED => Kind::Invalid,
        reason::RECONCILE_FAILED => refusal::kind(&ready.message),
        _ => return Vec::new(),
    };
    let mut cause = Cause::of(Level::Graph, kind, object(), &ready.message);
    cause.subject = refusal::subject(kind, &ready.message);
    vec![cause]
}

pub(super) fn of_component(snapshot: &Snapshot, service: &str) -> Vec<Cause> {
    let Some(component) = snapshot.component(service) else {
        return Vec::new();
    };
    let conditions = component.status.iter().flat_map(|status| &status.conditions);
    let unmet = conditions
        .filter(|one| one.observed_generation >= component.metadata.generation && one.status == FALSE);
    let name = component.metadata.name.clone().unwrap_or_default();
    let found = unmet.filter_map(|condition| {
        let kind = match (condition.type_.as_str(), condition.reason.as_str()) {
            (types::VALID, _) => Kind::Invalid,
            (types::AVAILABLE, reason::RECONCILING) => refusal::kind(&condition.message),
            _ => return None,
        };
        let object = ("DynamoComponentDeployment", name.clone());
        let mut cause = Cause::of(Level::Component, kind, object, &condition.message);
        cause.subject = refusal::subject(kind, &condition.message);
        Some(cause)
    });
    found.collect()
}

/// The condition Ready, when it is about the newest generation.
fn judged(graph: &DynamoGraphDeployment) -> Option<&Condition> {
    let mut conditions = graph.status.iter().flat_map(|status| &status.conditions);
    conditions.find(|one| one.type_ == types::READY && one.observed_generation >= graph.metadata.generation)
}

fn has_condition(graph: &DynamoGraphDeployment) -> bool {
    graph.status.iter().flat_map(|status| &status.conditions).any(|one| one.type_ == types::READY)
}
