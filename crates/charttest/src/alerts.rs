//! The rule files of the platform's chart, as the chart and Prometheus read them.
//! Must not judge an alert: that is the tests' work.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where they are.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/charts/platform/files/alerts")
}

/// Every group of rules, file by file in the order of their names.
///
/// # Errors
/// A file cannot be read, or is no YAML.
pub fn groups() -> io::Result<Vec<Value>> {
    let mut files = std::fs::read_dir(folder())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut groups = Vec::new();
    for path in files {
        let rules: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(&path)?)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        groups.extend(rules["groups"].as_array().cloned().unwrap_or_default());
    }
    Ok(groups)
}

/// Every rule, in that order.
///
/// # Errors
/// As of [`groups`].
pub fn rules() -> io::Result<Vec<Value>> {
    let of_group = |group: Value| group["rules"].as_array().cloned().unwrap_or_default();
    Ok(groups()?.into_iter().flat_map(of_group).collect())
}
