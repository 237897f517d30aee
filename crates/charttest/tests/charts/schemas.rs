//! Every render against the schemas of the API, by kubeconform: no unknown field, no wrong type. The schemas are those that
//! the API server and the definitions of other projects publish, made strict.
//! Must not need a network, and must not install anything on the API server that others share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use dynamo_devkit::tools::{self, Tool};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::gaie;
use crate::helm::{Helm, Objects, charts, files_with, program, recorded, text, workspace, yaml};
use crate::or_skip;
use crate::plane::{kubectl, ok, plane};
use crate::recorded;
use crate::scenarios;

/// Kinds whose definitions are not at hand.
const UNKNOWN: [(&str, &str); 4] = [
    ("Certificate", "cert-manager's definitions are not among the shared ones"),
    ("Issuer", "as above"),
    ("HTTPRoute", "those of the Gateway API neither"),
    ("DestinationRule", "of Istio only VirtualServices are written by the platform itself"),
];

#[test]
fn every_render_has_only_fields_and_types_that_the_api_knows() {
    let helm = or_skip!(Helm::find(), "helm");
    let kubeconform = or_skip!(program("KUBECONFORM", "kubeconform"), "kubeconform");
    let dir = or_skip!(recorded(), "DYNAMO_SHARED, which has the recorded values");
    let bundle = or_skip!(monitoring_definitions(), "the manifests of the Prometheus operator");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let folder = tempfile::tempdir().expect("a folder");

    let published = ok(&kubectl(plane, None, &["get", "--raw", "/openapi/v2"], ""), "the API's schemas");
    let mut schemas = Schemas { folder: folder.path().join("schemas"), count: 0 };
    std::fs::create_dir(&schemas.folder).expect("a folder of schemas");
    schemas.of_openapi(&serde_json::from_str(&published).expect("JSON"));
    let shared = dir.join("../../crds");
    for file in files_with(&charts().join("crds/templates"), "yaml") {
        schemas.of_definitions(&std::fs::read_to_string(file).expect("a definition"));
    }
    for part in ["kai", "gaie", "istio"] {
        for file in files_with(&shared.join(part), "yaml") {
            schemas.of_definitions(&std::fs::read_to_string(file).expect("a definition"));
        }
    }
    schemas.of_definitions(&bundle);
    assert!(schemas.count > 100, "only {} schemas", schemas.count);

    let renders = folder.path().join("renders");
    std::fs::create_dir(&renders).expect("a folder of renders");
    let mut count = 0_usize;
    for (name, objects) in all_renders(&helm, &dir) {
        let documents: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
        std::fs::write(renders.join(format!("{name}.yaml")), documents).expect("a render");
        count += 1;
    }
    assert!(count > 120, "only {count} renders");

    let skipped = UNKNOWN.map(|(kind, _)| kind).join(",");
    let location = format!(
        "{}/{{{{.Group}}}}_{{{{.ResourceAPIVersion}}}}_{{{{.ResourceKind}}}}.json",
        schemas.folder.display()
    );
    let check = |folder: &Path| {
        let output = Command::new(&kubeconform)
            .args(["-strict", "-summary", "-skip", &skipped, "-schema-location", &location])
            .arg(folder)
            .output()
            .expect("kubeconform starts");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (valid, said) = check(&renders);
    eprintln!("{}", said.lines().last().unwrap_or_default());
    assert!(valid, "{said}");

    // A check that takes everything would prove nothing.
    let wrong = folder.path().join("wrong");
    std::fs::create_dir(&wrong).expect("a folder");
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"port": []}});
    std::fs::write(wrong.join("a.yaml"), service.to_string()).expect("a wrong object");
    let (valid, said) = check(&wrong);
    assert!(!valid && said.contains("port"), "{said}");
}

fn monitoring_definitions() -> Option<String> {
    let file = tools::folder(Tool::PrometheusOperator).ok()?.join("bundle.yaml");
    std::fs::read_to_string(file).ok()
}

/// Every recorded set that renders, every scenario with every cloud, the definitions and the chart of the gateway.
fn all_renders(helm: &Helm, dir: &Path) -> Vec<(String, Vec<Value>)> {
    let mut renders = Vec::new();
    for set in recorded::sets(dir) {
        let output = set.template(helm, &set.data["values"]);
        if output.ok {
            renders.push((set.name.clone(), Objects::parse(&output).0));
        }
    }
    for (name, output) in scenarios::renders(helm) {
        renders.push((name, Objects::parse(&output).0));
    }
    for (name, objects) in gaie::renders(helm, dir) {
        renders.push((name, objects.0));
    }
    let definitions = helm.template(&charts().join("crds"), "dynamo-crds", "default", &json!({}));
    renders.push(("crds".to_owned(), Objects::parse(&definitions).0));
    for (_, objects) in &mut renders {
        // What stands in for a chart that is fetched.
        objects.retain(|object| object["kind"] != "Seen");
    }
    renders
}

/// A folder of schemas, one file for each kind, named as kubeconform is told.
struct Schemas {
    folder: PathBuf,
    count: usize,
}

impl Schemas {
    /// Those of the kinds in an OpenAPI document, each with the definitions that it leads to.
    fn of_openapi(&mut self, document: &Value) {
        let definitions: BTreeMap<&String, Value> = document["definitions"]
            .as_object()
            .expect("definitions")
            .iter()
            .map(|(name, schema)| (name, strict(name, schema)))
            .collect();
        for (name, schema) in &definitions {
            for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let mut needed = Map::new();
                collect(name, &definitions, &mut needed);
                let schema = json!({"$ref": format!("#/definitions/{name}"), "definitions": needed});
                self.write(text(&kind["group"]), text(&kind["version"]), text(&kind["kind"]), &schema);
            }
        }
    }

    /// Those of the kinds that CustomResourceDefinitions define.
    fn of_definitions(&mut self, documents: &str) {
        for document in serde_yaml_ng::Deserializer::from_str(documents) {
            let document = Value::deserialize(document).expect("YAML");
            if document["kind"] != "CustomResourceDefinition" {
                continue;
            }
            let spec = &document["spec"];
            for version in spec["versions"].as_array().expect("versions") {
                let mut schema = strict("", &version["schema"]["openAPIV3Schema"]);
                // Standard for every kind; definitions need not spell it out.
                for (field, kind) in [("apiVersion", "string"), ("kind", "string"), ("metadata", "object")] {
                    schema["properties"][field] = json!({"type": kind});
                }
                let names = (&spec["group"], &version["name"], &spec["names"]["kind"]);
                self.write(text(names.0), text(names.1), text(names.2), &schema);
            }
        }
    }

    fn write(&mut self, group: &str, version: &str, kind: &str, schema: &Value) {
        // kubeconform takes the version for the group where there is none.
        let group = if group.is_empty() { version } else { group };
        let file = self.folder.join(format!("{group}_{version}_{}.json", kind.to_lowercase()));
        std::fs::write(file, schema.to_string()).expect("a schema");
        self.count += 1;
    }
}

fn collect(name: &String, all: &BTreeMap<&String, Value>, found: &mut Map<String, Value>) {
    if found.contains_key(name) {
        return;
    }
    let Some(schema) = all.get(name) else { return };
    found.insert(name.clone(), schema.clone());
    let mut references = Vec::new();
    references_of(schema, &mut references);
    references.iter().for_each(|name| collect(name, all, found));
}

fn references_of(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(|at| at.as_str()?.strip_prefix("#/definitions/")) {
                found.push(name.to_owned());
            }
            map.values().for_each(|value| references_of(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references_of(value, found)),
        _ => {}
    }
}

/// The schema as JSON Schema has it, in which an object has no other fields than those that are named.
fn strict(name: &str, schema: &Value) -> Value {
    if name.ends_with(".api.resource.Quantity") {
        return json!({"type": ["string", "number"]});
    }
    let Value::Object(map) = schema else { return schema.clone() };
    let is_either =
        map.get("format") == Some(&json!("int-or-string")) || map.contains_key("x-kubernetes-int-or-string");
    if is_either {
        return json!({"type": ["string", "integer"]});
    }
    let mut made: Map<String, Value> = map
        .iter()
        .map(|(key, value)| {
            let value = match (key.as_str(), value) {
                // Fields may have the names of keywords.
                ("properties", Value::Object(fields)) => {
                    fields.iter().map(|(field, value)| (field.clone(), strict("", value))).collect()
                }
                (_, Value::Array(list)) => list.iter().map(|value| strict("", value)).collect(),
                _ => strict("", value),
            };
            (key.clone(), value)
        })
        .collect();
    let is_open =
        ["additionalProperties", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"]
            .iter()
            .any(|key| made.contains_key(*key));
    if made.contains_key("properties") && !is_open {
        made.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    Value::Object(made)
}

#[test]
fn kinds_without_a_schema_are_named_for_a_reason_that_still_holds() {
    let dir = or_skip!(recorded(), "DYNAMO_SHARED, which has the definitions of others");
    let mut known = Vec::new();
    for part in ["kai", "gaie", "istio", "grove", "lws", "volcano"] {
        for file in files_with(&dir.join("../../crds").join(part), "yaml") {
            known.push(text(&yaml(&file)["spec"]["names"]["kind"]).to_owned());
        }
    }
    for (kind, _) in UNKNOWN {
        assert!(!known.iter().any(|known| known == kind), "{kind} has a definition by now");
    }
    assert!(workspace().join("deploy/helm/charts/crds").is_dir());
}
