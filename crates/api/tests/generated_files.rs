//! The committed files are what the types say, fit into a cluster, and survive Helm.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Output};

use dynamo_api::{crds, field_reference};

/// Largest size of all annotations of an object, and so of what `kubectl apply` remembers of it.
const ANNOTATION_LIMIT: usize = 262_144;

#[test]
fn the_committed_definitions_and_field_reference_are_what_the_types_say() {
    let root = support::workspace();
    let output = crdgen(&[
        "--check",
        "--out",
        &root.join("deploy/helm/charts/crds/templates").to_string_lossy(),
        "--docs",
        &root.join("docs/reference/api.md").to_string_lossy(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn check_mode_fails_and_names_the_file_that_differs() {
    let folder = std::env::temp_dir().join(format!("dynamo-api-crdgen-{}", std::process::id()));
    let out = folder.to_string_lossy().into_owned();
    assert!(crdgen(&["--out", &out]).status.success());
    assert!(crdgen(&["--out", &out, "--check"]).status.success());

    let changed = folder.join("nvidia.com_dynamoworkermetadatas.yaml");
    std::fs::write(&changed, "changed").expect("a written file");
    std::fs::remove_file(folder.join("nvidia.com_dynamographdeployments.yaml")).expect("a removed file");
    let output = crdgen(&["--out", &out, "--check"]);
    std::fs::remove_dir_all(&folder).expect("a removed folder");

    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("nvidia.com_dynamoworkermetadatas.yaml: differs"), "{message}");
    assert!(message.contains("nvidia.com_dynamographdeployments.yaml: cannot be read"), "{message}");
    assert!(!message.contains("dynamocomponentdeployments"), "{message}");
}

#[test]
fn wrong_arguments_are_refused_with_the_right_ones() {
    for arguments in [&["--oops"][..], &[], &["--out"]] {
        let output = crdgen(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--out"), "{arguments:?}");
    }
}

#[test]
fn every_definition_outlives_the_release_that_installed_it() {
    for crd in crds::all().expect("definitions") {
        let annotations = &crd.value["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/resource-policy"], "keep", "{}", crd.file_name);
    }
}

#[test]
fn every_definition_is_plain_for_helm_and_small_enough_for_a_plain_apply() {
    for crd in crds::all().expect("definitions") {
        let yaml = crd.yaml().expect("YAML");
        assert!(!yaml.contains("{{"), "{} has a Helm action", crd.file_name);
        assert_eq!(
            support::documents(&yaml),
            std::slice::from_ref(&crd.value),
            "{} changes on the way to YAML",
            crd.file_name
        );
        let size = crd.value.to_string().len();
        assert!(
            size < ANNOTATION_LIMIT,
            "{} has {size} bytes, the limit is {ANNOTATION_LIMIT}",
            crd.file_name
        );
        crd.definition().expect("a CustomResourceDefinition");
    }
}

#[test]
fn the_field_reference_names_every_field_of_the_shared_spec_once() {
    let crds = crds::all().expect("definitions");
    let page = field_reference::markdown(&crds);
    let graph = crds.iter().find(|crd| crd.kind == "DynamoGraphDeployment").expect("the graph");
    let service = &graph.schema()["properties"]["spec"]["properties"]["services"]["additionalProperties"];
    for name in service["properties"].as_object().expect("properties").keys() {
        assert_eq!(page.matches(&format!("\n| `{name}` |")).count(), 1, "{name}");
    }
}

fn crdgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crdgen")).args(arguments).output().expect("crdgen runs")
}
