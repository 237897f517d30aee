//! A real single-node Kubernetes on this machine: up, down, status.
//! Must be safe to run again at any time, from any state that a crash left.

pub mod dns;
pub mod host;
pub mod layout;
pub mod node;
pub mod runtime;
mod storage;
pub mod teardown;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::control_plane::free_ports;
use crate::images::oci;
use crate::kubectl::Kubectl;
use crate::progress::{self, Progress};
use crate::tools::{self, Tool, Tools};
use crate::{Error, Result, cache, files, process};
use layout::{ADDRESS, API_SERVICE, DNS_SERVICE, Layout, NODE, State};
use node::Part;
use runtime::Runtime;

const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);

/// A running development cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    layout: Layout,
    tools: Tools,
}

impl Cluster {
    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.tools.program("kubectl"), self.layout.kubeconfig())
    }

    /// The container runtime, for loading images.
    pub fn runtime(&self) -> Runtime {
        Runtime::new(&self.layout)
    }

    /// The pinned programs.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }
}

/// Brings the cluster up, or says that it is up. A cluster that a crash damaged is repaired; when that fails, it is
/// built anew.
///
/// # Errors
/// [`Error::Refused`] without root, and the errors of each step with the end of the log that explains them.
pub fn up() -> Result<Cluster> {
    host::require_root()?;
    let layout = Layout::new()?;
    let tools = tools::ensure(&[Tool::Kubernetes, Tool::Etcd, Tool::Coredns, Tool::Pause])?;
    let cluster = Cluster { layout: layout.clone(), tools };
    let progress = Progress::start("look for a running cluster");
    let _lock = cache::Lock::take("cluster", &progress)?;
    let known = State::load(&layout);
    match &known {
        Some(state) if state.fingerprint == State::current_fingerprint() => {
            let faults = cluster.faults(state);
            if faults.is_empty() {
                progress.done("it is up");
                return Ok(cluster);
            }
            progress.done(&format!("needs repair: {}", faults.join("; ")));
            match cluster.bring_up(state.clone()) {
                Ok(()) => return Ok(cluster),
                Err(error) => eprintln!("the repair failed and the cluster is built anew: {error}"),
            }
        }
        Some(_) => progress.done("it is of another version and is built anew"),
        None => progress.done("there is none"),
    }
    if layout.folder().exists() || host::link_exists() {
        let progress = Progress::start("remove what is left of the old cluster");
        teardown::down(&layout, &progress)?;
        progress.done("");
    }
    host::ensure_programs(&layout.log("apt"))?;
    host::refuse_taken_range()?;
    let [client, peers] = free_ports()?;
    let mut state = State {
        fingerprint: State::current_fingerprint(),
        boot: process::boot_id(),
        etcd: (client, peers),
        ..Default::default()
    };
    host::remember(&mut state);
    state.save(&layout)?;
    node::write_identities(&layout)?;
    cluster.bring_up(state)?;
    Ok(cluster)
}

/// Takes the cluster away: processes, mounts, devices, routes, tables, control groups, files.
///
/// # Errors
/// [`Error::Refused`] without root, [`Error::Deadline`] naming what would not go away.
pub fn down() -> Result<()> {
    let layout = Layout::new()?;
    if !layout.folder().exists() && !host::link_exists() {
        let progress = Progress::start("take the cluster down");
        progress.done("there is none");
        return Ok(());
    }
    host::require_root()?;
    let progress = Progress::start("take the cluster down");
    let _lock = cache::Lock::take("cluster", &progress)?;
    teardown::down(&layout, &progress)?;
    progress.done("nothing is left of it");
    Ok(())
}

/// One line a finding: the processes, and whether the cluster works.
///
/// # Errors
/// [`Error::Refused`] when there is no cluster or it does not work.
pub fn status() -> Result<Vec<String>> {
    let layout = Layout::new()?;
    let Some(state) = State::load(&layout) else {
        return Err(Error::Refused("there is no development cluster; `make cluster` makes one".into()));
    };
    let mut lines: Vec<String> = state
        .processes
        .iter()
        .map(|(name, record)| {
            format!("{name} {} {}", record.pid, if record.alive() { "runs" } else { "has ended" })
        })
        .collect();
    let cluster = Cluster { tools: tools::ensure(&[Tool::Kubernetes])?, layout };
    let faults = cluster.faults(&state);
    if faults.is_empty() {
        lines.push(format!("up: {} (kubeconfig {})", node::url(), cluster.layout.kubeconfig().display()));
        return Ok(lines);
    }
    lines.push(format!("`make cluster` repairs it: {}", faults.join("; ")));
    Err(Error::Refused(lines.join("\n")))
}

/// Path of the administrator's kubeconfig.
///
/// # Errors
/// [`Error::Refused`] when there is no cluster.
pub fn kubeconfig() -> Result<std::path::PathBuf> {
    let path = Layout::new()?.kubeconfig();
    if path.exists() {
        return Ok(path);
    }
    Err(Error::Refused("there is no development cluster; `make cluster` makes one".into()))
}

const PARTS: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
];

impl Cluster {
    /// What keeps the cluster from being called up; empty when it works.
    fn faults(&self, state: &State) -> Vec<String> {
        let dead = |name: &str| !state.processes.get(name).is_some_and(process::Record::alive);
        let mut faults: Vec<String> =
            PARTS.iter().filter(|name| dead(name)).map(|name| format!("{name} does not run")).collect();
        if !host::prepared() {
            faults.push("the network device or IP forwarding is not set".into());
        }
        if !faults.is_empty() {
            return faults;
        }
        if !self.kubectl().ready(5) {
            faults.push("the API server is not ready".into());
            return faults;
        }
        let checks = [self.node_ready(), self.services_answer()];
        faults.extend(checks.into_iter().filter_map(std::result::Result::err));
        faults
    }

    fn bring_up(&self, mut state: State) -> Result<()> {
        let layout = &self.layout;
        let started = Instant::now();
        if state.boot != process::boot_id() {
            // Shims, mounts and addresses of the boot before exist no more, but their records do.
            for folder in ["containerd/state", "containerd/runc", "cni/addresses"] {
                files::remove_folder(&layout.at(folder))?;
            }
            state.boot = process::boot_id();
            state.save(layout)?;
        }
        let progress = Progress::start("prepare the machine's network");
        host::prepare(layout, &mut state)?;
        progress.done(&format!("{} {ADDRESS}", layout::LINK));

        let progress = Progress::start("start the control plane");
        let (etcd, api) =
            (node::etcd(layout, &self.tools, &state), node::api_server(layout, &self.tools, &state));
        self.ensure(&mut state, &etcd)?;
        self.ensure(&mut state, &api)?;
        self.wait(&state, &progress, &["etcd", "kube-apiserver"], "the API server to be ready", || {
            let log = || files::tail(&layout.log("kube-apiserver"), 1);
            self.kubectl().ready(5).then_some(()).ok_or_else(log)
        })?;
        self.ensure(&mut state, &node::controller_manager(layout, &self.tools))?;
        self.ensure(&mut state, &node::scheduler(layout, &self.tools))?;
        progress.done(&node::url());

        let progress = Progress::start("start containerd");
        self.ensure(&mut state, &node::containerd(layout)?)?;
        let runtime = self.runtime();
        self.wait(&state, &progress, &["containerd"], "containerd to answer", || {
            runtime.version().map(|_| ()).map_err(|error| error.to_string())
        })?;
        let names = self.load_base_images(&runtime)?;
        progress.done("");

        let progress = Progress::start("start the node");
        self.ensure(&mut state, &node::kubelet(layout, &self.tools)?)?;
        self.ensure(&mut state, &node::proxy(layout, &self.tools))?;
        self.wait(&state, &progress, &["kubelet", "containerd"], "the node to be Ready", || {
            self.node_ready()
        })?;
        progress.done(NODE);

        let progress = Progress::start("start DNS and Service addresses");
        self.kubectl().apply(&dns::objects(&names))?;
        self.wait(
            &state,
            &progress,
            &["containerd", "kubelet", "kube-proxy"],
            "DNS and the Service network to answer",
            || self.services_answer(),
        )?;
        progress.done(&format!("the cluster is up after {:.0} s", started.elapsed().as_secs_f32()));
        Ok(())
    }

    /// Starts a part unless exactly the recorded process runs.
    fn ensure(&self, state: &mut State, part: &Part) -> Result<()> {
        if state.processes.get(part.name).is_some_and(process::Record::alive) {
            return Ok(());
        }
        let record = process::spawn_detached(&part.program, &part.args, &self.layout.log(part.name), &[])?;
        state.processes.insert(part.name.into(), record);
        state.save(&self.layout)
    }

    /// Waits for `check` while the named parts live; fails with the end of their logs.
    fn wait(
        &self,
        state: &State,
        progress: &Progress,
        parts: &[&str],
        what: &str,
        mut check: impl FnMut() -> std::result::Result<(), String>,
    ) -> Result<()> {
        let mut dead = None;
        let result = progress::wait(progress, what, LIMIT, PAUSE, || {
            dead = parts.iter().find(|name| !state.processes.get(**name).is_some_and(process::Record::alive));
            if dead.is_some() { Ok(()) } else { check() }
        });
        if let Some(name) = dead {
            let log = self.layout.log(name);
            let (what, tail) = (format!("{name} (while waiting for {what})"), files::tail(&log, 25));
            return Err(Error::Failed { what, status: "it ended".into(), log: Some(log), tail });
        }
        result.map_err(|error| match error {
            Error::Deadline { what, seconds, detail } => {
                let logs: Vec<String> = parts
                    .iter()
                    .map(|name| self.layout.log(name))
                    .map(|log| format!("--- {}\n{}", log.display(), files::tail(&log, 6)))
                    .collect();
                Error::Deadline { what, seconds, detail: format!("{detail}\n{}", logs.join("\n")) }
            }
            other => other,
        })
    }

    /// Packs and loads the sandbox and DNS images unless they are there; returns the name of the DNS image.
    fn load_base_images(&self, runtime: &Runtime) -> Result<String> {
        let images =
            [(node::pause_image(&self.tools), Tool::Pause), (dns::image(&self.tools), Tool::Coredns)];
        let folder = self.layout.at("images");
        let mut last = String::new();
        for (image, tool) in images {
            last = format!("{}:{}", image.repository, tool.version());
            if !runtime.has_name(&last)? {
                runtime.load(&oci::pack(
                    &image,
                    tool.version(),
                    &folder.join(format!("{}.tar", tool.name())),
                )?)?;
            }
        }
        Ok(last)
    }

    fn node_ready(&self) -> std::result::Result<(), String> {
        let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}{\" \"}{.status.conditions[?(@.type==\"Ready\")].message}";
        match self.kubectl().run(&["get", "node", NODE, "-o", path]) {
            Ok(text) if text.starts_with("True") => Ok(()),
            Ok(text) => Err(text.split_once(' ').map_or("no status yet", |(_, message)| message).to_owned()),
            Err(_) => Err(format!("node {NODE} has not registered")),
        }
    }

    /// DNS (which also needs pods and Services) and the API server's Service address answer from this machine.
    fn services_answer(&self) -> std::result::Result<(), String> {
        for (address, port) in [(API_SERVICE, 443), (DNS_SERVICE, 53)] {
            let target: SocketAddr = format!("{address}:{port}").parse().map_err(|_| address.to_owned())?;
            TcpStream::connect_timeout(&target, Duration::from_secs(1))
                .map_err(|error| format!("{address}:{port} does not answer ({error}); {}", self.dns_pod()))?;
        }
        Ok(())
    }

    fn dns_pod(&self) -> String {
        let args = ["get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "--no-headers"];
        let text = self.kubectl().run(&args).unwrap_or_default();
        format!("DNS pod: {}", text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
