//! The Dynamo checkout and its installed packages (`tools.md` section 2.4: Dynamo).
//! Found by files and metadata; the runtime check alone imports, in a child with a time limit.

use std::path::{Path, PathBuf};

use k8s_openapi::jiff::Timestamp;

use super::{Mode, machine::Machine, node::Node, packages};

const SIGNS: [&str; 5] = ["README.md", "components", "lib/bindings/python", "lib/runtime", "Cargo.toml"];
const ESSENTIAL: [&str; 2] = ["dynamo._core", "dynamo.runtime"];
const COMPONENTS: [&str; 4] = ["dynamo.frontend", "dynamo.vllm", "dynamo.sglang", "dynamo.trtllm"];
const FAILED: &str = "FAILED (essential modules not importable)";
pub const FRAMEWORKS: &str = "Framework components";

fn places(machine: &Machine) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = machine.var("DYNAMO_HOME").map(PathBuf::from).into_iter().collect();
    places.extend([machine.cwd().to_owned(), machine.home().join("dynamo"), "/workspace".into()]);
    places
}

/// The checkout: a folder with at least three of its signs.
pub fn workspace(machine: &Machine) -> Option<PathBuf> {
    let has = |place: &PathBuf| SIGNS.iter().filter(|sign| machine.exists(place.join(sign))).count() >= 3;
    places(machine).into_iter().find(has)
}

/// The node `Dynamo`.
pub fn dynamo(machine: &Machine, workspace: Option<&Path>, mode: &Mode) -> Node {
    let node = Node::new("Dynamo");
    match workspace {
        Some(workspace) => node
            .desc(machine.short(workspace))
            .ok()
            .children(head(machine, workspace))
            .child(runtime(machine, mode))
            .child(frameworks(machine, Some(workspace), mode)),
        None if mode.runtime => node
            .desc("workspace not found (runtime container) - checking installed packages")
            .warning()
            .child(runtime(machine, mode))
            .child(frameworks(machine, None, mode)),
        None => {
            let searched: Vec<String> = places(machine).iter().map(|it| machine.short(it)).collect();
            node.desc("workspace not found - cannot detect Runtime and Framework components")
                .error()
                .child(Node::of("Searched in", searched.join(", ")))
                .child(Node::of(
                    "Hint",
                    "set DYNAMO_HOME to the checkout, or use --runtime-check in a runtime container",
                ))
        }
    }
}

/// Commit, branch and date of the checkout.
fn head(machine: &Machine, workspace: &Path) -> Option<Node> {
    let text = machine.read(workspace.join(".git/HEAD"))?;
    let branch = text.trim().strip_prefix("ref: refs/heads/");
    let said = machine.find("git", &["/usr/bin"]).and_then(|git| {
        let folder = machine.at(workspace).display().to_string();
        machine.run(&git, &["-C", &folder, "log", "-1", "--abbrev=8", "--format=%h %ct"]).ok()
    });
    let said = said.filter(|said| said.success).map(|said| said.stdout).unwrap_or_default();
    let mut words = said.split_whitespace();
    let sha = words.next().map(str::to_owned).or_else(|| stored(machine, workspace, text.trim(), branch));
    let mut node = Node::of("git HEAD", sha.unwrap_or_else(|| "unknown".to_owned()));
    node = node.meta("branch", branch.unwrap_or("detached"));
    let date = words.next().and_then(|text| text.parse().ok()).and_then(|it| Timestamp::from_second(it).ok());
    Some(match date {
        Some(date) => node.meta("date", date.to_string()),
        None => node,
    })
}

/// The commit as git's files have it, where git itself does not answer.
fn stored(machine: &Machine, workspace: &Path, head: &str, branch: Option<&str>) -> Option<String> {
    let full = match branch {
        Some(branch) => machine.read(workspace.join(".git/refs/heads").join(branch))?,
        None => head.to_owned(),
    };
    Some(full.trim().chars().take(8).collect())
}

/// The node `Runtime components`.
fn runtime(machine: &Machine, mode: &Mode) -> Node {
    const LABEL: &str = "Runtime components";
    let package = packages::find(machine, "ai-dynamo-runtime");
    let module = packages::module(machine, "dynamo.runtime");
    let node = match (&package, &module) {
        (Some(package), _) => Node::of(LABEL, format!("ai-dynamo-runtime {}", package.version)).ok(),
        (None, Some(_)) => Node::of(LABEL, "ai-dynamo-runtime (via PYTHONPATH)").ok(),
        (None, None) => Node::of(LABEL, "ai-dynamo-runtime - Not installed").error(),
    };
    let mut node = node.children(package.map(|it| Node::of("dist-info", machine.short(&it.metadata))));
    for folder in packages::folders(machine) {
        let links = packages::pth_files(machine, &folder);
        let ours = links.into_iter().filter(|file| file.display().to_string().contains("dynamo"));
        node = node.children(ours.map(|file| Node::of(".pth", machine.short(&file))));
    }
    let copies = cores(machine);
    if copies.len() > 1 {
        let list: Vec<String> = copies.iter().map(|file| machine.short(file)).collect();
        node = node.child(
            Node::of("several _core*.so", format!("{}; the first on the path is used", list.join(", ")))
                .warning(),
        );
    }
    let found: Vec<Node> = ESSENTIAL
        .into_iter()
        .filter_map(|name| Some(Node::of(name, machine.short(&packages::module(machine, name)?)).ok()))
        .collect();
    if !mode.runtime {
        return node.children(found);
    }
    let imports: Vec<Node> = ESSENTIAL.map(|name| import(machine, name)).into();
    let failed = imports.iter().any(Node::has_error);
    node = node.children(imports);
    if failed { node.desc(FAILED).error() } else { node.ok() }
}

/// Compiled cores in every place that Python looks at.
fn cores(machine: &Machine) -> Vec<PathBuf> {
    let paths = machine.var("PYTHONPATH").map(|it| std::env::split_paths(it).collect::<Vec<_>>());
    let folders = paths.unwrap_or_default().into_iter().chain(packages::folders(machine));
    folders
        .flat_map(|folder| {
            let folder = folder.join("dynamo");
            let names = machine.list(&folder).into_iter();
            let cores = names.filter(|name| name.starts_with("_core") && name.ends_with(".so"));
            cores.map(|name| folder.join(name)).collect::<Vec<_>>()
        })
        .collect()
}

/// Whether Python itself can import the module.
fn import(machine: &Machine, name: &str) -> Node {
    let node = Node::of(name, "");
    let Some(python) = packages::python(machine) else { return node.desc("no Python").error() };
    match machine.run(&python, &["-c", &format!("import {name}")]) {
        Ok(said) if said.success => node.desc("importable").ok(),
        Ok(said) => {
            let last = said.stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            node.desc(format!("not importable: {}", last.trim())).error()
        }
        Err(silent) => node.desc(format!("not importable: {silent}")).error(),
    }
}

/// The node `Framework components`.
fn frameworks(machine: &Machine, workspace: Option<&Path>, mode: &Mode) -> Node {
    let package = packages::find(machine, "ai-dynamo");
    let node = match &package {
        Some(package) => Node::of(FRAMEWORKS, format!("ai-dynamo {}", package.version)).ok(),
        None => Node::of(FRAMEWORKS, "ai-dynamo - Not installed"),
    };
    let source = workspace.map(|folder| folder.join("components/src/dynamo"));
    let names: Vec<String> = source
        .iter()
        .flat_map(|folder| {
            let names = machine.list(folder).into_iter();
            names.filter(|name| machine.exists(folder.join(name).join("__init__.py"))).collect::<Vec<_>>()
        })
        .map(|name| format!("dynamo.{name}"))
        .collect();
    if mode.runtime && names.is_empty() {
        let imports: Vec<Node> = COMPONENTS.map(|name| import(machine, name)).into();
        if imports.iter().all(Node::has_error) {
            return node.error().children(imports);
        }
        return node.ok().children(imports.into_iter().map(Node::downgraded));
    }
    let children: Vec<Node> = names
        .iter()
        .map(|name| match packages::module(machine, name) {
            Some(place) => Node::of(name, machine.short(&place)).ok(),
            None => Node::of(name, "cannot be imported: neither installed nor on PYTHONPATH").error(),
        })
        .collect();
    if package.is_none() && children.iter().all(Node::has_error) {
        return node.error().children(children);
    }
    node.children(children)
}

/// How to install what is missing; empty when nothing is.
pub fn advice(dynamo: &Node) -> Vec<String> {
    let missing = dynamo.find(FRAMEWORKS).is_some_and(Node::has_error);
    if !missing {
        return Vec::new();
    }
    [
        "To use Dynamo from a development checkout:",
        "cd lib/bindings/python && maturin develop",
        "uv pip install -e .",
        "export PYTHONPATH=$DYNAMO_HOME/components/src",
    ]
    .map(str::to_owned)
    .into()
}
