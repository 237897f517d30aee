//! Operating system, container and user (`tools.md` section 2.4: OS, User info).
//! No program is run.

use std::net::Ipv4Addr;

use super::{
    Mode,
    machine::{Machine, Space, gib},
    node::Node,
    redact,
};

const SELECTED: [&str; 5] = [
    "DYNAMO_HOME",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "DYN_SYSTEM_PORT",
];
const LIMITS: [(&str, &str); 5] = [
    ("nofile", "Max open files"),
    ("nproc", "Max processes"),
    ("memlock", "Max locked memory"),
    ("stack", "Max stack size"),
    ("core", "Max core file size"),
];

/// The label of the whole report.
pub fn title(machine: &Machine) -> String {
    let host = machine.read("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "unknown" } else { host.trim() };
    match address(machine) {
        Some(address) => format!("System info (hostname={host}, IP={address})"),
        None => format!("System info (hostname={host})"),
    }
}

/// The address of the interface with the default route, else the first that is not of this host alone.
fn address(machine: &Machine) -> Option<Ipv4Addr> {
    let mut all = local_addresses(&machine.read("/proc/net/fib_trie")?);
    all.retain(|address| !address.is_loopback());
    all.sort();
    all.dedup();
    let routes = machine.read("/proc/net/route").unwrap_or_default();
    let rows: Vec<Vec<&str>> = routes.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let field = |row: &[&str], at: usize| {
        // The kernel prints the bytes as they stand in memory.
        row.get(at).and_then(|text| u32::from_str_radix(text, 16).ok()).map(u32::from_be)
    };
    let default = rows.iter().find(|row| field(row, 1) == Some(0) && field(row, 7) == Some(0));
    let device = default.and_then(|row| row.first());
    let nets = rows.iter().filter(|row| row.first() == device && field(row, 7).is_some_and(|mask| mask != 0));
    let nets: Vec<(u32, u32)> = nets.filter_map(|row| Some((field(row, 1)?, field(row, 7)?))).collect();
    let routed = all.iter().find(|it| nets.iter().any(|(net, mask)| it.to_bits() & mask == *net));
    routed.or_else(|| all.first()).copied()
}

/// Addresses of this host in the kernel's routing table: each stands in the line before `/32 host LOCAL`.
fn local_addresses(trie: &str) -> Vec<Ipv4Addr> {
    let lines: Vec<&str> = trie.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[1].contains("/32 host LOCAL"));
    pairs.filter_map(|pair| pair[0].trim().trim_start_matches("|--").trim().parse().ok()).collect()
}

/// The node `OS`.
pub fn os(machine: &Machine, mode: &Mode) -> Node {
    let release = machine.read("/etc/os-release").unwrap_or_default();
    let of = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let kernel =
        |name: &str| machine.read(format!("/proc/sys/kernel/{name}")).unwrap_or_default().trim().to_owned();
    let name: Vec<String> = [of("NAME"), of("VERSION")].into_iter().flatten().collect();
    let name = if name.is_empty() { "unknown".to_owned() } else { name.join(" ") };
    let desc = format!("{name} ({} {} {})", kernel("ostype"), kernel("osrelease"), std::env::consts::ARCH);
    let mut node = Node::of("OS", desc);
    if let Some((used, total)) = memory(machine) {
        node = node.meta("Memory", format!("{:.1}/{:.1} GiB", gib(used), gib(total)));
        if used.saturating_mul(10) >= total.saturating_mul(9) {
            node = node.warning();
        }
    }
    let cores = machine.read("/proc/cpuinfo").unwrap_or_default();
    let cores = cores.lines().filter(|line| line.starts_with("processor")).count();
    if cores > 0 {
        node = node.meta("Cores", cores.to_string());
    }
    let context = if machine.is_container() { "container" } else { "host (non-docker)" };
    node.child(Node::of("Execution context", context))
        .child(Node::of("DYNAMO_COMMIT_SHA", machine.var("DYNAMO_COMMIT_SHA").unwrap_or("not set")))
        .child(shared_memory(machine))
        .children(indicators(machine))
        .children(selected(machine))
        .children(if mode.thorough { thorough(machine) } else { Vec::new() })
}

/// Used and total bytes.
fn memory(machine: &Machine) -> Option<(u64, u64)> {
    let text = machine.read("/proc/meminfo")?;
    let of = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    let total = of("MemTotal:")?;
    Some((total.saturating_sub(of("MemAvailable:")?), total))
}

fn shared_memory(machine: &Machine) -> Node {
    const PATH: &str = "/dev/shm";
    let node = Node::new(format!("Shared memory ({PATH})"));
    if !machine.exists(PATH) {
        return node.desc("not present").warning();
    }
    let Some(Space { total, used, available }) = machine.space(PATH) else {
        return node.desc("cannot be read").warning();
    };
    let node = node.desc(format!(
        "{:.2} GiB/{:.2} GiB used (avail {:.2} GiB)",
        gib(used),
        gib(total),
        gib(available)
    ));
    let mut node = node.meta("writable", machine.is_writable(PATH).to_string());
    if let Some((kind, options)) = machine.mount(PATH) {
        node = node.meta("fstype", kind).meta("opts", options);
    }
    if gib(total) < 1.0 { node.warning() } else { node }
}

fn indicators(machine: &Machine) -> Option<Node> {
    let mut node = Node::new("Container indicators");
    for (key, path) in [("dockerenv", "/.dockerenv"), ("containerenv", "/run/.containerenv")] {
        if machine.exists(path) {
            node = node.meta(key, "true");
        }
    }
    for key in ["container", "DOCKER_CONTAINER"] {
        if let Some(value) = machine.var(key) {
            node = node.meta(key, value);
        }
    }
    (!node.meta.is_empty()).then_some(node)
}

fn selected(machine: &Machine) -> Option<Node> {
    let set = SELECTED.into_iter().filter_map(|name| Some((name, machine.var(name)?)));
    let node = set.fold(Node::new("Selected env"), |node, (name, value)| node.meta(name, value));
    (!node.meta.is_empty()).then_some(node)
}

fn thorough(machine: &Machine) -> Vec<Node> {
    let variables: Vec<Node> =
        machine.vars("DYN_").map(|(name, value)| Node::of(name, redact::value(name, value))).collect();
    let mut nodes = Vec::new();
    if !variables.is_empty() {
        let count = format!("{} variables", variables.len());
        nodes.push(Node::of("DYN_* env", count).children(variables));
    }
    let limits = machine.read("/proc/self/limits").unwrap_or_default();
    let node = LIMITS.into_iter().fold(Node::new("Ulimits"), |node, (key, name)| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        let mut words = line.unwrap_or_default().split_whitespace();
        match (words.next(), words.next()) {
            (Some(soft), Some(hard)) => node.meta(key, format!("{soft}:{hard}")),
            _ => node,
        }
    });
    nodes.push(node);
    nodes
}

/// The node `User info`.
pub fn user(machine: &Machine) -> Node {
    let Some((uid, gid)) = machine.ids() else {
        return Node::of("User info", "unknown").status(super::node::Status::Unknown);
    };
    let text = format!("user={}, uid={uid}, gid={gid}", machine.user_name(uid));
    if uid == 0 {
        return Node::of("User info", format!("{text} ⚠️")).warning();
    }
    Node::of("User info", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_those_of_host_entries() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.5\n        \
                    /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(local_addresses(trie), [Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::LOCALHOST]);
    }
}
