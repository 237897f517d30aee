//! The development cluster's container runtime, through its `ctr` program.
//! Must not talk to a containerd other than the cluster's own.

use std::path::PathBuf;
use std::process::Command;

use super::layout::Layout;
use crate::images::oci::Archive;
use crate::{Result, process};

/// Access to the cluster's containerd.
#[derive(Debug, Clone)]
pub struct Runtime {
    socket: PathBuf,
}

impl Runtime {
    /// The runtime of the cluster in `layout`.
    pub fn new(layout: &Layout) -> Self {
        Self { socket: layout.socket() }
    }

    fn ctr(&self, args: &[&str]) -> Result<String> {
        let program = process::require("ctr", "install containerd")?;
        let mut command = Command::new(program);
        command.arg("--address").arg(&self.socket).args(["--namespace", "k8s.io"]).args(args);
        process::output(&mut command, &format!("ctr {}", args.join(" ")))
    }

    /// The server's version; fails while it does not answer.
    ///
    /// # Errors
    /// [`crate::Error::Failed`], [`crate::Error::Missing`].
    pub fn version(&self) -> Result<String> {
        self.ctr(&["version"])
    }

    /// Whether an image of this full name is there.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub fn has_name(&self, name: &str) -> Result<bool> {
        Ok(self.ctr(&["images", "list", "--quiet"])?.lines().any(|line| line.trim() == name))
    }

    /// Whether every name of the archive already stands for its content.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub fn has(&self, archive: &Archive) -> Result<bool> {
        let text = self.ctr(&["images", "list"])?;
        let present = |name: &String| {
            text.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.first() == Some(&name.as_str()) && words.contains(&archive.digest.as_str())
            })
        };
        Ok(archive.names.iter().all(present))
    }

    /// Loads an archive unless it is there; returns whether it had to.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub fn load(&self, archive: &Archive) -> Result<bool> {
        if self.has(archive)? {
            return Ok(false);
        }
        self.ctr(&["images", "import", &archive.path.display().to_string()])?;
        Ok(true)
    }
}
