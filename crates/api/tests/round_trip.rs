//! Reading an object and writing it back loses nothing a user said.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dynamo_api::{
    crds,
    v1alpha1::{DynamoComponentDeployment, DynamoComponentDeploymentSpec, DynamoGraphDeployment},
};
use serde_json::{Value, json};
use support::full;

#[test]
fn every_recorded_manifest_comes_back_as_it_was_written() {
    for (name, manifest) in support::recorded_graphs() {
        let graph: DynamoGraphDeployment =
            serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = serde_json::to_value(&graph).expect("JSON");
        assert_eq!(meaning(&written), meaning(&manifest), "{name}");
        let again: DynamoGraphDeployment = serde_json::from_value(written).expect("a graph");
        assert_eq!(again, graph, "{name} changes on its second way");
    }
}

#[test]
fn a_service_of_every_recorded_manifest_fits_a_component_deployment() {
    for (name, manifest) in support::recorded_graphs() {
        for (service, spec) in manifest["spec"]["services"].as_object().into_iter().flatten() {
            let mut spec = spec.clone();
            spec["backendFramework"] = json!("vllm");
            let object = json!({
                "apiVersion": "nvidia.com/v1alpha1",
                "kind": "DynamoComponentDeployment",
                "metadata": { "name": "it" },
                "spec": spec,
            });
            let component: DynamoComponentDeployment = serde_json::from_value(object.clone())
                .unwrap_or_else(|error| panic!("{name} {service}: {error}"));
            let written = serde_json::to_value(&component).expect("JSON");
            assert_eq!(meaning(&written), meaning(&object), "{name} {service}");
        }
    }
}

#[test]
fn every_example_of_the_contract_comes_back_as_the_cluster_stores_it() {
    let crds = crds::all().expect("definitions");
    for mut example in support::examples() {
        let crd = crds.iter().find(|crd| example["kind"] == *crd.kind).expect("the definition");
        fill_defaults(crd.schema(), &mut example);
        let written = support::rewritten(&example).unwrap_or_else(|error| panic!("{error}: {example:#}"));
        assert_eq!(meaning(&written), meaning(&example));
    }
}

#[test]
fn an_object_with_every_field_of_our_own_comes_back_whole() {
    let crds = crds::all().expect("definitions");
    let objects = full::objects();
    for crd in &crds {
        let object =
            objects.iter().find(|object| object["kind"] == *crd.kind).expect("an object of the kind");
        assert_eq!(support::rewritten(object).expect("a typed object"), *object);
        for part in ["spec", "status"] {
            let mut missing = Vec::new();
            left_out(&crd.schema()["properties"][part], &object[part], part, &mut missing);
            assert!(missing.is_empty(), "the object of kind {} leaves out {missing:?}", crd.kind);
        }
    }
}

/// The fields that a schema has and an object does not, but for those inside types of Kubernetes.
fn left_out(schema: &Value, object: &Value, path: &str, missing: &mut Vec<String>) {
    if CORE.iter().any(|name| path.ends_with(name)) {
        return;
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if object[name].is_null() {
            missing.push(path);
        } else {
            left_out(property, &object[name], &path, missing);
        }
    }
    if let Some(first) = object.as_array().and_then(|items| items.first()) {
        left_out(&schema["items"], first, &format!("{path}[]"), missing);
    }
    if schema["additionalProperties"].is_object() {
        for (key, value) in object.as_object().into_iter().flatten() {
            left_out(&schema["additionalProperties"], value, &format!("{path}.{key}"), missing);
        }
    }
}

/// Fields whose type is one of Kubernetes.
const CORE: &[&str] = &[
    ".envs",
    ".extraPodSpec",
    ".livenessProbe",
    ".readinessProbe",
    ".behavior",
    ".metrics",
    ".podTemplateSpec",
    ".profilingConfig.resources",
    ".tolerations",
];

/// Fills in what the API server fills in when it stores an object.
fn fill_defaults(schema: &Value, object: &mut Value) {
    match object {
        Value::Object(fields) => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    fields.entry(name).or_insert_with(|| default.clone());
                }
            }
            for (name, value) in fields {
                let property = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                fill_defaults(property, value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_defaults(&schema["items"], item)),
        _ => {}
    }
}

#[test]
fn an_empty_component_is_written_without_any_field() {
    let component = DynamoComponentDeployment::new("empty", DynamoComponentDeploymentSpec::default());
    assert_eq!(
        serde_json::to_value(&component).expect("JSON"),
        json!({
            "apiVersion": "nvidia.com/v1alpha1",
            "kind": "DynamoComponentDeployment",
            "metadata": { "name": "empty" },
            "spec": {},
        })
    );
}

/// A value without what means nothing: nulls, empty values, switches that are off. Numbers become text, for a
/// quantity may be written either way.
fn meaning(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), meaning(value)));
            let fields: serde_json::Map<_, _> = fields.filter(|(_, value)| !value.is_null()).collect();
            if fields.is_empty() { Value::Null } else { Value::Object(fields) }
        }
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => Value::Array(items.iter().map(meaning).collect()),
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Bool(false) => Value::Null,
        Value::Number(number) => Value::String(number.to_string()),
        value => value.clone(),
    }
}
