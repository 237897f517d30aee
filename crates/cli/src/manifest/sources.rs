//! Which files a folder holds. Each is named once, however many links lead to it, and a link to a folder above ends
//! nowhere.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// `path` itself, or the manifests in it.
///
/// # Errors
/// A folder cannot be read.
pub(super) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    // What is named is read, whatever it is: a pipe, too.
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    collect(path, &mut BTreeSet::new(), &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, seen: &mut BTreeSet<PathBuf>, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if !seen.insert(fs::canonicalize(folder)?) {
        return Ok(());
    }
    let mut entries =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(&entry, seen, found)?;
        } else if is_manifest(&entry) && fs::canonicalize(&entry).map_or(true, |file| seen.insert(file)) {
            found.push(entry);
        }
    }
    Ok(())
}

/// By its name. A link that leads nowhere is one, so that it is told; a pipe or a socket is none.
fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"))
        && fs::metadata(path).map_or(true, |about| about.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_to_folders_above_and_to_known_files_name_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("inner")).unwrap();
        for name in ["b.yaml", "inner/a.yml", "inner/notes.txt"] {
            fs::write(at(name), "").unwrap();
        }
        symlink(".", at("self")).unwrap();
        symlink("..", at("inner/up")).unwrap();
        symlink("b.yaml", at("c.yaml")).unwrap();
        assert_eq!(files(folder.path()).unwrap(), [at("b.yaml"), at("inner/a.yml")]);
        assert_eq!(files(&at("c.yaml")).unwrap(), [at("c.yaml")], "what is named is read");
    }
}
