//! Where the tests find files, the workspace and the recorded contract beside it, and objects of every kind.
//! Reads only.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::print_stdout, reason = "a skipped comparison must be seen")]

pub mod full;

use std::path::{Path, PathBuf};

use dynamo_api::v1alpha1::{
    DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest,
    DynamoGraphDeploymentScalingAdapter, DynamoModel, DynamoWorkerMetadata,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder of the recorded contract, or none when this checkout stands alone. In CI it must be there.
pub fn contract(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("DYNAMO_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let folder = root.join(part);
    if folder.is_dir() {
        return Some(folder);
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        !in_ci,
        "{} is missing: set DYNAMO_SHARED to the folder with the recorded contract",
        folder.display()
    );
    println!("skipped: {} is missing, so nothing is compared with it (set DYNAMO_SHARED)", folder.display());
    None
}

/// Every document of a YAML text.
pub fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).expect("a YAML document"))
        .filter(|document| !document.is_null())
        .collect()
}

/// Every graph among the recorded manifests, with the name of its file.
pub fn recorded_graphs() -> Vec<(String, Value)> {
    let Some(folder) = contract("parity/input") else { return Vec::new() };
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let mut graphs = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for document in documents(&std::fs::read_to_string(&path).expect("a text file")) {
            if document["kind"] == "DynamoGraphDeployment" {
                graphs.push((name.clone(), document));
            }
        }
    }
    assert!(graphs.len() >= 62, "only {} graphs recorded", graphs.len());
    graphs
}

/// Every object of our API among the examples of the contract's chapter on it.
pub fn examples() -> Vec<Value> {
    let Some(folder) = contract("spec") else { return Vec::new() };
    let chapter = std::fs::read_to_string(folder.join("api.md")).expect("the chapter");
    let blocks = chapter.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let objects: Vec<_> = blocks.flat_map(documents).filter(is_ours).collect();
    assert!(objects.len() >= 14, "only {} examples", objects.len());
    objects
}

fn is_ours(object: &Value) -> bool {
    object["apiVersion"] == "nvidia.com/v1alpha1"
}

/// Reads an object as its type, from text as a client does, and writes it back.
///
/// # Errors
/// When its type does not read it.
pub fn rewritten(object: &Value) -> Result<Value, serde_json::Error> {
    match object["kind"].as_str().unwrap_or_default() {
        "DynamoCheckpoint" => through::<DynamoCheckpoint>(object),
        "DynamoComponentDeployment" => through::<DynamoComponentDeployment>(object),
        "DynamoGraphDeployment" => through::<DynamoGraphDeployment>(object),
        "DynamoGraphDeploymentRequest" => through::<DynamoGraphDeploymentRequest>(object),
        "DynamoGraphDeploymentScalingAdapter" => through::<DynamoGraphDeploymentScalingAdapter>(object),
        "DynamoModel" => through::<DynamoModel>(object),
        "DynamoWorkerMetadata" => through::<DynamoWorkerMetadata>(object),
        other => panic!("no type for {other}"),
    }
}

fn through<K: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, serde_json::Error> {
    // The decoder of a value forgives other things than that of text.
    serde_json::to_value(serde_json::from_str::<K>(&object.to_string())?)
}
