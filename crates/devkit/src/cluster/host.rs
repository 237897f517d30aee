//! What the cluster needs of the machine: programs, a bridge device, kernel settings, control groups.
//! Must record what was there before, so that `down` can put it back.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::layout::{ADDRESS, CGROUP, LINK, Layout, PODS, RANGE, State};
use crate::progress::Progress;
use crate::{Error, Result, process};

// Program, and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("mount", "mount"),
];
const CNI_PACKAGE: &str = "containernetworking-plugins";
const CNI_FOLDERS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];
const CNI_PLUGINS: &[&str] = &["ptp", "host-local", "loopback"];

// Changed by us (the first) or by the kubelet at its start (the others).
const SETTINGS: &[&str] = &[
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

const FORWARDING_RULES: &[&[&str]] = &[&["-s", RANGE], &["-d", RANGE]];

// Folders that parts of the cluster make outside its own folder, parents first.
const FOREIGN_FOLDERS: &[&str] = &[
    "/run/containerd",
    "/run/containerd/s",
    "/var/lib/cni",
    "/var/lib/cni/results",
    "/var/log/containers",
    "/var/log/pods",
    "/var/lib/kubelet",
    "/opt/containerd",
    "/opt/cni",
];

/// Fails unless this process may do what a node needs.
///
/// # Errors
/// [`Error::Refused`] naming what to do.
pub fn require_root() -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::Refused(
        "a cluster of our own needs root (mounts, network devices, control groups): run the command with sudo -E, \
         or point KUBECONFIG at a cluster you have"
            .into(),
    ))
}

/// Makes sure that the node's programs are there, installing Debian packages where that is possible.
///
/// # Errors
/// [`Error::Missing`] naming the program and how to install it; [`Error::Failed`] when apt-get fails.
pub fn ensure_programs(log: &Path) -> Result<()> {
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| process::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if cni_folder().is_none() {
        packages.push(CNI_PACKAGE);
    }
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    if is_debian() && process::find("apt-get").is_some() {
        let progress = Progress::start(format!("install Debian packages {}", packages.join(" ")));
        if apt(&["install"], &packages, log, &progress).is_err() {
            // Package lists may be missing or old.
            apt(&["update"], &[], log, &progress)?;
            apt(&["install"], &packages, log, &progress)?;
        }
        progress.done("");
    }
    for (program, package) in PROGRAMS {
        process::require(program, &format!("install it (Debian and Ubuntu: apt-get install {package})"))?;
    }
    cni_folder().map(|_| ()).ok_or_else(|| Error::Missing {
        program: CNI_PLUGINS.join(", "),
        fix: format!(
            "install the CNI plugins into one of {} (Debian and Ubuntu: apt-get install {CNI_PACKAGE})",
            CNI_FOLDERS.join(", ")
        ),
    })
}

fn apt(verb: &[&str], packages: &[&str], log: &Path, progress: &Progress) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(verb).args(["-y", "-q", "--no-install-recommends"]);
    process::run_logged(command.args(packages), &format!("apt-get {}", verb.join(" ")), log, progress)
}

fn is_debian() -> bool {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    text.lines()
        .any(|line| (line.starts_with("ID=") || line.starts_with("ID_LIKE=")) && line.contains("debian"))
}

/// The folder that has the CNI plugins we use.
pub fn cni_folder() -> Option<PathBuf> {
    CNI_FOLDERS
        .iter()
        .map(PathBuf::from)
        .find(|folder| CNI_PLUGINS.iter().all(|plugin| folder.join(plugin).is_file()))
}

/// Notes the present values of everything the cluster will change, once.
pub fn remember(state: &mut State) {
    for setting in SETTINGS {
        if state.settings.contains_key(*setting) {
            continue;
        }
        if let Ok(value) = std::fs::read_to_string(Path::new("/proc/sys").join(setting)) {
            state.settings.insert((*setting).into(), value.trim().into());
        }
    }
    for folder in FOREIGN_FOLDERS.iter().map(PathBuf::from) {
        if !folder.exists() && !state.made_folders.contains(&folder) {
            state.made_folders.push(folder);
        }
    }
}

/// Writes a kernel setting.
///
/// # Errors
/// [`Error::Io`].
pub fn set(setting: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys").join(setting);
    std::fs::write(&path, value).map_err(Error::io("write", &path))
}

/// Makes the bridge device, the node's address, the route of our range, forwarding and the control group. The pods'
/// network is closed: it reaches this machine and no further.
///
/// # Errors
/// [`Error::Failed`] from `ip`, [`Error::Io`].
pub fn prepare(layout: &Layout, state: &mut State) -> Result<()> {
    if !link_exists() {
        ip(&["link", "add", LINK, "type", "bridge"])?;
    }
    ip(&["address", "replace", &format!("{ADDRESS}/32"), "dev", LINK])?;
    ip(&["link", "set", LINK, "up"])?;
    ip(&["route", "replace", RANGE, "dev", LINK])?;
    set("net/ipv4/ip_forward", "1")?;
    for folder in cgroup_folders() {
        std::fs::create_dir_all(&folder).map_err(Error::io("create the control group", &folder))?;
    }
    enable_unified_controllers();
    if state.forwarding_rules || forwarding_is_dropped() {
        state.forwarding_rules = true;
        state.save(layout)?;
        for rule in FORWARDING_RULES {
            if iptables("-C", rule).is_err() {
                iptables("-I", rule)?;
            }
        }
    }
    Ok(())
}

/// Whether the machine drops what it forwards unless a rule says otherwise; Docker sets it up so.
fn forwarding_is_dropped() -> bool {
    process::output(Command::new("iptables").args(["-w", "-S", "FORWARD"]), "iptables -S")
        .is_ok_and(|text| text.contains("-P FORWARD DROP"))
}

fn iptables(verb: &str, rule: &[&str]) -> Result<String> {
    let mut command = Command::new("iptables");
    command.args(["-w", verb, "FORWARD"]).args(rule).args(["-j", "ACCEPT"]);
    process::output(&mut command, &format!("iptables {verb} FORWARD {}", rule.join(" ")))
}

/// Takes away the rules that [`prepare`] may have made.
pub fn remove_forwarding_rules() {
    for rule in FORWARDING_RULES {
        while iptables("-D", rule).is_ok() {}
    }
}

/// Whether the bridge device exists.
pub fn link_exists() -> bool {
    Path::new("/sys/class/net").join(LINK).exists()
}

/// Whether the device, its address and the setting are as [`prepare`] left them.
pub fn prepared() -> bool {
    let addressed =
        process::output(Command::new("ip").args(["-4", "address", "show", "dev", LINK]), "ip address")
            .is_ok_and(|text| text.contains(ADDRESS));
    let forwarding =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1");
    addressed && forwarding
}

fn ip(args: &[&str]) -> Result<String> {
    process::output(Command::new("ip").args(args), &format!("ip {}", args.join(" ")))
}

/// Fails when a route of this machine points into the cluster's range; asked before a cluster is made.
///
/// # Errors
/// [`Error::Refused`] naming the route.
pub fn refuse_taken_range() -> Result<()> {
    let routes = ip(&["-4", "route", "show", "table", "all"])?;
    let taken = routes.lines().find(|line| {
        let ours = |word: &str| word.starts_with("198.18.") || word.starts_with("198.19.");
        line.split_whitespace().take(2).any(ours)
    });
    match taken {
        Some(route) => Err(Error::Refused(format!(
            "another network of this machine uses {RANGE}, which the cluster needs: route {:?}",
            route.trim()
        ))),
        None => Ok(()),
    }
}

/// Devices of pods on this side: those that a route to a pod's address names.
///
/// # Errors
/// [`Error::Failed`] from `ip`.
pub fn pod_links() -> Result<Vec<String>> {
    let prefix = PODS.rsplit_once('.').map_or(PODS, |(prefix, _)| prefix);
    let routes = ip(&["-4", "route", "show"])?;
    let device = |line: &str| {
        let mut words = line.split_whitespace();
        let to_pod = words.next().is_some_and(|target| target.starts_with(&format!("{prefix}.")));
        let name = words.skip_while(|word| *word != "dev").nth(1).filter(|name| name.starts_with("veth"));
        name.filter(|_| to_pod).map(str::to_owned)
    };
    Ok(routes.lines().filter_map(device).collect())
}

/// Our control group in every hierarchy of this machine (one with cgroup v2, several with v1 or both).
pub fn cgroup_folders() -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut folders: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let kind = filesystem.split(' ').next()?;
            matches!(kind, "cgroup" | "cgroup2")
                .then(|| Path::new(mount.split(' ').nth(4).unwrap_or("/sys/fs/cgroup")).join(CGROUP))
        })
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

fn enable_unified_controllers() {
    let root = Path::new("/sys/fs/cgroup");
    let Ok(controllers) = std::fs::read_to_string(root.join("cgroup.controllers")) else { return };
    for folder in [root.to_path_buf(), root.join(CGROUP)] {
        for controller in controllers.split_whitespace() {
            // Some cannot be handed down (no real-time budget, for example); the kubelet names what it misses.
            let _ = std::fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}
