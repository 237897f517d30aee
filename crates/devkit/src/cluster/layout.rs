//! Names, addresses and paths of the development cluster, and the record of what was changed on the machine.
//! Must be saved before a change is made, so that `down` after a crash knows what to undo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::process::Record;
use crate::tools::Tool;
use crate::{Error, Result, cache, files};

/// Name of the only node.
pub const NODE: &str = "dynamo-dev";
/// Bridge device that carries the node's address.
pub const LINK: &str = "dynamo-dev0";
/// The node's address: API server, kubelet and the other parts listen here.
pub const ADDRESS: &str = "198.19.255.1";
/// Benchmarking range, nobody's private network: kept on this machine as a whole.
pub const RANGE: &str = "198.18.0.0/15";
/// Addresses of pods.
pub const PODS: &str = "198.18.0.0/24";
/// Addresses of Services.
pub const SERVICES: &str = "198.19.0.0/17";
/// Service address of the API server, the first of [`SERVICES`].
pub const API_SERVICE: &str = "198.19.0.1";
/// Service address of the DNS server.
pub const DNS_SERVICE: &str = "198.19.0.10";
/// Port of the API server on [`ADDRESS`].
pub const API_PORT: u16 = 6443;
/// Control group below which all pods live.
pub const CGROUP: &str = "dynamo-dev";

// Raised when a running cluster of an older program cannot be kept.
const LAYOUT: u32 = 2;

/// Where the cluster's files are.
#[derive(Debug, Clone)]
pub struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// The layout in the cache folder.
    ///
    /// # Errors
    /// [`Error::Refused`] without a cache folder.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: cache::folder()?.join("cluster") })
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path inside it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The same as text, for arguments.
    pub fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.at("kubeconfig")
    }

    /// containerd's socket.
    pub fn socket(&self) -> PathBuf {
        self.at("containerd/containerd.sock")
    }

    /// Log of a process.
    pub fn log(&self, process: &str) -> PathBuf {
        self.at("logs").join(format!("{process}.log"))
    }
}

/// What was started and changed; kept in `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Versions of the layout and the tools; another value means that the cluster is built anew.
    pub fingerprint: String,
    /// Boot of the machine in which the cluster was last brought up.
    pub boot: String,
    /// etcd's ports for clients and peers on loopback.
    pub etcd: (u16, u16),
    /// Processes by name.
    pub processes: BTreeMap<String, Record>,
    /// Kernel settings before the cluster changed them, as paths below `/proc/sys`.
    pub settings: BTreeMap<String, String>,
    /// Whether rules were needed because this machine drops what it forwards.
    #[serde(default)]
    pub forwarding_rules: bool,
    /// Folders outside the cluster's that did not exist before, parents first.
    pub made_folders: Vec<PathBuf>,
}

impl State {
    /// The fingerprint of this program.
    pub fn current_fingerprint() -> String {
        let tools = [Tool::Kubernetes, Tool::Etcd, Tool::Coredns, Tool::Pause];
        let versions: Vec<String> =
            tools.iter().map(|tool| format!("{}-{}", tool.name(), tool.version())).collect();
        format!("layout-{LAYOUT} {}", versions.join(" "))
    }

    /// Reads the state; `None` when no cluster was made (or its record is unreadable).
    pub fn load(layout: &Layout) -> Option<Self> {
        let text = std::fs::read_to_string(layout.at("state.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes the state.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, layout: &Layout) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::parse("the cluster's state", e))?;
        files::write(&layout.at("state.json"), text)
    }
}
