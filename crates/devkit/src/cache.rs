//! The folder outside the checkout that keeps tools and the cluster's state, and locks on it.
//! Must not remove anything: whoever made a thing removes it.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use crate::progress::Progress;
use crate::{Error, Result, files};

/// `DYNAMO_CACHE_DIR`, else `XDG_CACHE_HOME/dynamo-platform`, else `~/.cache/dynamo-platform`.
///
/// # Errors
/// [`Error::Refused`] when none of the three variables is set.
pub fn folder() -> Result<PathBuf> {
    let named =
        |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = named("DYNAMO_CACHE_DIR") {
        return std::path::absolute(&folder).map_err(Error::io("resolve", &folder));
    }
    named("XDG_CACHE_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".cache")))
        .map(|folder| folder.join("dynamo-platform"))
        .ok_or_else(|| {
            Error::Refused(
                "no cache folder: set DYNAMO_CACHE_DIR (or HOME) to a folder that can be written".into(),
            )
        })
}

/// Held while one process works on a shared part of the cache; released when dropped or when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock called `name`, waiting (and saying so on `progress`) while another process has it.
    ///
    /// # Errors
    /// [`Error::Io`] when the lock file cannot be made or locked.
    pub fn take(name: &str, progress: &Progress) -> Result<Self> {
        let path = folder()?.join("locks").join(format!("{name}.lock"));
        files::parent(&path)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {
                    progress.waiting(&format!("another run that holds {}", path.display()));
                    std::thread::sleep(std::time::Duration::from_millis(200));
                }
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
            }
        }
    }
}
