//! Frameworks and Python (`tools.md` section 2.4: Framework, Python).
//! Versions come from metadata; only the interpreter itself is asked, and PyTorch in a child with a time limit.

use super::{
    machine::Machine,
    node::{Node, Status},
    packages,
};

/// Module, label and program of each framework.
const FRAMEWORKS: [(&str, &str, &str); 3] = [
    ("vllm", "vLLM", "vllm"),
    ("sglang", "Sglang", "sglang"),
    ("tensorrt_llm", "tensorRT LLM", "trtllm-build"),
];
pub const FRAMEWORK: &str = "🤖Framework";

/// The node `Framework`. `gpu` says whether there is one: without it TensorRT-LLM cannot be imported.
pub fn framework(machine: &Machine, gpu: bool) -> Node {
    let found: Vec<Node> = FRAMEWORKS
        .into_iter()
        .filter_map(|(module, label, program)| {
            let package = packages::find(machine, module);
            let place = packages::module(machine, module);
            let version = match (&package, &place) {
                (Some(package), _) => package.version.clone(),
                (None, Some(_)) => "unknown version".to_owned(),
                (None, None) => return None,
            };
            let Some(place) = place else {
                return Some(Node::of(label, format!("{version}, its module cannot be found")).error());
            };
            let needs_gpu = module == "tensorrt_llm" && !gpu;
            let desc = if needs_gpu { format!("{version} (requires GPU)") } else { version };
            let mut node = Node::of(label, desc).meta("module", machine.short(&place));
            if let Some(file) = machine.find(program, &[]) {
                node = node.meta("exec", machine.short(&file));
            }
            Some(if needs_gpu { node.warning() } else { node.ok() })
        })
        .collect();
    if found.is_empty() {
        return Node::of(FRAMEWORK, "no vllm, no sglang, no tensorrt_llm").error();
    }
    Node::new(FRAMEWORK).ok().children(found)
}

/// The node `Python`.
pub fn python(machine: &Machine) -> Node {
    let Some(file) = packages::python(machine) else {
        return Node::of("Python", "not found").error();
    };
    let said = machine.run(&file, &["--version"]);
    let node = match said {
        Ok(said) if said.success => {
            let text = if said.stdout.trim().is_empty() { said.stderr } else { said.stdout };
            let version = text.trim().trim_start_matches("Python ").to_owned();
            Node::of("Python", version).ok().meta("path", machine.short(&file))
        }
        Ok(said) => Node::of("Python", said.first_line()).error().meta("path", machine.short(&file)),
        Err(silent) => Node::of("Python", silent.to_string()).error().meta("path", machine.short(&file)),
    };
    node.children(torch(machine, &file)).child(nixl(machine)).child(path(machine))
}

/// Whether PyTorch sees CUDA is known only to PyTorch, so a child imports it.
fn torch(machine: &Machine, python: &std::path::Path) -> Option<Node> {
    let package = packages::find(machine, "torch")?;
    let script = "import torch; print(torch.cuda.is_available())";
    let node = Node::of("PyTorch", package.version);
    let said = machine.run(python, &["-c", script]);
    Some(match said.as_ref().map(|said| said.stdout.trim()) {
        Ok("True") => node.ok().meta("torch.cuda.is_available", "True"),
        Ok("False") => node.meta("torch.cuda.is_available", "False"),
        Ok(_) | Err(_) => node.warning().meta("torch.cuda.is_available", "not known"),
    })
}

fn nixl(machine: &Machine) -> Node {
    let node = Node::new("NIXL");
    let mut found: Vec<String> = packages::all(machine)
        .into_iter()
        .filter(|package| package.name.starts_with("nixl"))
        .map(|package| format!("{} {}", package.name, package.version))
        .collect();
    found.sort();
    found.dedup();
    let prefix = machine.var("NIXL_PREFIX").unwrap_or("/opt/nvidia/nvda_nixl");
    let library = ["lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"]
        .map(|folder| std::path::Path::new(prefix).join(folder).join("libnixl.so"))
        .into_iter()
        .find(|file| machine.exists(file));
    match (found.is_empty(), library) {
        (true, None) => node.desc("not installed").status(Status::Unknown),
        (false, Some(library)) => {
            node.desc(found.join(", ")).ok().meta("library", library.display().to_string())
        }
        (false, None) => {
            node.desc(found.join(", ")).warning().meta("library", format!("no libnixl.so below {prefix}"))
        }
        (true, Some(library)) => {
            node.desc("no Python package").warning().meta("library", library.display().to_string())
        }
    }
}

fn path(machine: &Machine) -> Node {
    let node = Node::new("PYTHONPATH");
    let Some(value) = machine.var("PYTHONPATH") else { return node.desc("not set") };
    let gone: Vec<String> = std::env::split_paths(value)
        .filter(|entry| !entry.as_os_str().is_empty() && !machine.exists(entry))
        .map(|entry| entry.display().to_string())
        .collect();
    let node = node.desc(value);
    if gone.is_empty() {
        return node;
    }
    node.warning().children(gone.into_iter().map(|entry| Node::of("does not exist", entry).warning()))
}
