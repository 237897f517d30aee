//! Images of the servers that the platform chart bundles, packed from the pinned programs, for clusters without a registry.
//! Must hold the real programs: what is tested with them is how they and the charts fit together.

use super::archives;
use super::oci::{self, Archive, Entry, Image, Layer};
use crate::Result;
use crate::tools::{self, Tool, Tools};

/// The archives.
#[derive(Debug, Clone)]
pub struct Bundled {
    /// The NATS server.
    pub nats: Archive,
    /// etcd.
    pub etcd: Archive,
}

impl Bundled {
    /// Builds the programs where they are missing, and packs them.
    ///
    /// # Errors
    /// Those of [`tools::ensure`] and [`oci::pack`].
    pub fn pack() -> Result<Self> {
        let tools = tools::ensure(&[Tool::Nats, Tool::Etcd])?;
        let folder = archives()?;
        let pack =
            |program| oci::pack(&image(&tools, program), "dev", &folder.join(format!("{program}.tar")));
        Ok(Self { nats: pack("nats-server")?, etcd: pack("etcd")? })
    }

    /// Both of them.
    pub fn all(&self) -> [&Archive; 2] {
        [&self.nats, &self.etcd]
    }
}

/// An image that starts the program and has it on its PATH.
fn image(tools: &Tools, program: &str) -> Image {
    let mut layer = Layer::new();
    for folder in ["usr", "usr/local", "usr/local/bin"] {
        layer.insert(folder.into(), Entry::Folder { mode: 0o755, owner: 0 });
    }
    layer.insert("tmp".into(), Entry::Folder { mode: 0o1777, owner: 0 });
    let path = format!("usr/local/bin/{program}");
    layer.insert(path.clone(), Entry::File { source: tools.program(program), mode: 0o755 });
    Image {
        repository: format!("localhost/{program}"),
        layers: vec![layer],
        entrypoint: vec![format!("/{path}")],
        user: "1000:1000".into(),
        env: vec!["PATH=/usr/local/bin".into()],
        working_folder: "/".into(),
    }
}
