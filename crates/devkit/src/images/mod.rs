//! The product's container images: built without a container engine, loaded without a registry.
//! Must not push anything anywhere.

pub mod build;
pub mod bundled;
pub mod load;
pub mod oci;

pub use build::{BuildOptions, Built, archives, build, workspace};

use crate::{Error, Result};

/// The archives of the last build.
///
/// # Errors
/// [`Error::Refused`] when nothing was built.
pub fn last_build() -> Result<Built> {
    let folder = archives()?;
    let open = |name: &str| {
        let path = folder.join(name);
        if path.exists() {
            return oci::inspect(&path);
        }
        Err(Error::Refused(format!("{} does not exist: run `make images` first", path.display())))
    };
    Ok(Built { operator: open("dynamo-operator.tar")?, serve: open("dynamo-serve.tar")? })
}
