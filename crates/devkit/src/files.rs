//! Small file helpers whose errors name the path.
//! Must not follow symbolic links when removing.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, Result};

/// Creates a folder and its parents.
///
/// # Errors
/// [`Error::Io`].
pub fn folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(Error::io("create the folder", path))
}

/// Creates the folder that `path` lies in.
///
/// # Errors
/// [`Error::Io`].
pub fn parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), folder)
}

/// Writes `text`, readable by everyone; a reader sees the old or the new content, never a part.
///
/// # Errors
/// [`Error::Io`].
pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    replace(path, text.as_ref(), 0o644)
}

/// Writes `text`, readable by the owner alone; a reader sees the old or the new content, never a part.
///
/// # Errors
/// [`Error::Io`].
pub fn write_secret(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    replace(path, text.as_ref(), 0o600)
}

/// A text that no other thread or process uses now, for names of temporary files.
pub fn unique() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn replace(path: &Path, text: &[u8], mode: u32) -> Result<()> {
    parent(path)?;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", unique()));
    let part = path.with_file_name(name);
    let mut file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&part)
        .map_err(Error::io("write", &part))?;
    file.write_all(text).map_err(Error::io("write", &part))?;
    std::fs::rename(&part, path).map_err(Error::io("replace", path))
}

/// Reads a text file.
///
/// # Errors
/// [`Error::Io`].
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io("read", path))
}

/// Removes a folder and all in it; a folder that is not there is fine.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", path)(source))
        }
        _ => Ok(()),
    }
}

/// The last `lines` lines of a log, each cut to 400 characters; empty when it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    const WINDOW: u64 = 16 * 1024;
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let cut = |line: &&str| line.chars().take(400).collect::<String>();
    all[all.len().saturating_sub(lines)..].iter().map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_gives_the_last_lines_and_nothing_for_a_missing_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/log");
        assert_eq!(tail(&path, 3), "");
        write(&path, "one\ntwo\nthree\nfour\n").unwrap();
        assert_eq!(tail(&path, 2), "three\nfour");
        assert_eq!(tail(&path, 9), "one\ntwo\nthree\nfour");
    }

    #[test]
    fn write_leaves_no_partial_file_beside_the_target() {
        let folder = tempfile::tempdir().unwrap();
        write_secret(&folder.path().join("x"), "1").unwrap();
        write_secret(&folder.path().join("x"), "2").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(read(&folder.path().join("x")).unwrap(), "2");
    }
}
