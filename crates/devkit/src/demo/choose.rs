//! Chooses the demo's cluster: the one that the user's kubeconfig names, else one of our own.
//! Must name its choice, since everything after it changes that cluster.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::images::load::Target;
use crate::kubectl::Kubectl;
use crate::progress::Progress;
use crate::tools::{self, Tool};
use crate::{Error, Result, cluster, images, process};

/// The chosen cluster and how to work with it.
#[derive(Debug)]
pub struct Chosen {
    /// kubectl with its kubeconfig.
    pub kubectl: Kubectl,
    /// How images get there; `None`: only through a registry.
    pub target: Option<Target>,
    /// Whether it is the development cluster of this machine.
    pub own: bool,
    /// The context's name, for messages.
    pub context: String,
}

impl Chosen {
    /// How images get into the cluster.
    ///
    /// # Errors
    /// [`Error::Refused`] saying what to do when they cannot be loaded from here.
    pub fn target(&self) -> Result<&Target> {
        let folder = images::archives()?;
        self.target.as_ref().ok_or_else(|| {
            Error::Refused(format!(
                "the cluster of context {} cannot be given images from here. Push {} and {} to a registry that its nodes can \
                 pull from, and run `make demo DEMO_ARGS=\"--registry HOST/PATH\"`; or unset KUBECONFIG to use a cluster of \
                 our own",
                self.context,
                folder.join("dynamo-operator.tar").display(),
                folder.join("dynamo-serve.tar").display(),
            ))
        })
    }
}

/// Takes `KUBECONFIG` or `~/.kube/config` if its API server answers within 5 seconds, else brings up our own cluster.
///
/// # Errors
/// Those of [`cluster::up`] and [`tools::ensure`].
pub fn choose() -> Result<Chosen> {
    let own = cluster::kubeconfig().ok();
    let named = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty());
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    let candidate = named.or_else(|| home.filter(|path| path.is_file()).map(PathBuf::into_os_string));
    let candidate = candidate.filter(|path| own.as_deref() != Some(Path::new(path)));
    if let Some(chosen) = candidate.map(foreign).transpose()?.flatten() {
        return Ok(chosen);
    }
    let up = cluster::up()?;
    Ok(Chosen {
        kubectl: up.kubectl(),
        target: Some(Target::Development(up.runtime())),
        own: true,
        context: cluster::layout::NODE.into(),
    })
}

fn foreign(kubeconfig: OsString) -> Result<Option<Chosen>> {
    let progress = Progress::start(format!("look at the cluster of {}", kubeconfig.display()));
    let program = match process::find("kubectl") {
        Some(program) => program,
        None => tools::ensure(&[Tool::Kubernetes])?.program("kubectl"),
    };
    let kubectl = Kubectl::new(program, kubeconfig);
    if !kubectl.ready(5) {
        progress.done("its API server does not answer within 5 s; a cluster of our own is used");
        return Ok(None);
    }
    let context = kubectl.run(&["config", "current-context"])?.trim().to_owned();
    progress.done(&format!("the demo uses this cluster, context {context}"));
    Ok(Some(Chosen { target: Target::of_context(&context), kubectl, own: false, context }))
}
