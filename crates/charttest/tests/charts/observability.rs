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

use crate::helm::{files_with, platform, program, text, workspace};

/// Prometheus' checker of rules.
struct Promtool(PathBuf);

impl Promtool {
    /// `$PROMTOOL`, else the one in the project's cache, else the first on `PATH`.
    fn find() -> Option<Self> {
        program("PROMTOOL", "promtool").map(Self)
    }

    #[track_caller]
    fn passes(&self, args: impl IntoIterator<Item = impl Into<OsString>>) {
        let args = args.into_iter().map(Into::into);
        let output = Command::new(&self.0).args(args).output().expect("promtool starts");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The rule files that the chart installs.
fn rule_files() -> Vec<PathBuf> {
    files_with(&platform().join("files/alerts"), "yaml")
}

fn groups() -> Vec<Value> {
    dynamo_charttest::alerts::groups().expect("rule files")
}

/// Every alert of the project.
fn alerts() -> Vec<Value> {
    let rules = dynamo_charttest::alerts::rules().expect("rule files");
    assert!(rules.iter().all(|rule| !text(&rule["alert"]).is_empty()), "every rule is an alert");
    rules
}

fn observability() -> PathBuf {
    workspace().join("deploy/observability")
}
