//! Calls to the API server through the kubectl program.
//! Must always name the kubeconfig it uses, so that no command lands in another cluster by accident.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Error, Result, process};

/// kubectl with a fixed kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: OsString,
}

impl Kubectl {
    /// Uses `program` with `kubeconfig`: a path, or several as in the variable `KUBECONFIG`.
    pub fn new(program: impl Into<PathBuf>, kubeconfig: impl Into<OsString>) -> Self {
        Self { program: program.into(), kubeconfig: kubeconfig.into() }
    }

    /// The kubeconfig in use.
    pub fn kubeconfig(&self) -> &OsStr {
        &self.kubeconfig
    }

    /// A command with the kubeconfig set, for callers that handle its streams themselves.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Runs kubectl and returns what it printed.
    ///
    /// # Errors
    /// [`Error::Failed`] with what it printed.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        process::output(
            self.command().arg("--request-timeout=15s").args(args),
            &format!("kubectl {}", args.join(" ")),
        )
    }

    /// Like [`Kubectl::run`], with the answer parsed.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::Parse`].
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let mut all = args.to_vec();
        all.extend(["-o", "json"]);
        serde_json::from_str(&self.run(&all)?)
            .map_err(|e| Error::parse(format!("kubectl {}", args.join(" ")), e))
    }

    /// Whether the API server answers and calls itself ready.
    pub fn ready(&self, seconds: u32) -> bool {
        let timeout = format!("--request-timeout={seconds}s");
        process::output(self.command().args([&timeout, "get", "--raw=/readyz"]), "readyz").is_ok()
    }

    /// Server-side apply of one or more documents.
    ///
    /// # Errors
    /// [`Error::Failed`] with what kubectl printed.
    pub fn apply(&self, documents: &str) -> Result<String> {
        self.apply_with(documents, &[])
    }

    /// Like [`Kubectl::apply`], for documents that name no namespace.
    ///
    /// # Errors
    /// [`Error::Failed`] with what kubectl printed.
    pub fn apply_in(&self, namespace: &str, documents: &str) -> Result<String> {
        self.apply_with(documents, &["--namespace", namespace])
    }

    fn apply_with(&self, documents: &str, args: &[&str]) -> Result<String> {
        let mut child = self
            .command()
            .args(args)
            .args(["apply", "--server-side", "--force-conflicts", "--field-manager=devkit", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Start { program: "kubectl".into(), source })?;
        if let Some(mut input) = child.stdin.take() {
            // A failing kubectl closes its input early; its own message says more than a broken pipe.
            let _ = input.write_all(documents.as_bytes());
        }
        let result =
            child.wait_with_output().map_err(|source| Error::Start { program: "kubectl".into(), source })?;
        if result.status.success() {
            return Ok(String::from_utf8_lossy(&result.stdout).into_owned());
        }
        let tail = String::from_utf8_lossy(&result.stderr).into_owned();
        Err(Error::Failed {
            what: "kubectl apply".into(),
            status: result.status.to_string(),
            log: None,
            tail,
        })
    }
}
