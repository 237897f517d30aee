//! Two forms of one object become a change, and changes of Deployments become pods that start, restart, or end. Pure.

use dynamo_api::labels;
use serde::Serialize;
use serde_json::{Map, Value};

/// Fields of metadata that say nothing about a change.
const OF_SERVER: [&str; 7] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "uid",
    "selfLink",
    "deletionGracePeriodSeconds",
];
/// Annotations by which others remember what they wrote.
const REMEMBERED: [&str; 2] =
    ["nvidia.com/last-applied-hash", "kubectl.kubernetes.io/last-applied-configuration"];
const TEMPLATE: &str = "spec.template.";

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Added,
    Changed,
    Removed,
}

/// A field that changes; `None` is one that is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Field {
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Value>,
}

/// A change of one object.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Change {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) action: Action,
    /// Of an object that is changed.
    pub(super) fields: Vec<Field>,
    #[serde(skip)]
    pub(super) before: Option<Value>,
    #[serde(skip)]
    pub(super) after: Option<Value>,
}

/// What happens to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fate {
    Start,
    Restart,
    End,
    /// More or fewer of them; those that stay are not touched.
    Scale,
}

/// The pods of one Deployment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Pods {
    pub(super) service: String,
    pub(super) deployment: String,
    pub(super) fate: Fate,
    /// Number before and after.
    pub(super) before: i64,
    pub(super) after: i64,
    /// The fields that are the reason.
    pub(super) why: Vec<Field>,
}

/// The change from `before` to `after`, if there is one.
pub(super) fn compare(kind: &str, before: Option<&Value>, after: Option<&Value>) -> Option<Change> {
    let (before, after) = (before.map(bare), after.map(bare));
    let (action, fields) = match (&before, &after) {
        (None, None) => return None,
        (None, Some(_)) => (Action::Added, Vec::new()),
        (Some(_), None) => (Action::Removed, Vec::new()),
        (Some(before), Some(after)) => {
            let mut fields = Vec::new();
            walk("", Some(before), Some(after), &mut fields);
            if fields.is_empty() {
                return None;
            }
            (Action::Changed, fields)
        }
    };
    let name = after.as_ref().or(before.as_ref()).and_then(|object| object["metadata"]["name"].as_str());
    Some(Change {
        kind: kind.to_owned(),
        name: name.unwrap_or_default().to_owned(),
        action,
        fields,
        before,
        after,
    })
}

/// An object without what the API server and others write for themselves.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(fields) = object.as_object_mut() else { return object };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        OF_SERVER.iter().for_each(|key| drop(metadata.remove(*key)));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            REMEMBERED.iter().for_each(|key| drop(annotations.remove(*key)));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    object
}

fn walk(path: &str, before: Option<&Value>, after: Option<&Value>, fields: &mut Vec<Field>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for key in keys(old, new) {
                let path = match key.contains(['.', '/']) {
                    true => format!("{path}[{key}]"),
                    false if path.is_empty() => key.clone(),
                    false => format!("{path}.{key}"),
                };
                walk(&path, old.get(key), new.get(key), fields);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => lists(path, old, new, fields),
        (before, after) => {
            fields.push(Field { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
        }
    }
}

/// Items that have names are compared by them, so that one that is put in between changes no other.
fn lists(path: &str, old: &[Value], new: &[Value], fields: &mut Vec<Field>) {
    let name = |item: &Value| item["name"].as_str().map(ToOwned::to_owned);
    let named = |items: &[Value]| items.iter().map(name).collect::<Option<Vec<String>>>();
    match (named(old), named(new)) {
        (Some(of_old), Some(of_new)) => {
            let item = |names: &[String], items: &'_ [Value], name: &String| {
                names.iter().position(|known| known == name).and_then(|at| items.get(at)).cloned()
            };
            let mut all = of_old.clone();
            all.extend(of_new.iter().filter(|name| !of_old.contains(name)).cloned());
            let known = fields.len();
            for name in all {
                let (before, after) = (item(&of_old, old, &name), item(&of_new, new, &name));
                walk(&format!("{path}[{name}]"), before.as_ref(), after.as_ref(), fields);
            }
            if fields.len() == known {
                // Another order alone is a change, too.
                let of = |items: &[Value]| Some(Value::from(items.to_vec()));
                fields.push(Field { path: path.to_owned(), before: of(old), after: of(new) });
            }
        }
        _ => {
            for at in 0..old.len().max(new.len()) {
                walk(&format!("{path}[{at}]"), old.get(at), new.get(at), fields);
            }
        }
    }
}

fn keys<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> Vec<&'a String> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).collect();
    keys.sort();
    keys
}

/// What the changes of Deployments do to pods.
pub(super) fn pods(changes: &[Change]) -> Vec<Pods> {
    changes.iter().filter(|change| change.kind == "Deployment").filter_map(of_deployment).collect()
}

fn of_deployment(change: &Change) -> Option<Pods> {
    let replicas = |object: &Option<Value>| {
        object.as_ref().map_or(0, |object| object["spec"]["replicas"].as_i64().unwrap_or(1))
    };
    let (before, after) = (replicas(&change.before), replicas(&change.after));
    let of_template = |field: &&Field| field.path.starts_with(TEMPLATE);
    let (fate, why): (Fate, Vec<Field>) = match change.action {
        Action::Added => (Fate::Start, Vec::new()),
        Action::Removed => (Fate::End, Vec::new()),
        Action::Changed if change.fields.iter().any(|field| of_template(&field)) => {
            (Fate::Restart, change.fields.iter().filter(of_template).cloned().collect())
        }
        Action::Changed if before != after => (
            Fate::Scale,
            change.fields.iter().filter(|field| field.path == "spec.replicas").cloned().collect(),
        ),
        Action::Changed => return None,
    };
    let object = change.after.as_ref().or(change.before.as_ref())?;
    let label = |labels: &Value| labels[labels::COMPONENT].as_str().map(ToOwned::to_owned);
    let service = label(&object["metadata"]["labels"])
        .or_else(|| label(&object["spec"]["template"]["metadata"]["labels"]))
        .unwrap_or_default();
    Some(Pods { service, deployment: change.name.clone(), fate, before, after, why })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(replicas: i64, image: &str) -> Value {
        json!({"metadata": {"name": "d", "labels": {labels::COMPONENT: "Worker"}, "resourceVersion": image},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
    }

    fn fate(before: Option<Value>, after: Option<Value>) -> Option<(Fate, i64, i64, Vec<String>)> {
        let change = compare("Deployment", before.as_ref(), after.as_ref())?;
        let pods = pods(&[change]).pop()?;
        Some((pods.fate, pods.before, pods.after, pods.why.into_iter().map(|field| field.path).collect()))
    }

    #[test]
    fn pods_restart_when_their_template_changes_and_only_then() {
        let image = "spec.template.spec.containers[main].image".to_owned();
        let of = |replicas, image| Some(deployment(replicas, image));
        assert_eq!(fate(of(2, "a"), of(2, "b")), Some((Fate::Restart, 2, 2, vec![image.clone()])));
        assert_eq!(fate(of(2, "a"), of(3, "b")), Some((Fate::Restart, 2, 3, vec![image])));
        assert_eq!(fate(of(2, "a"), of(3, "a")), Some((Fate::Scale, 2, 3, vec!["spec.replicas".to_owned()])));
        assert_eq!(fate(None, of(3, "a")), Some((Fate::Start, 0, 3, vec![])));
        assert_eq!(fate(of(3, "a"), None), Some((Fate::End, 3, 0, vec![])));
        assert_eq!(fate(of(3, "a"), of(3, "a")), None);
    }

    #[test]
    fn items_with_names_are_compared_by_them_and_an_order_is_a_change() {
        let of = |names: &[&str]| {
            let items: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"envs": items})
        };
        let paths = |before: Value, after: Value| {
            compare("X", Some(&before), Some(&after))
                .map(|change| change.fields.into_iter().map(|field| field.path).collect::<Vec<_>>())
        };
        assert_eq!(paths(of(&["a", "c"]), of(&["a", "b", "c"])), Some(vec!["envs[b]".to_owned()]));
        assert_eq!(paths(of(&["a", "b"]), of(&["b", "a"])), Some(vec!["envs".to_owned()]));
        assert_eq!(paths(of(&["a"]), of(&["a"])), None);
    }
}
