//! Folders that a developer or a container must be able to write (`tools.md` section 2.4: File System).
//! It looks at rights alone and writes nothing; walks through trees are bounded.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

use super::{
    Mode, cargo,
    machine::{Machine, Space, gib},
    node::{Node, Status},
    packages,
};

/// How many entries one walk looks at.
const WALKED: usize = 100_000;
/// How many files without rights are named.
const NAMED: usize = 10;
/// Folders that a walk leaves out: they have nodes of their own, or are made anew at will.
const LEFT_OUT: [&str; 4] = [".git", "target", "node_modules", "__pycache__"];

/// The node `File System`.
pub fn file_system(machine: &Machine, workspace: Option<&Path>, mode: &Mode) -> Node {
    let mut children = vec![dynamo(machine, workspace, mode)];
    if let Some(workspace) = workspace {
        let git = workspace.join(".git");
        children.push(if machine.exists(&git) {
            folder(machine, "Dynamo .git directory", &git, mode)
        } else {
            titled(machine, "Dynamo .git directory", &git).desc("Path does not exist").warning()
        });
    }
    if !mode.runtime {
        let rustup = machine.var("RUSTUP_HOME").map_or_else(|| machine.home().join(".rustup"), PathBuf::from);
        children.push(folder(machine, "Rustup home", &rustup, mode));
        children.push(folder(machine, "Cargo home", &cargo::home(machine), mode));
        children.push(match cargo::target(machine, workspace) {
            Some(target) => folder(machine, "Cargo target", &target, mode),
            None => Node::of("Cargo target", "Path does not exist").warning(),
        });
    }
    children.extend(site_packages(machine, mode));
    let node = Node::new("File System").status(Status::Info).children(children);
    if mode.runtime { node.downgraded() } else { node }
}

fn dynamo(machine: &Machine, workspace: Option<&Path>, mode: &Mode) -> Node {
    const LABEL: &str = "Dynamo workspace";
    match workspace {
        Some(workspace) => folder(machine, LABEL, workspace, mode),
        None if mode.runtime => {
            Node::of(LABEL, "workspace not found (runtime check does not require a checkout)").warning()
        }
        None => Node::of(LABEL, "workspace not found").error(),
    }
}

/// One writable environment is enough: what the others refuse is a warning then.
fn site_packages(machine: &Machine, mode: &Mode) -> Vec<Node> {
    let folders = packages::folders(machine);
    if folders.is_empty() {
        return vec![Node::of("site-packages", "No candidate paths exist").error()];
    }
    let nodes: Vec<Node> = folders.iter().map(|path| folder(machine, "site-packages", path, mode)).collect();
    if nodes.iter().any(|node| node.status != Status::Error) {
        return nodes.into_iter().map(Node::downgraded).collect();
    }
    nodes
}

fn titled(machine: &Machine, name: &str, path: &Path) -> Node {
    Node::new(format!("{name} ({})", machine.short(path)))
}

/// The node of one folder.
fn folder(machine: &Machine, name: &str, path: &Path, mode: &Mode) -> Node {
    let mut node = titled(machine, name, path);
    let about = match std::fs::metadata(machine.at(path)) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return node.desc("No candidate paths exist").error();
        }
        Err(error) => return node.desc(format!("Permission check failed: {error}")).error(),
    };
    if !about.is_dir() {
        return node.desc("Path is not a directory").error();
    }
    let uid = machine.ids().map(|(uid, _)| uid);
    if !machine.is_writable(path) && uid != Some(about.uid()) {
        return node.desc("Directory not writable").error();
    }
    let mut desc = "writable".to_owned();
    if uid == Some(0) {
        desc = format!("writable (owned by {})", machine.user_name(about.uid()));
        if about.uid() != 0 {
            node.label.push_str(" ⚠️");
        }
    }
    node = node.ok();
    if mode.thorough {
        let (text, all) = counted(machine, path);
        desc = format!("{desc}, {text}");
        if !all {
            node = node.warning();
        }
        if let Some(Space { total, used, available }) = machine.space(path).filter(|it| it.total > 0) {
            let percent = used.saturating_mul(100) / total;
            desc = format!("{desc}, {:.1} GiB/{:.1} GiB ({percent}% used)", gib(used), gib(total));
            if available.saturating_mul(10) < total {
                node = node.warning();
            }
        }
    }
    node.desc(desc)
}

/// How many files below `path` can be written, and whether all of them can.
fn counted(machine: &Machine, path: &Path) -> (String, bool) {
    let mut files = 0_usize;
    let mut refused: Vec<String> = Vec::new();
    let complete = walk(&machine.at(path), &mut |file| {
        files += 1;
        if access(file, AccessFlags::W_OK).is_err() {
            refused.push(file.strip_prefix(machine.at(path)).unwrap_or(file).display().to_string());
        }
    });
    let bound = if complete { "" } else { " (looked at the first ones only)" };
    if refused.is_empty() {
        return (format!("all {files} files writable{bound}"), true);
    }
    let count = refused.len();
    refused.truncate(NAMED);
    let more = if count > NAMED { ", ..." } else { "" };
    (format!("{count} of {files} files not writable{bound}: {}{more}", refused.join(", ")), false)
}

/// Calls `found` for every file in the order of names, links not followed; whether the walk came to its end.
fn walk(folder: &Path, found: &mut impl FnMut(&Path)) -> bool {
    let mut left = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(folder) = left.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut entries: Vec<_> = entries.filter_map(|it| Some((it.path(), it.file_type().ok()?))).collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut folders = Vec::new();
        for (path, kind) in entries {
            seen += 1;
            if seen > WALKED {
                return false;
            }
            let left_out = path.file_name().is_some_and(|name| LEFT_OUT.iter().any(|it| name == *it));
            if kind.is_dir() && !left_out {
                folders.push(path);
            } else if kind.is_file() {
                found(&path);
            }
        }
        left.extend(folders.into_iter().rev());
    }
    true
}

/// The size of all files below `path`, as text.
pub fn size(machine: &Machine, path: &Path) -> String {
    let mut bytes = 0_u64;
    let complete = walk(&machine.at(path), &mut |file| {
        bytes += std::fs::symlink_metadata(file).map_or(0, |about| about.len());
    });
    format!("{}{:.2} GiB", if complete { "" } else { "more than " }, gib(bytes))
}
