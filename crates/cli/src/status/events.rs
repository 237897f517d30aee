//! The recent events about a graph and what belongs to it.
//! Pure: chosen from those of the namespace.

use k8s_openapi::{api::core::v1::Event, jiff::Timestamp};
use serde::Serialize;

use crate::causes::{Snapshot, pods};

/// Events that are shown.
const EVENTS: usize = 8;
const WARNING: &str = "Warning";

/// An event as it is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenEvent {
    pub last_seen: Option<Timestamp>,
    pub r#type: String,
    pub reason: String,
    pub object: String,
    pub message: String,
    pub count: i32,
}

/// The latest events about objects of the graph. The same reason at the same object is one event; warnings are kept
/// before others.
pub fn events(snapshot: &Snapshot) -> Vec<SeenEvent> {
    let mut mine: Vec<&Event> = snapshot.events.iter().filter(|event| is_about(snapshot, event)).collect();
    mine.sort_by_key(|event| (pods::seen(event), event.metadata.name.clone()));
    let mut merged: Vec<SeenEvent> = Vec::new();
    for event in mine {
        let mut event = seen_event(event);
        let is_same = |other: &SeenEvent| (&other.reason, &other.object) == (&event.reason, &event.object);
        if let Some(at) = merged.iter().position(is_same) {
            event.count = event.count.saturating_add(merged.remove(at).count);
        }
        merged.push(event);
    }
    while merged.len() > EVENTS {
        let calm = merged.iter().position(|event| event.r#type != WARNING);
        merged.remove(calm.unwrap_or(0));
    }
    merged
}

fn is_about(snapshot: &Snapshot, event: &Event) -> bool {
    let about = &event.involved_object;
    let (Some(kind), Some(name)) = (about.kind.as_deref(), about.name.as_deref()) else {
        return false;
    };
    let named = |other: &Option<String>| other.as_deref() == Some(name);
    match kind {
        "DynamoGraphDeployment" => name == snapshot.name(),
        "DynamoComponentDeployment" => snapshot.components.iter().any(|one| named(&one.metadata.name)),
        "Deployment" => snapshot.deployments.iter().any(|one| named(&one.metadata.name)),
        "Pod" => snapshot.pods.iter().any(|one| named(&one.metadata.name)),
        "ReplicaSet" => name.rsplit_once('-').is_some_and(|(owner, _)| snapshot.deployment(owner).is_some()),
        _ => false,
    }
}

fn seen_event(event: &Event) -> SeenEvent {
    let about = &event.involved_object;
    let word = |field: &Option<String>| field.clone().unwrap_or_default();
    let series = event.series.as_ref().and_then(|series| series.count);
    SeenEvent {
        last_seen: pods::seen(event),
        r#type: word(&event.type_),
        reason: word(&event.reason),
        object: format!("{} {}", word(&about.kind), word(&about.name)),
        message: word(&event.message),
        count: event.count.or(series).unwrap_or(1),
    }
}
