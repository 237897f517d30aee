//! The pinned programs, built once from source packages into the cache.
//! Must not leave a half-built tool where a finished one is looked for.

mod recipe;

use std::path::{Path, PathBuf};

use crate::progress::Progress;
use crate::{Error, Result, cache, files};

pub use recipe::Tool;

/// Where the programs of built tools are.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// The folder that holds a link to every built program.
    pub fn bin(&self) -> &Path {
        &self.folder
    }

    /// Path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Makes sure that `tools` are built, building what is missing with visible progress.
///
/// # Errors
/// [`Error::Missing`] without Go (or cargo), [`Error::Failed`] with the end of the build log.
pub fn ensure(tools: &[Tool]) -> Result<Tools> {
    let root = cache::folder()?.join("tools");
    let bin = root.join("bin");
    for tool in tools {
        if !built(&root, *tool) {
            build(&root, *tool)?;
        }
        link(&root, &bin, *tool)?;
    }
    Ok(Tools { folder: bin })
}

/// The folder of a built tool, for what it keeps beside its programs.
///
/// # Errors
/// [`Error::Refused`] without a cache folder.
pub fn folder(tool: Tool) -> Result<PathBuf> {
    Ok(home(&cache::folder()?.join("tools"), tool))
}

/// Whether the pinned version of a tool is in the cache.
///
/// # Errors
/// [`Error::Refused`] without a cache folder.
pub fn is_built(tool: Tool) -> Result<bool> {
    Ok(built(&cache::folder()?.join("tools"), tool))
}

fn home(root: &Path, tool: Tool) -> PathBuf {
    root.join(format!("{}-{}", tool.name(), tool.version()))
}

fn built(root: &Path, tool: Tool) -> bool {
    tool.programs().iter().all(|program| home(root, tool).join("bin").join(program).is_file())
}

fn build(root: &Path, tool: Tool) -> Result<()> {
    let progress = Progress::start(format!("build {} {}", tool.name(), tool.version()));
    let _lock = cache::Lock::take(&format!("tool-{}", tool.name()), &progress)?;
    if built(root, tool) {
        progress.done("another run built it");
        return Ok(());
    }
    let work = root.join(format!(".build-{}", tool.name()));
    files::remove_folder(&work)?;
    files::folder(&work)?;
    let log = root.join("logs").join(format!("{}-{}.log", tool.name(), tool.version()));
    files::write(&log, "")?;
    let out = work.join("out");
    files::folder(&out.join("bin"))?;
    recipe::run(tool, &work, &out, &log, &progress)?;
    for program in tool.programs() {
        let path = out.join("bin").join(program);
        if !path.is_file() {
            let reason = format!("the build made no {program}; its log is {}", log.display());
            return Err(Error::parse(format!("the build of {}", tool.name()), reason));
        }
    }
    let target = home(root, tool);
    files::remove_folder(&target)?;
    std::fs::rename(&out, &target).map_err(Error::io("move the build to", &target))?;
    files::remove_folder(&work)?;
    progress.done(&target.display().to_string());
    Ok(())
}

fn link(root: &Path, bin: &Path, tool: Tool) -> Result<()> {
    files::folder(bin)?;
    for program in tool.programs() {
        let target = home(root, tool).join("bin").join(program);
        let link = bin.join(program);
        if std::fs::read_link(&link).is_ok_and(|present| present == target) {
            continue;
        }
        // A rename replaces an old link in one step, so that a running user never sees none.
        let fresh = bin.join(format!(".{program}.{}", files::unique()));
        std::os::unix::fs::symlink(&target, &fresh).map_err(Error::io("link", &fresh))?;
        std::fs::rename(&fresh, &link).map_err(Error::io("link", &link))?;
    }
    Ok(())
}
