//! `dynamoctl validate` beside a real API server: what it says by the schema is what the server does with strict field
//! validation, for every mistake of the table and for the manifests that users have.

use dynamo_testkit::shared;
use serde_json::Value;

use crate::support::{Cluster, cluster, documents};

#[allow(dead_code, reason = "places and texts are the business of the other test")]
#[path = "../broken/cases.rs"]
mod cases;

const GRAPH: &str = include_str!("../broken/graph.yaml");
const OTHERS: &str = include_str!("../broken/others.yaml");

/// Whether the command line has something against each document by the schema, in their order.
fn by_schema(cluster: &Cluster, text: &str) -> Vec<(bool, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.yaml");
    std::fs::write(&file, text).unwrap();
    let (_, answers) = cluster.call(&["validate", "--strict", "-o", "json", &file.display().to_string()]);
    let answers = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    answers
        .map(|answer| {
            let findings = answer["findings"].as_array().unwrap().clone();
            let errors: Vec<&Value> = findings.iter().filter(|it| it["level"] == "error").collect();
            (errors.iter().any(|it| it["by"] == "schema"), format!("{errors:?}"))
        })
        .collect()
}

/// What the server has against an object that a user applies with kubectl.
fn by_server(cluster: &Cluster, namespace: &str, object: &Value) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), object.to_string()).unwrap();
    let file = file.path().display().to_string();
    let words = ["apply", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", &file];
    cluster.kubectl().run(&words).err().map(|error| error.to_string())
}

fn parse(text: &str) -> Option<Vec<Value>> {
    let parts = serde_yaml_ng::Deserializer::from_str(text);
    parts.map(|part| serde::Deserialize::deserialize(part).ok()).collect()
}

#[test]
fn what_is_said_by_the_schema_is_what_a_real_api_server_says() {
    let cluster = cluster();
    let client = cluster.runtime.block_on(cluster.client());
    let namespace = cluster.runtime.block_on(cluster.plane.namespace(&client));
    let mut texts = vec![GRAPH.to_owned(), OTHERS.to_owned()];
    for case in cases::REFUSED.iter().chain(cases::WARNED) {
        let base = if GRAPH.contains(case.0) { GRAPH } else { OTHERS };
        texts.push(base.replacen(case.0, &case.1.replacen('@', "", 1), 1));
    }
    let (mut refused, mut accepted) = (0, 0);
    let mut disagreements = Vec::new();
    for text in texts {
        let Some(objects) = parse(&text) else { continue };
        for (object, (ours, errors)) in objects.iter().zip(by_schema(cluster, &text)) {
            let is_known = object["apiVersion"] == "nvidia.com/v1alpha1"
                && object["kind"]
                    .as_str()
                    .is_some_and(|kind| dynamoctl::schema::Definition::of(kind).is_some());
            if !is_known || !object["metadata"]["name"].is_string() {
                continue;
            }
            let theirs = by_server(cluster, &namespace, object);
            refused += usize::from(theirs.is_some());
            accepted += usize::from(theirs.is_none());
            // What admission refuses in its own words, the schema may refuse, too.
            let is_refused_elsewhere = errors.contains("\"admission\"");
            if ours != theirs.is_some() && !(is_refused_elsewhere && theirs.is_some()) {
                disagreements.push(format!("{object}\n  ours: {errors}\n  server: {theirs:?}"));
            }
        }
    }
    println!("{refused} refused and {accepted} accepted by both");
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    assert!(refused >= 25 && accepted >= 25, "{refused} refused, {accepted} accepted");
}

#[test]
fn the_public_manifests_are_taken_by_a_real_api_server_as_validate_says() {
    let Some(folder) = shared::folder("public manifests on an API server") else { return };
    let cluster = cluster();
    let client = cluster.runtime.block_on(cluster.client());
    let namespace = cluster.runtime.block_on(cluster.plane.namespace(&client));
    let mut taken = 0;
    for entry in std::fs::read_dir(folder.join("parity/input")).unwrap() {
        let path = entry.unwrap().path();
        for object in documents(&path).iter().filter(|object| object["kind"] == "DynamoGraphDeployment") {
            assert_eq!(by_server(cluster, &namespace, object), None, "{}", path.display());
            taken += 1;
        }
    }
    assert!(taken >= 62, "{taken}");
}

#[test]
fn a_field_without_a_value_is_refused_by_server_side_apply_as_the_warning_says() {
    let cluster = cluster();
    let client = cluster.runtime.block_on(cluster.client());
    let namespace = cluster.runtime.block_on(cluster.plane.namespace(&client));
    let text = GRAPH.replace("value: debug", "value:");
    let object = &parse(&text).unwrap()[0];
    assert_eq!(by_server(cluster, &namespace, object), None);
    let refusal = cluster.kubectl().apply_in(&namespace, &object.to_string()).unwrap_err().to_string();
    assert!(refusal.contains("spec.envs[0].value"), "{refusal}");
}
