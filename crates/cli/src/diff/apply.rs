//! What `kubectl apply` would make of a manifest, by a dry run: as its user applied before, by server-side apply or by a
//! merge with what was applied last.

use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Map, Value, json};

use crate::{
    cluster::{Cluster, Error as ClusterError},
    error::Error,
};

const KUBECTL: &str = "kubectl";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Maps that an API server does not keep when they are empty.
const DROPPED_WHEN_EMPTY: [&str; 4] = ["annotations", "labels", "nodeSelector", "matchLabels"];

/// The object as it is, and as it would be.
pub(super) struct Outcome {
    pub(super) before: Option<Value>,
    pub(super) after: Value,
    pub(super) notes: Vec<String>,
}

/// Access to objects of the kind of `object`.
pub(super) fn api(cluster: &Cluster, namespace: &str, object: &Value) -> Api<DynamicObject> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
    Api::namespaced_with(cluster.client.clone(), namespace, &resource)
}

/// Applies as a dry run.
///
/// # Errors
/// The API server or admission refuses the object, or does not answer.
pub(super) async fn dry_run(cluster: &Cluster, wanted: &Value) -> Result<Outcome, Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&wanted["metadata"]["namespace"]), text(&wanted["metadata"]["name"]));
    let kind = text(&wanted["kind"]);
    let api = api(cluster, &namespace, wanted);
    let what = |verb: &str| format!("{verb} {kind} {namespace}/{name}");
    let live = api.get_opt(&name).await.map_err(|error| ClusterError::of(what("read"), &error))?;
    let before = live.map(|live| serde_json::to_value(live).unwrap_or_default());
    let answer = match &before {
        None => {
            let object = serde_json::from_value(wanted.clone()).map_err(std::io::Error::other)?;
            api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await
        }
        Some(before) if is_server_side(before) => {
            let params = PatchParams { dry_run: true, ..PatchParams::apply(KUBECTL).force() };
            api.patch(&name, &params, &Patch::Apply(wanted)).await
        }
        Some(before) => {
            let params = PatchParams { dry_run: true, ..PatchParams::default() };
            api.patch(&name, &params, &Patch::Merge(&merge_patch(before, wanted))).await
        }
    };
    let mut notes = Vec::new();
    let after = match answer {
        Ok(applied) => serde_json::to_value(applied).map_err(std::io::Error::other)?,
        Err(kube::Error::Api(status)) if is_right_missing(&status) => {
            notes.push(format!(
                "{}: compared with the manifest as it is, without the API server's defaults",
                status.message
            ));
            before.as_ref().map_or_else(|| wanted.clone(), |before| overlay(before, wanted))
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            let text = format!("{kind} {namespace}/{name} would be refused: {}", status.message);
            return Err(Error::Usage(text));
        }
        Err(error) => return Err(ClusterError::of(what("apply (as a dry run)"), &error).into()),
    };
    Ok(Outcome { before, after, notes })
}

/// Whether the user may not do it, unlike a refusal of admission.
pub(super) fn is_right_missing(status: &kube::core::Status) -> bool {
    status.code == 403 && status.message.contains(" is forbidden: User ")
}

/// Whether the object was applied by server-side apply of kubectl.
fn is_server_side(object: &Value) -> bool {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().any(|entry| entry["manager"] == KUBECTL && entry["operation"] == "Apply")
}

/// `wanted`, with a null for every field that was applied last and is not wanted any more.
fn merge_patch(live: &Value, wanted: &Value) -> Value {
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let last = last.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| json!({}));
    let mut patch = wanted.clone();
    forget(&mut patch, &last);
    patch
}

fn forget(patch: &mut Value, last: &Value) {
    let (Value::Object(patch), Value::Object(last)) = (patch, last) else { return };
    for (key, value) in last {
        match patch.get_mut(key) {
            Some(inner) => forget(inner, value),
            None => drop(patch.insert(key.clone(), Value::Null)),
        }
    }
}

/// `live` with the fields of `wanted` over it; lists have the items of `wanted`, each over that of its name or place, so
/// that what the API server fills in stays.
pub(super) fn overlay(live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let mut merged: Map<String, Value> = live.clone();
            for (key, value) in wanted {
                if DROPPED_WHEN_EMPTY.contains(&key.as_str()) && *value == json!({}) {
                    continue;
                }
                let value = live.get(key).map_or_else(|| value.clone(), |live| overlay(live, value));
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(wanted)) => {
            let same = |at: usize, item: &Value| match item.get("name") {
                Some(name) => live.iter().find(|other| other.get("name") == Some(name)),
                None => live.get(at),
            };
            let items = wanted.iter().enumerate();
            items
                .map(|(at, item)| same(at, item).map_or_else(|| item.clone(), |live| overlay(live, item)))
                .collect()
        }
        (_, wanted) => wanted.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_fills_in_stays_under_what_is_wanted() {
        let live = json!({"containers": [{"name": "a", "path": "/x"}, {"name": "b", "image": "1", "policy": "Always"}]});
        let wanted = json!({"containers": [{"name": "b", "image": "2"}], "ports": [1]});
        let merged = json!({"containers": [{"name": "b", "image": "2", "policy": "Always"}], "ports": [1]});
        assert_eq!(overlay(&live, &wanted), merged);
    }

    #[test]
    fn what_was_applied_last_and_is_not_wanted_any_more_is_taken_out() {
        let last = json!({"spec": {"a": 1, "b": {"c": 1}}}).to_string();
        let live = json!({"metadata": {"annotations": {LAST_APPLIED: last}}, "spec": {"a": 1, "b": {"c": 1}, "d": 1}});
        let patch = merge_patch(&live, &json!({"spec": {"b": {"e": 2}}}));
        assert_eq!(patch, json!({"spec": {"a": null, "b": {"c": null, "e": 2}}}));
    }
}
