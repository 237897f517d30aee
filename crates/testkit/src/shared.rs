//! The folder with the contract's recorded objects, which a user's machine does not have.
//! Its absence is a skip that says so, and a failure in CI.

use std::path::PathBuf;

/// The folder named by `DYNAMO_SHARED`, else `../shared` beside the workspace. `None`, after a line that names what
/// is skipped, when there is none.
#[must_use]
pub fn folder(skipped: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let folder = std::env::var_os("DYNAMO_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{} is missing, needed by: {skipped}", folder.display());
    eprintln!("SKIPPED {skipped}: {} is missing", folder.display());
    None
}
