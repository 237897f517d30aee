//! Brings image archives into a cluster: ours, kind's or minikube's.
//! Must not push to a registry; for any other cluster it says what to do.

use std::process::Command;

use super::oci::Archive;
use crate::cluster::runtime::Runtime;
use crate::progress::Progress;
use crate::{Error, Result, process};

/// Where images go.
#[derive(Debug, Clone)]
pub enum Target {
    /// The development cluster of this machine.
    Development(Runtime),
    /// A kind cluster with this name.
    Kind(String),
    /// The minikube profile with this name.
    Minikube(String),
}

impl Target {
    /// The target behind a kubeconfig's context; `None` for a cluster that takes images from a registry alone.
    pub fn of_context(context: &str) -> Option<Self> {
        if let Some(name) = context.strip_prefix("kind-") {
            return Some(Self::Kind(name.to_owned()));
        }
        (context == "minikube").then(|| Self::Minikube(context.to_owned()))
    }

    /// Loads an archive; one that is there already costs nothing in the development cluster.
    ///
    /// # Errors
    /// [`Error::Missing`] when the cluster's own program is not installed, [`Error::Failed`].
    pub fn load(&self, archive: &Archive) -> Result<()> {
        let progress = Progress::start(format!("load {}", archive.pinned_name()));
        let path = archive.path.display().to_string();
        match self {
            Self::Development(runtime) => {
                progress.done(if runtime.load(archive)? { "loaded" } else { "it is there" });
                return Ok(());
            }
            Self::Kind(name) => foreign("kind", &["load", "image-archive", &path, "--name", name])?,
            Self::Minikube(name) => foreign("minikube", &["image", "load", &path, "--profile", name])?,
        }
        progress.done("");
        Ok(())
    }
}

fn foreign(program: &str, args: &[&str]) -> Result<()> {
    let line = format!("{program} {}", args.join(" "));
    let path = process::find(program).ok_or_else(|| Error::Missing {
        program: program.into(),
        fix: format!("the current context is a {program} cluster; where {program} is installed, run: {line}"),
    })?;
    process::output(Command::new(path).args(args), &line).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_tells_how_images_are_loaded() {
        assert!(matches!(Target::of_context("kind-ci"), Some(Target::Kind(name)) if name == "ci"));
        assert!(matches!(Target::of_context("minikube"), Some(Target::Minikube(_))));
        assert!(Target::of_context("production").is_none());
    }
}
