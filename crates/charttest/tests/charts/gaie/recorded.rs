//! Compares with the recorded renders of the reference's chart, object by object and key by key, in both directions.
//! Must list every wanted difference with its row in the list of deviations; one that no set needs is a failure.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::chart;
use crate::helm::{Helm, Objects, recorded, strings, text, workspace};
use crate::or_skip;
use crate::recorded::read;

struct Set {
    name: String,
    data: Value,
}

impl Set {
    fn namespace(&self) -> &str {
        text(&self.data["namespace"])
    }

    /// The prefix of the objects that do not begin with the model's name.
    fn fullname(&self) -> &str {
        let config =
            objects_of(&self.data).find(|object| object["kind"] == "ConfigMap").expect("a ConfigMap");
        text(&config["name"]).strip_suffix("-epp-config").expect("the ConfigMap's suffix")
    }

    fn labels(&self) -> Value {
        json!({"app.kubernetes.io/name": "dynamo-gaie", "app.kubernetes.io/instance": self.data["release"]})
    }
}

fn objects_of(data: &Value) -> impl Iterator<Item = &Value> {
    data["objects"].as_array().into_iter().flatten()
}

fn sets(dir: &Path) -> Vec<Set> {
    let sets = read(dir).into_iter().map(|(name, data)| Set { name, data });
    sets.filter(|set| set.data["chart"] == "dynamo-gaie").collect()
}

/// What the chart renders for the recorded sets that it takes, by their names.
pub fn renders(helm: &Helm, dir: &Path) -> Vec<(String, Objects)> {
    let rendered = sets(dir).into_iter().map(|set| {
        let output =
            helm.template(&chart(), text(&set.data["release"]), set.namespace(), &set.data["values"]);
        (set.name, output)
    });
    rendered.filter(|(_, output)| output.ok).map(|(name, output)| (name, Objects::parse(&output))).collect()
}

/// Moves the entries of `from` that are there into `to`.
fn take(from: &mut Map<String, Value>, to: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if let Some(value) = from.remove(*key) {
            to.insert((*key).to_owned(), value);
        }
    }
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// A variable as it is recorded: what it refers to stands beside its name.
fn variable(entry: &Value) -> Value {
    let mut entry = map(entry);
    if let Some(from) = entry.remove("valueFrom") {
        entry.extend(map(&from).into_iter().map(|(kind, source)| match kind.as_str() {
            "fieldRef" => (kind, source["fieldPath"].clone()),
            _ => (kind, source),
        }));
    }
    Value::Object(entry)
}

/// A rendered object in the form of the records. What has no place in that form stays under its own key, and so shows.
fn as_recorded(object: &Value) -> Value {
    let mut rest = map(object);
    let mut metadata = map(&rest.remove("metadata").unwrap_or_default());
    let mut out = Map::new();
    take(&mut rest, &mut out, &["apiVersion", "kind", "rules", "roleRef", "subjects"]);
    out.insert("name".into(), metadata.remove("name").unwrap_or_default());
    out.insert("namespace".into(), metadata.remove("namespace").unwrap_or_default());
    for key in ["labels", "annotations"] {
        out.insert(key.into(), metadata.remove(key).unwrap_or_else(|| json!({})));
    }
    match text(&object["kind"]) {
        "ConfigMap" => {
            let keys: Vec<String> =
                map(&rest.remove("data").unwrap_or_default()).into_iter().map(|(key, _)| key).collect();
            out.insert("keys".into(), json!(keys));
        }
        "Service" => out.extend(map(&rest.remove("spec").unwrap_or_default())),
        "Deployment" => out.extend(deployment(&map(&rest.remove("spec").unwrap_or_default()))),
        _ => take(&mut rest, &mut out, &["spec"]),
    }
    out.extend(rest);
    out.extend(metadata);
    Value::Object(out)
}

fn deployment(spec: &Map<String, Value>) -> Map<String, Value> {
    let mut out = spec.clone();
    out.insert("selector".into(), spec["selector"]["matchLabels"].clone());
    let mut template = map(&out.remove("template").unwrap_or_default());
    let mut metadata = map(&template.remove("metadata").unwrap_or_default());
    out.insert("podLabels".into(), metadata.remove("labels").unwrap_or_default());
    out.extend(metadata);
    out.extend(map(&template.remove("spec").unwrap_or_default()));
    out.extend(template);
    for container in out["containers"].as_array_mut().into_iter().flatten() {
        if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
            *env = env.iter().map(variable).collect();
        }
    }
    out
}

/// A wanted difference from the reference.
struct Deviation {
    /// Its row in the list of deviations.
    row: &'static str,
    /// The record as this chart renders it; none where there is nothing to change.
    apply: fn(&Set, &[Value]) -> Option<Vec<Value>>,
}

const DEVIATIONS: [Deviation; 3] = [
    Deviation { row: "D-137", apply: own_account_and_roles },
    Deviation { row: "D-138", apply: model_of_the_picker },
    Deviation { row: "D-139", apply: restricted_pod },
];

fn of_kind<'a>(objects: &'a mut [Value], kind: &str) -> Option<&'a mut Value> {
    objects.iter_mut().find(|object| object["kind"] == kind)
}

/// The rights are bound to an account of the release; they hold in its namespace but for the two reviews.
fn own_account_and_roles(set: &Set, record: &[Value]) -> Option<Vec<Value>> {
    let roles = format!("{}-epp", set.fullname());
    let cluster_role = format!("{roles}:{}", set.namespace());
    let named = |name: &str| record.iter().find(|object| object["name"] == name);
    let (role, binding) = (named("pod-read")?, named("pod-read-binding")?);
    let (reviews, namespaced): (Vec<Value>, Vec<Value>) = role["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .cloned()
        .partition(|rule| strings(&rule["resources"])[0].ends_with("reviews"));
    assert_eq!((reviews.len(), namespaced.len()), (2, 5), "{}", set.name);
    let mut objects = record.to_vec();
    objects.retain(|object| !text(&object["name"]).starts_with("pod-read"));
    for (kind, name, namespace, rules) in [
        ("ClusterRole", &cluster_role, Value::Null, reviews),
        ("Role", &roles, json!(set.namespace()), namespaced),
    ] {
        let mut role = role.clone();
        role["kind"] = json!(kind);
        role["name"] = json!(name);
        role["namespace"] = namespace.clone();
        role["labels"] = set.labels();
        role["rules"] = json!(rules);
        objects.push(role);
        let mut binding = binding.clone();
        binding["kind"] = json!(format!("{kind}Binding"));
        binding["name"] = json!(name);
        binding["namespace"] = namespace;
        binding["labels"] = set.labels();
        binding["roleRef"]["kind"] = json!(kind);
        binding["roleRef"]["name"] = json!(name);
        binding["subjects"][0]["name"] = json!(roles);
        objects.push(binding);
    }
    objects.push(json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "name": roles, "namespace": set.namespace(),
        "labels": set.labels(), "annotations": {},
    }));
    let deployment = of_kind(&mut objects, "Deployment").expect("a Deployment");
    deployment["serviceAccountName"] = json!(roles);
    Some(objects)
}

/// `DYN_MODEL` follows the chart's own variables, unless the user's have one.
fn model_of_the_picker(set: &Set, record: &[Value]) -> Option<Vec<Value>> {
    let mut objects = record.to_vec();
    let deployment = of_kind(&mut objects, "Deployment").expect("a Deployment");
    let env = deployment["containers"][0]["env"].as_array_mut().expect("variables");
    if env.iter().any(|entry| entry["name"] == "DYN_MODEL") {
        return None;
    }
    let token = env.iter().position(|entry| entry["name"] == "HF_TOKEN")?;
    let model = set.data["values"]["model"]["identifier"].as_str().unwrap_or("Qwen/Qwen3-0.6B");
    env.insert(token + 1, json!({"name": "DYN_MODEL", "value": model}));
    Some(objects)
}

fn restricted_pod(_: &Set, record: &[Value]) -> Option<Vec<Value>> {
    let mut objects = record.to_vec();
    let deployment = of_kind(&mut objects, "Deployment").expect("a Deployment");
    deployment["securityContext"] = json!({
        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    });
    deployment["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    Some(objects)
}

fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(|o| (text(&o["kind"]).to_owned(), text(&o["name"]).to_owned()));
    objects
}

#[test]
fn every_recorded_set_renders_the_same_but_for_written_deviations() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let mut used = [0; DEVIATIONS.len()];
    let mut compared = 0;
    for set in sets(&dir).iter().filter(|set| set.data.get("error").is_none()) {
        let output =
            helm.template(&chart(), text(&set.data["release"]), set.namespace(), &set.data["values"]);
        let ours = sorted(Objects::parse(&output).0.iter().map(as_recorded).collect());
        let mut theirs: Vec<Value> = objects_of(&set.data).cloned().collect();
        for (deviation, used) in DEVIATIONS.iter().zip(&mut used) {
            if let Some(changed) = (deviation.apply)(set, &theirs) {
                theirs = changed;
                *used += 1;
            }
        }
        let theirs = sorted(theirs);
        let names = |objects: &[Value]| -> Vec<String> {
            objects.iter().map(|o| format!("{} {}", text(&o["kind"]), text(&o["name"]))).collect()
        };
        assert_eq!(names(&ours), names(&theirs), "{}", set.name);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{}", set.name);
        }
        compared += 1;
    }
    assert!(compared >= 8, "only {compared} sets found");
    for (deviation, used) in DEVIATIONS.iter().zip(used) {
        assert!(used > 0, "no recorded set needs {}", deviation.row);
    }
}

#[test]
fn every_recorded_refusal_is_refused_with_its_words() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let sets: Vec<Set> = sets(&dir).into_iter().filter(|set| set.data.get("error").is_some()).collect();
    assert_eq!(sets.len(), 3);
    for set in &sets {
        let output =
            helm.template(&chart(), text(&set.data["release"]), set.namespace(), &set.data["values"]);
        assert!(!output.ok, "{} must not render", set.name);
        for word in strings(&set.data["error"]["keywords"]) {
            assert!(output.stderr.contains(&word), "{}: {word:?} is missing in {}", set.name, output.stderr);
        }
    }
}

#[test]
fn every_wanted_difference_is_a_row_of_the_list_of_deviations() {
    let list = std::fs::read_to_string(workspace().join("docs/design/deviations.md")).expect("the list");
    for deviation in &DEVIATIONS {
        assert!(list.contains(&format!("| {} |", deviation.row)), "no row {}", deviation.row);
    }
}
