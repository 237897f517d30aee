//! Where the tests find files: the workspace and the recorded contract beside it.
//! Reads only.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::print_stdout, reason = "a skipped comparison must be seen")]

use std::path::{Path, PathBuf};

use serde::Deserialize;
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
