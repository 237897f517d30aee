//! Takes the cluster away again, from any state that a crash left it in.
//! Must touch only what carries our marks: recorded processes, our control group, paths in our folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

use super::host;
use super::layout::{LINK, Layout, NODE, State};
use crate::process::Record;
use crate::progress::Progress;
use crate::{Error, Result, files, process};

// Programs that may belong to the cluster; each must also name our folder in its arguments.
const PROGRAMS: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "containerd",
    "containerd-shim-runc-v2",
    "runc",
];
const TABLES: &[(&str, &str)] = &[("ip", "kube-proxy"), ("ip6", "kube-proxy")];
// Where parts of the cluster leave files at their end: sockets of shims, results of plugins, the kubelet's registration.
const LITTERED_FOLDERS: &[&str] =
    &["/run/containerd/s", "/var/lib/cni/results", "/var/lib/kubelet/device-plugins"];
const LIMIT: Duration = Duration::from_secs(30);

/// Ends everything, undoes every change of the machine and removes the cluster's folder.
///
/// # Errors
/// [`Error::Deadline`] naming what would not go away.
pub fn down(layout: &Layout, progress: &Progress) -> Result<()> {
    let state = State::load(layout).unwrap_or_default();
    stop_processes(layout, &state, progress)?;
    release(layout, progress)?;
    remove_network(&state)?;
    for (setting, value) in &state.settings {
        host::set(setting, value)?;
    }
    remove_foreign_files(layout, &state);
    files::remove_folder(layout.folder())
}

/// Ends the recorded processes, the pods' processes and strays of a crash.
fn stop_processes(layout: &Layout, state: &State, progress: &Progress) -> Result<()> {
    let started = Instant::now();
    // The kubelet first, else it starts pods again; nothing here needs a grace, since all data goes away.
    let recorded = state.processes.get("kubelet").into_iter().chain(state.processes.values());
    for record in recorded {
        record.signal(Signal::SIGKILL);
    }
    loop {
        let mut left: BTreeSet<i32> = strays(layout).into_iter().collect();
        left.extend(cgroup_processes());
        let records: Vec<Record> = left.into_iter().filter_map(Record::of).filter(Record::alive).collect();
        let recorded = state.processes.values().filter(|record| record.alive()).count();
        if records.is_empty() && recorded == 0 {
            return Ok(());
        }
        for record in &records {
            record.signal(Signal::SIGKILL);
        }
        let pids: Vec<String> = records.iter().map(|record| record.pid.to_string()).collect();
        if started.elapsed() > LIMIT {
            let what = "the cluster's processes to end".into();
            let detail = format!("still there: process ids {}", pids.join(" "));
            return Err(Error::Deadline { what, seconds: LIMIT.as_secs(), detail });
        }
        progress.waiting(&format!("{} processes to end", records.len().max(recorded)));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Processes of our programs that name our folder in their arguments: what a crash left unrecorded.
fn strays(layout: &Layout) -> Vec<i32> {
    let mark = format!("{}/", layout.folder().display());
    process::all()
        .filter(|pid| {
            let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
            let command = String::from_utf8_lossy(&command).into_owned();
            let mut words = command.split('\0');
            let program = words.next().and_then(|first| first.rsplit('/').next()).unwrap_or_default();
            PROGRAMS.contains(&program) && words.any(|word| word.contains(&mark))
        })
        .collect()
}

/// Every process in our control group, in every hierarchy: those of the pods.
fn cgroup_processes() -> Vec<i32> {
    let mut found = Vec::new();
    for folder in host::cgroup_folders().iter().flat_map(|root| tree(root)) {
        let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    found
}

/// A folder and all folders in it, parents first.
fn tree(root: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        all.push(folder);
        open.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|e| e.path()),
        );
    }
    all
}

/// Unmounts everything in our folder, deepest first, and removes our control groups.
fn release(layout: &Layout, progress: &Progress) -> Result<()> {
    let started = Instant::now();
    loop {
        let mounts = mounts_below(layout.folder());
        for mount in mounts.iter().rev() {
            // A busy mount is detached at once and goes away with its last user.
            let _ = umount2(mount.as_path(), MntFlags::MNT_DETACH);
        }
        let groups: Vec<PathBuf> = host::cgroup_folders().iter().flat_map(|root| tree(root)).collect();
        for group in groups.iter().rev() {
            let _ = std::fs::remove_dir(group);
        }
        let left: Vec<String> = mounts_below(layout.folder())
            .into_iter()
            .chain(host::cgroup_folders().into_iter().filter(|folder| folder.exists()))
            .map(|path| path.display().to_string())
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() > LIMIT {
            let what = "mounts and control groups to go away".into();
            return Err(Error::Deadline { what, seconds: LIMIT.as_secs(), detail: left.join("\n") });
        }
        progress.waiting(&format!("{} mounts and control groups to go away", left.len()));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Mount points inside a folder, in the order in which they were mounted.
pub fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| PathBuf::from(unescape(point)))
        .filter(|point| point.starts_with(folder) && point != folder)
        .collect()
}

/// The kernel writes space, tab, newline and backslash in mount points as octal numbers.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}

fn remove_network(state: &State) -> Result<()> {
    // The kernel removes them some time after the last process of a pod; waiting for that would be slower.
    for link in host::pod_links()? {
        // It may have gone by itself in between.
        let _ = process::output(Command::new("ip").args(["link", "delete", &link]), "ip link delete");
    }
    if host::link_exists() {
        process::output(
            Command::new("ip").args(["link", "delete", LINK]),
            &format!("ip link delete {LINK}"),
        )?;
    }
    if state.forwarding_rules {
        host::remove_forwarding_rules();
    }
    if !state.processes.contains_key("kube-proxy") || process::find("nft").is_none() {
        return Ok(());
    }
    for (family, table) in TABLES {
        let exists =
            process::output(Command::new("nft").args(["list", "table", family, table]), "nft list").is_ok();
        if exists {
            let what = format!("nft delete table {family} {table}");
            process::output(Command::new("nft").args(["delete", "table", family, table]), &what)?;
        }
    }
    Ok(())
}

/// Files that containerd, CNI and the kubelet write outside our folder.
fn remove_foreign_files(layout: &Layout, state: &State) {
    for entry in entries("/var/log/containers") {
        if std::fs::read_link(&entry).is_ok_and(|target| target.starts_with(layout.folder())) {
            let _ = std::fs::remove_file(entry);
        }
    }
    for entry in entries("/var/lib/cni/results") {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(&format!("{NODE}-")) {
            let _ = std::fs::remove_file(entry);
        }
    }
    // Only within what was not there before: nobody else's files are in it then.
    for folder in LITTERED_FOLDERS {
        if state.made_folders.iter().any(|made| Path::new(folder).starts_with(made)) {
            for entry in entries(folder) {
                let _ = std::fs::remove_file(entry);
            }
        }
    }
    for folder in state.made_folders.iter().rev() {
        // Stays when somebody else put something in.
        for inner in tree(folder).iter().rev() {
            let _ = std::fs::remove_dir(inner);
        }
    }
}

fn entries(folder: &str) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_spaces_are_decoded() {
        assert_eq!(unescape(r"/a\040b\134c"), r"/a b\c");
    }
}
