//! The write log of an operator, read from the API server's audit log.
//! Reads and leases are left out: the promise is about writes.

use std::path::Path;

use serde_json::Value;

/// One write as `verb resource/subresource namespace/name code`.
#[must_use]
pub fn writes(log: &Path) -> Vec<String> {
    requests(log, &["create", "update", "patch", "delete", "deletecollection"])
}

/// One read that is not a watch.
#[must_use]
pub fn reads(log: &Path) -> Vec<String> {
    requests(log, &["get", "list"])
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
    if text("resource") == "leases" {
        return None;
    }
    let subresource = match text("subresource") {
        "" => String::new(),
        name => format!("/{name}"),
    };
    let code = &event["responseStatus"]["code"];
    Some(format!("{verb} {}{subresource} {}/{} {code}", text("resource"), text("namespace"), text("name")))
}
