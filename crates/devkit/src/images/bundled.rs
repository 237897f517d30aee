//! Images of servers from elsewhere, packed from the pinned programs, for clusters without a registry: those that the
//! platform chart bundles, and those that watch it.
//! Must hold the real programs: what is tested with them is how they and the charts fit together.

use super::archives;
use super::oci::{self, Archive, Entry, Image, Layer};
use crate::tools::{self, Tool, Tools};
use crate::{Result, files};

/// The servers of the platform chart.
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
        let pack = |program| pack(&tools, "usr/local/bin", program);
        Ok(Self { nats: pack("nats-server")?, etcd: pack("etcd")? })
    }

    /// Both of them.
    pub fn all(&self) -> [&Archive; 2] {
        [&self.nats, &self.etcd]
    }
}

/// What watches a cluster.
#[derive(Debug, Clone)]
pub struct Monitoring {
    /// Makes servers of Prometheus objects, and their configuration of monitors and rules.
    pub operator: Archive,
    /// Tells a server of a new configuration.
    pub reloader: Archive,
    /// The server.
    pub prometheus: Archive,
    /// Metrics of the node.
    pub node_exporter: Archive,
}

impl Monitoring {
    /// Builds the programs where they are missing, and packs them.
    ///
    /// # Errors
    /// Those of [`tools::ensure`] and [`oci::pack`].
    pub fn pack() -> Result<Self> {
        let tools = tools::ensure(&[Tool::Prometheus, Tool::PrometheusOperator, Tool::NodeExporter])?;
        // Where the operator calls them.
        let pack = |program| pack(&tools, "bin", program);
        Ok(Self {
            operator: pack("prometheus-operator")?,
            reloader: pack("prometheus-config-reloader")?,
            prometheus: pack("prometheus")?,
            node_exporter: pack("node_exporter")?,
        })
    }

    /// All of them.
    pub fn all(&self) -> [&Archive; 4] {
        [&self.operator, &self.reloader, &self.prometheus, &self.node_exporter]
    }

    /// The manifests with which the operator is installed, in namespace `default`, with these images.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn manifests(&self) -> Result<String> {
        let text = files::read(&tools::folder(Tool::PrometheusOperator)?.join("bundle.yaml"))?;
        let operator = with_image(&text, "prometheus-operator", self.operator.pinned_name());
        Ok(with_image(&operator, "prometheus-config-reloader", self.reloader.pinned_name()))
    }
}

/// `text` with `image` in the place of the published one of that name, wherever it stands as a value or in a flag.
fn with_image(text: &str, name: &str, image: &str) -> String {
    let published = format!("/{name}:{}", Tool::PrometheusOperator.version());
    let replaced = |line: &str| {
        let Some(at) = line.find(&published) else { return line.to_owned() };
        let start = line[..at].rfind([' ', '=']).map_or(0, |before| before + 1);
        format!("{}{image}{}", &line[..start], &line[at + published.len()..])
    };
    text.lines().map(|line| replaced(line) + "\n").collect()
}

fn pack(tools: &Tools, folder: &str, program: &str) -> Result<Archive> {
    oci::pack(&image(tools, folder, program), "dev", &archives()?.join(format!("{program}.tar")))
}

/// An image that starts the program, which lies in `folder` and is on its PATH.
fn image(tools: &Tools, folder: &str, program: &str) -> Image {
    let mut layer = Layer::new();
    for (end, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
        layer.insert(folder[..end].into(), Entry::Folder { mode: 0o755, owner: 0 });
    }
    layer.insert("tmp".into(), Entry::Folder { mode: 0o1777, owner: 0 });
    let path = format!("{folder}/{program}");
    layer.insert(path.clone(), Entry::File { source: tools.program(program), mode: 0o755 });
    Image {
        repository: format!("localhost/{program}"),
        layers: vec![layer],
        entrypoint: vec![format!("/{path}")],
        user: "1000:1000".into(),
        env: vec![format!("PATH=/{folder}")],
        working_folder: "/".into(),
    }
}
