//! What the machine says about CUDA: the toolkit, variables, system and Python packages (`tools.md` section 2.4).
//! Only signs are collected; whether they fit together is the reader's judgement.

use super::{machine::Machine, node::Node, packages};

const VARIABLES: [&str; 5] = [
    "CUDA_VERSION",
    "NV_CUDA_CUDART_VERSION",
    "NV_CUDA_LIB_VERSION",
    "NV_LIBNCCL_PACKAGE",
    "NVIDIA_REQUIRE_CUDA",
];
/// Characters of a variable that are shown.
const SHOWN: usize = 200;
const STATUS: &str = "/var/lib/dpkg/status";
const PYTHON: [&str; 4] = ["nvidia-", "cuda", "cupy", "torch"];

/// The toolkit; nothing where there is none.
pub fn nvcc(machine: &Machine) -> Option<Node> {
    const LABEL: &str = "nvcc CUDA";
    let file = machine.find("nvcc", &["/usr/local/cuda/bin"])?;
    let said = machine.run(&file, &["--version"]).ok().filter(|said| said.success);
    let Some(said) = said else { return Some(Node::of(LABEL, "nvcc not found")) };
    let version = said.stdout.split_once("release ").map(|(_, rest)| rest);
    let version = version.and_then(|rest| rest.split([',', ' ', '\n']).next()).filter(|it| !it.is_empty());
    Some(match version {
        Some(version) => Node::of(LABEL, format!("{version} (installed toolkit)")),
        None => Node::of(LABEL, "version not detected").warning(),
    })
}

/// Every sign of CUDA, in a fixed order.
pub fn thorough(machine: &Machine) -> Node {
    let mut signs = Vec::new();
    let further = ["/usr/bin", "/usr/local/bin", "/usr/local/nvidia/bin"];
    signs.extend(
        machine.find("nvidia-smi", &further).map(|it| Node::of("nvidia-smi", it.display().to_string())),
    );
    let nvcc = machine.find("nvcc", &["/usr/local/cuda/bin"]);
    signs.extend(nvcc.map(|file| Node::of("nvcc", file.display().to_string())));
    for name in VARIABLES {
        if let Some(value) = machine.var(name) {
            let cut = value.chars().count() > SHOWN;
            let shown: String = value.chars().take(SHOWN).collect();
            signs.push(Node::of(format!("env {name}"), if cut { format!("{shown}...") } else { shown }));
        }
    }
    let status = machine.read(STATUS).unwrap_or_default();
    let installed = system_packages(&status);
    let like = |words: &[&str]| {
        let found: Vec<String> = installed
            .iter()
            .filter(|(name, _)| words.iter().any(|word| name.starts_with(word)))
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        found
    };
    for (label, words) in
        [("dpkg cuda-*", &["cuda-"][..]), ("dpkg libcublas/libnccl", &["libcublas", "libnccl"])]
    {
        let found = like(words);
        if !found.is_empty() {
            signs.push(Node::of(label, found.join(", ")));
        }
    }
    let mut python: Vec<String> = packages::all(machine)
        .iter()
        .filter(|it| PYTHON.iter().any(|word| it.name.starts_with(word)))
        .map(|it| format!("{} {}", it.name, it.version))
        .collect();
    python.sort();
    python.dedup();
    if !python.is_empty() {
        signs.push(Node::of("pip packages", python.join(", ")));
    }
    let node = Node::new("CUDA/NVIDIA Information");
    if signs.is_empty() { node.desc("no CUDA/NVIDIA information detected") } else { node.children(signs) }
}

/// Names and versions of what dpkg has installed, by name.
fn system_packages(status: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = status
        .split("\n\n")
        .filter_map(|entry| {
            let field = |key: &str| entry.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
            let installed = field("Status:")?.ends_with(" installed");
            installed.then_some((field("Package:")?, field("Version:")?))
        })
        .collect();
    found.sort_unstable();
    found
}
