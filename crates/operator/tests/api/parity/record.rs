//! Records and how they are compared: objects without what differs from run to run, path by path.
//! The rules are those of the recording: `norm`, `prune` and `flat` of `parity.py`.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The kind under which the status of a graph is compared.
pub const STATUS: &str = "GraphStatus";

/// Objects by kind and name.
pub type Objects = BTreeMap<(String, String), Value>;

/// One path of one object that is not as on record.
#[derive(Debug)]
pub struct Difference {
    pub kind: String,
    pub name: String,
    /// `missing object` and `extra object` stand for whole objects.
    pub path: String,
    want: Option<Value>,
    got: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.kind, self.name, self.path)?;
        if self.path.starts_with('.') {
            let text = |value: &Option<Value>| value.as_ref().map_or("<none>".to_owned(), Value::to_string);
            write!(f, ": want {} got {}", text(&self.want), text(&self.got))?;
        }
        Ok(())
    }
}

/// The manifests that were recorded, sorted.
pub fn cases(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("input")).unwrap();
    let mut cases: Vec<String> = entries
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    cases.sort();
    cases
}

/// The documents of a YAML file.
pub fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

/// What is on record of a manifest.
pub fn read(folder: &Path, case: &str) -> Objects {
    let plain = folder.join("plain");
    let mut objects = Objects::new();
    for object in documents(&plain.join(format!("{case}.yaml"))) {
        insert(&mut objects, object);
    }
    let statuses = documents(&plain.join(format!("{case}.status.yaml")));
    for graph in statuses.iter().flat_map(|document| document.as_array().unwrap()) {
        let name = graph["name"].as_str().unwrap();
        insert_status(&mut objects, name, &graph["annotations"], &graph["finalizers"], &graph["status"]);
    }
    objects
}

/// Adds an object as it is compared.
pub fn insert(objects: &mut Objects, object: Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let object = if kind.starts_with("Dynamo") { prune(object) } else { object };
    objects.insert((kind, name), object);
}

/// Adds what is compared of a graph itself.
pub fn insert_status(
    objects: &mut Objects,
    name: &str,
    annotations: &Value,
    finalizers: &Value,
    status: &Value,
) {
    let mut status = status.clone();
    for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        condition.as_object_mut().unwrap().remove("lastTransitionTime");
    }
    let mut annotations = annotations.as_object().cloned().unwrap_or_default();
    annotations.retain(|key, _| !key.contains("last-applied"));
    let whole = json!({"annotations": annotations, "finalizers": finalizers, "status": status});
    objects.insert((STATUS.to_owned(), name.to_owned()), prune_null(whole));
}

/// Takes out what differs from run to run, and puts `NS` in the place of the namespace.
pub fn normalised(mut object: Value, namespace: &str) -> Value {
    let fields = object.as_object_mut().unwrap();
    fields.remove("status");
    let metadata = fields["metadata"].as_object_mut().unwrap();
    for volatile in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink"]
    {
        metadata.remove(volatile);
    }
    for owner in metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
        owner.as_object_mut().unwrap().remove("uid");
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        let volatile = ["last-applied", "spec-hash"];
        annotations.retain(|key, _| {
            !volatile.iter().any(|part| key.contains(part)) && !key.starts_with("deployment.kubernetes.io")
        });
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    if fields["kind"] == "Service" {
        let spec = fields["spec"].as_object_mut().unwrap();
        if spec.get("clusterIP").is_some_and(|address| address != "None") {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
    }
    if fields["kind"] == "Secret" {
        for value in
            fields.get_mut("data").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
        {
            *value = json!("<data>");
        }
    }
    in_no_namespace(&object, namespace)
}

/// With `NS` in the place of the namespace.
pub fn in_no_namespace(object: &Value, namespace: &str) -> Value {
    serde_json::from_str(&object.to_string().replace(namespace, "NS")).unwrap()
}

/// How `got` differs from `want`.
pub fn differences(want: &Objects, got: &Objects) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut add = |(kind, name): &(String, String), path: String, want: Option<Value>, got: Option<Value>| {
        all.push(Difference { kind: kind.clone(), name: name.clone(), path, want, got });
    };
    for (key, want) in want {
        let Some(got) = got.get(key) else {
            add(key, "missing object".to_owned(), None, None);
            continue;
        };
        let (want, mut got) = (flat(want), flat(got));
        for (path, value) in want {
            let other = got.remove(&path);
            if other.as_ref() != Some(&value) {
                add(key, path, Some(value), other);
            }
        }
        for (path, value) in got {
            add(key, path, None, Some(value));
        }
    }
    for key in got.keys().filter(|key| !want.contains_key(*key)) {
        add(key, "extra object".to_owned(), None, None);
    }
    all
}

/// The leaves of a value by their path.
fn flat(value: &Value) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    flatten(value, String::new(), &mut leaves);
    leaves
}

fn flatten(value: &Value, path: String, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                flatten(value, format!("{path}.{key}"), leaves);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let names: BTreeMap<&str, ()> =
                items.iter().filter_map(|item| Some((item.get("name")?.as_str()?, ()))).collect();
            let are_named = names.len() == items.len();
            for (at, item) in items.iter().enumerate() {
                let key = match item["name"].as_str() {
                    Some(name) if are_named => name.to_owned(),
                    _ => at.to_string(),
                };
                flatten(item, format!("{path}[{key}]"), leaves);
            }
        }
        leaf => _ = leaves.insert(path, leaf.clone()),
    }
}

/// In the platform's own objects an empty value is an absent one.
fn prune(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(key, value)| (key, prune(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => items.into_iter().map(prune).collect(),
        scalar => scalar,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn prune_null(mut value: Value) -> Value {
    value.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    value
}

#[test]
fn a_difference_is_named_by_the_names_of_list_entries() {
    let key = || ("Pod".to_owned(), "a".to_owned());
    let want =
        Objects::from([(key(), json!({"env": [{"name": "A", "value": "1"}], "list": [1, 2], "gone": {}}))]);
    let got = Objects::from([(key(), json!({"env": [{"name": "A", "value": "2"}], "list": [1]}))]);
    let all: Vec<String> = differences(&want, &got).iter().map(ToString::to_string).collect();
    assert_eq!(
        all,
        [
            "Pod/a .env[A].value: want \"1\" got \"2\"",
            "Pod/a .gone: want {} got <none>",
            "Pod/a .list[1]: want 2 got <none>",
        ]
    );
    let missing: Vec<String> = differences(&want, &Objects::new()).iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["Pod/a missing object"]);
}
