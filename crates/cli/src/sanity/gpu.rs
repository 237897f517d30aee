//! GPUs as `nvidia-smi` sees them (`tools.md` section 2.4: NVIDIA GPU).
//! A machine without GPUs is no fault unless something says that it should have some.

use std::path::Path;

use super::{Mode, cuda, machine::Machine, node::Node};

const LABEL: &str = "NVIDIA GPU";
const FURTHER: [&str; 3] = ["/usr/bin", "/usr/local/bin", "/usr/local/nvidia/bin"];
const FIGURES: &str =
    "--query-gpu=name,power.draw,power.limit,memory.used,memory.total --format=csv,noheader,nounits";

/// The node `NVIDIA GPU`.
pub fn gpu(machine: &Machine, mode: &Mode) -> Node {
    let node = match machine.find("nvidia-smi", &FURTHER) {
        None => missing(machine, Node::of(LABEL, "nvidia-smi not found")),
        Some(smi) => seen(machine, &smi),
    };
    let node = node.children(cuda::nvcc(machine));
    if mode.thorough { node.child(cuda::thorough(machine)) } else { node }
}

/// An error where a GPU is expected: there are device files, or the container asked for GPUs.
fn missing(machine: &Machine, node: Node) -> Node {
    let devices = machine.list("/dev");
    let has_devices = devices.iter().any(|name| {
        name.strip_prefix("nvidia")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    });
    let asked = machine.var("NVIDIA_VISIBLE_DEVICES");
    let asked = asked.is_some_and(|devices| !matches!(devices, "none" | "void"));
    if has_devices || asked { node.error() } else { node.warning() }
}

fn seen(machine: &Machine, smi: &Path) -> Node {
    let listed = match machine.run(smi, &["-L"]) {
        Ok(said) => said,
        Err(silent) => {
            return Node::of(LABEL, "detection failed").error().child(Node::of("Reason", silent.to_string()));
        }
    };
    if !listed.success {
        let both = format!("{}{}", listed.stderr, listed.stdout);
        if both.contains("NVML") {
            let advice = if machine.is_container() { " - maybe try a docker restart?" } else { "" };
            return Node::of(LABEL, format!("No NVIDIA GPU detected (NVML initialization failed){advice}"))
                .error();
        }
        return Node::of(LABEL, listed.first_line()).error();
    }
    let names: Vec<&str> = listed
        .stdout
        .lines()
        .filter(|line| line.starts_with("GPU "))
        .filter_map(|line| line.split_once(": ").map(|(_, name)| name.split(" (UUID").next().unwrap_or(name)))
        .collect();
    let (driver, cuda) = versions(machine, smi);
    if names.is_empty() {
        let known = |name: &str, value: &Option<String>| {
            value.as_ref().map_or_else(String::new, |value| format!(", {name} {value}"))
        };
        let desc = format!("not detected{}{}", known("driver", &driver), known("CUDA", &cuda));
        return missing(machine, Node::of(LABEL, desc));
    }
    let figures = machine.run(smi, &FIGURES.split(' ').collect::<Vec<_>>());
    let figures = figures.ok().filter(|said| said.success).map(|said| said.stdout).unwrap_or_default();
    let figures: Vec<Figures> = figures.lines().filter_map(Figures::of).collect();
    let node = match names.as_slice() {
        [name] => {
            let node = Node::of(LABEL, *name).ok();
            match figures.first() {
                Some(it) => node.meta("Power", it.power()).meta("Memory", it.memory()),
                None => node,
            }
        }
        many => {
            let node = Node::of(LABEL, format!("{} GPUs", many.len())).ok();
            node.children(many.iter().enumerate().map(|(at, name)| {
                let child = Node::of(format!("GPU {at}"), *name);
                match figures.get(at) {
                    Some(it) => {
                        child.meta("Stats", format!("Power: {}; Memory: {}", it.power(), it.memory()))
                    }
                    None => child,
                }
            }))
        }
    };
    node.children(driver.map(|version| Node::of("Driver version", version))).children(
        cuda.map(|version| Node::of("nvidia-smi CUDA", format!("{version} (driver max supported)"))),
    )
}

/// Driver and CUDA of the driver, from the head of the plain output.
fn versions(machine: &Machine, smi: &Path) -> (Option<String>, Option<String>) {
    let said = machine.run(smi, &[] as &[&str]).map(|said| said.stdout).unwrap_or_default();
    let after = |key: &str| {
        let rest = said.split_once(key)?.1;
        rest.split_whitespace().next().map(str::to_owned)
    };
    (after("Driver Version:"), after("CUDA Version:"))
}

/// Figures of one GPU, as text that may be no number (`[N/A]`).
struct Figures([String; 4]);

impl Figures {
    fn of(line: &str) -> Option<Self> {
        let cells: Vec<String> = line.split(',').map(|cell| cell.trim().to_owned()).collect();
        // A name may have a comma of its own.
        <[String; 4]>::try_from(cells.get(cells.len().checked_sub(4)?..)?.to_vec()).ok().map(Self)
    }

    fn power(&self) -> String {
        format!("{}/{} W", self.0[0], self.0[1])
    }

    fn memory(&self) -> String {
        let [.., used, total] = &self.0;
        let number = |text: &str| text.parse::<f64>().ok();
        let full = number(used).zip(number(total)).is_some_and(|(used, total)| used >= total * 0.9);
        format!("{used}/{total} MiB{}", if full { " ⚠️" } else { "" })
    }
}
