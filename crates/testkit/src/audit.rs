//! The write log of an operator, read from the API server's audit log.
//! Reads and leases are left out: the promise is about writes.

use std::{collections::HashSet, path::Path};

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// One answered write, also to a Lease.
#[derive(Debug, Clone)]
pub struct Write {
    pub user: String,
    pub verb: String,
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub code: u64,
    /// When the API server had the request and when it had answered it.
    pub received: Timestamp,
    pub answered: Timestamp,
}

/// Every answered write in the order in which the requests came in.
#[must_use]
pub fn timeline(log: &Path) -> Vec<Write> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut writes: Vec<Write> = events.filter_map(|event| write(&event)).collect();
    writes.sort_by_key(|write| write.received);
    writes
}

fn write(event: &Value) -> Option<Write> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let verb = event["verb"].as_str().filter(|verb| WRITES.contains(verb))?;
    let target = &event["objectRef"];
    Some(Write {
        user: text(&event["user"]["username"]),
        verb: verb.to_owned(),
        resource: text(&target["resource"]),
        namespace: text(&target["namespace"]),
        name: text(&target["name"]),
        code: event["responseStatus"]["code"].as_u64()?,
        received: event["requestReceivedTimestamp"].as_str()?.parse().ok()?,
        answered: event["stageTimestamp"].as_str()?.parse().ok()?,
    })
}

/// One write as `verb resource/subresource namespace/name code`.
#[must_use]
pub fn writes(log: &Path) -> Vec<String> {
    requests(log, &WRITES)
}

/// One read that is not a watch.
#[must_use]
pub fn reads(log: &Path) -> Vec<String> {
    requests(log, &["get", "list"])
}

/// Every answered request of `user` that concerns a kind of objects, watches and streams as well.
#[must_use]
pub fn requests_of(log: &Path, user: &str) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // A stream is told when it begins and when it ends.
    let mut known = HashSet::new();
    let mine = events.filter(|event| event["user"]["username"] == user);
    let once = mine.filter(|event| known.insert(event["auditID"].to_string()));
    once.filter_map(|event| line(&event, &[event["verb"].as_str()?])).collect()
}

fn requests(log: &Path, verbs: &[&str]) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    // The last line may be half written.
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter_map(|event| line(&event, verbs)).collect()
}

fn line(event: &Value, verbs: &[&str]) -> Option<String> {
    let verb = event["verb"].as_str().filter(|verb| verbs.contains(verb))?;
    let target = &event["objectRef"];
    let text = |field: &str| target[field].as_str().unwrap_or_default();
    // Leases are renewed for ever; a path without a resource, such as the list of API groups, is no object.
    if matches!(text("resource"), "" | "leases") {
        return None;
    }
    let subresource = match text("subresource") {
        "" => String::new(),
        name => format!("/{name}"),
    };
    let code = &event["responseStatus"]["code"];
    Some(format!("{verb} {}{subresource} {}/{} {code}", text("resource"), text("namespace"), text("name")))
}
