//! Dashboards, alerts, their runbooks and the local stack (charts.md sections 16 to 18).
//! Must not need a server: Prometheus' own checker reads the expressions, and says when it is not there.

mod alerts;
mod configmaps;
mod names;
mod panels;
mod promql;
mod stack;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::helm::{platform, text, workspace, yaml};

/// Prometheus' checker of rules.
struct Promtool(PathBuf);

impl Promtool {
    /// `$PROMTOOL`, else the one in the project's cache, else the first on `PATH`.
    fn find() -> Option<Self> {
        let cached = dynamo_devkit::cache::folder().ok().map(|dir| dir.join("tools/bin/promtool"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|dir| dir.join("promtool"));
        let named = std::env::var_os("PROMTOOL").map(PathBuf::from);
        named.into_iter().chain(cached).chain(on_path).find(|candidate| candidate.is_file()).map(Self)
    }

    #[track_caller]
    fn passes(&self, args: impl IntoIterator<Item = impl Into<OsString>>) {
        let args = args.into_iter().map(Into::into);
        let output = Command::new(&self.0).args(args).output().expect("promtool starts");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The rule files that the chart installs.
fn rule_files() -> Vec<PathBuf> {
    files(&platform().join("files/alerts"), "yaml")
}

fn groups() -> Vec<Value> {
    let of_file = |path: &PathBuf| yaml(path)["groups"].as_array().cloned().unwrap_or_default();
    rule_files().iter().flat_map(of_file).collect()
}

/// Every alert of the project.
fn alerts() -> Vec<Value> {
    let rules = groups().into_iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
    let rules: Vec<Value> = rules.collect();
    assert!(rules.iter().all(|rule| !text(&rule["alert"]).is_empty()), "every rule is an alert");
    rules
}

fn observability() -> PathBuf {
    workspace().join("deploy/observability")
}
