//! Versions of Kubernetes, kubectl and Helm (`tools.md` section 1.4).
//! The two programs are only asked for their version.

use std::{ffi::OsString, process::Command, time::Duration};

use serde_json::Value;

use super::report::Verdict;
use crate::program;

/// The oldest of Kubernetes and kubectl, then that of Helm.
const KUBERNETES: (u32, u32) = (1, 24);
const HELM: (u32, u32) = (3, 0);

/// What a program of this machine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    Absent,
    /// It is there and gave no version; why.
    Mute(String),
    Version(String),
}

/// kubectl and Helm on PATH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    pub kubectl: Tool,
    pub helm: Tool,
}

/// Asks the programs on `path`, each for at most `limit`.
pub fn tools(path: &OsString, limit: Duration) -> Tools {
    let kubectl = ask("kubectl", &["version", "--client", "-o", "json"], path, limit, |text| {
        let answer: Value = serde_json::from_str(text).ok()?;
        answer.pointer("/clientVersion/gitVersion")?.as_str().map(str::to_owned)
    });
    let helm = ask("helm", &["version", "--template", "{{.Version}}"], path, limit, |text| {
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    });
    Tools { kubectl, helm }
}

fn ask(
    name: &str,
    words: &[&str],
    path: &OsString,
    limit: Duration,
    read: impl Fn(&str) -> Option<String>,
) -> Tool {
    let Some(file) = program::find(name, path) else { return Tool::Absent };
    // Without a cluster to ask, so that nothing of it lands in a cache of the program.
    let mut command = Command::new(file);
    command.args(words).env("KUBECONFIG", "/dev/null");
    match program::run(&mut command, limit) {
        Ok(said) => match read(&said.stdout) {
            Some(version) if said.success => Tool::Version(version),
            _ => Tool::Mute(format!("{name} tells no version: {}", said.first_line())),
        },
        Err(silent) => Tool::Mute(silent.to_string()),
    }
}

/// Judges all three; `server` is the version of the API server.
pub fn judge(server: &str, tools: &Tools) -> Verdict {
    let mut good = Vec::new();
    let mut old = Vec::new();
    let mut unknown = Vec::new();
    let kubernetes = Tool::Version(server.to_owned());
    for (name, tool, oldest) in [
        ("Kubernetes", &kubernetes, KUBERNETES),
        ("kubectl", &tools.kubectl, KUBERNETES),
        ("Helm", &tools.helm, HELM),
    ] {
        match tool {
            Tool::Absent => unknown.push(format!("{name} is not installed or not in PATH")),
            Tool::Mute(reason) => unknown.push(reason.clone()),
            Tool::Version(version) => match number(version) {
                Some(number) if number < oldest => {
                    old.push(format!("{name} {version} is older than {}.{}", oldest.0, oldest.1));
                }
                Some(_) => good.push(format!("{name} {version}")),
                None => unknown.push(format!("{name} has the version {version:?}, which is no version")),
            },
        }
    }
    let verdict = if old.is_empty() {
        Verdict::passed(format!("Versions are supported: {}", good.join(", ")))
    } else {
        let first = old.join("; ");
        Verdict::failed(first, "bring these up to Kubernetes 1.24, kubectl 1.24 and Helm 3.0, or newer")
    };
    unknown.into_iter().fold(verdict, Verdict::warn)
}

/// Major and minor of `v1.34.1+k3s1`.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let digits = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().ok()
    };
    Some((digits(parts.next()?)?, digits(parts.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::{super::report::Outcome, *};

    fn tools(kubectl: &str, helm: &str) -> Tools {
        Tools { kubectl: Tool::Version(kubectl.to_owned()), helm: Tool::Version(helm.to_owned()) }
    }

    #[test]
    fn each_version_below_its_limit_fails_the_check() {
        let outcome = |server: &str, kubectl: &str, helm: &str| judge(server, &tools(kubectl, helm)).outcome;
        assert_eq!(outcome("v1.24.0", "v1.24.0", "v3.0.0"), Outcome::Passed);
        assert_eq!(outcome("v1.34.1+k3s1", "v2.0.0", "v4.1.0"), Outcome::Passed);
        assert_eq!(outcome("v1.23.17", "v1.34.0", "v3.9.0"), Outcome::Failed);
        assert_eq!(outcome("v1.34.0", "v1.9.0", "v3.9.0"), Outcome::Failed);
        assert_eq!(outcome("v1.34.0", "v1.34.0", "v2.17.0"), Outcome::Failed);
    }

    #[test]
    fn programs_that_are_absent_or_mute_are_warnings() {
        let verdict =
            judge("v1.34.0", &Tools { kubectl: Tool::Absent, helm: Tool::Mute("helm hangs".to_owned()) });
        assert_eq!(verdict.outcome, Outcome::Passed);
        assert_eq!(verdict.warnings, ["kubectl is not installed or not in PATH", "helm hangs"]);
    }
}
