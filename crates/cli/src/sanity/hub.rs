//! Models in the cache of Hugging Face (`tools.md` section 2.4).
//! Tokens are only said to be set.

use std::path::{Path, PathBuf};

use super::{Mode, files, machine::Machine, node::Node, when};

const NETWORK: [&str; 4] = ["nfs", "cifs", "ceph", "lustre"];

/// Where models are kept: HF_HUB_CACHE, then HF_HOME, then the home folder.
fn place(machine: &Machine) -> PathBuf {
    if let Some(cache) = machine.var("HF_HUB_CACHE") {
        return cache.into();
    }
    match machine.var("HF_HOME") {
        Some(home) => Path::new(home).join("hub"),
        None => machine.home().join(".cache/huggingface/hub"),
    }
}

/// The node `Hugging Face Cache`.
pub fn cache(machine: &Machine, mode: &Mode) -> Node {
    let place = place(machine);
    let names = machine.list(&place).into_iter().filter(|name| name.starts_with("models--"));
    let models: Vec<String> = names.collect();
    let node = Node::new("Hugging Face Cache");
    let node = if machine.is_dir(&place) {
        let node = node.desc(format!(
            "{} models in {}{}",
            models.len(),
            machine.short(&place),
            kind(machine, &place)
        ));
        if models.is_empty() { node.warning() } else { node }
    } else {
        node.desc(format!("{} does not exist", machine.short(&place))).warning()
    };
    let node = if mode.thorough {
        node.children(models.iter().enumerate().map(|(at, model)| {
            let folder = place.join(model);
            let name = model.trim_start_matches("models--").replace("--", "/");
            let modified = std::fs::metadata(machine.at(&folder)).and_then(|about| about.modified()).ok();
            let node = Node::of(format!("Model {}", at + 1), name);
            let node = match modified.and_then(when) {
                Some(time) => node.meta("downloaded", time),
                None => node,
            };
            node.meta("size", files::size(machine, &folder))
        }))
    } else {
        node
    };
    if machine.var("HF_TOKEN").is_some() { node.child(Node::of("HF_TOKEN", "<set>")) } else { node }
}

fn kind(machine: &Machine, place: &Path) -> &'static str {
    let Some((kind, _)) = machine.mount(place) else { return "" };
    if NETWORK.iter().any(|it| kind.starts_with(it)) {
        return " (NFS)";
    }
    // In a container everything that is not an overlay was mounted from outside.
    if machine.is_container() && kind != "overlay" { " (host mount)" } else { "" }
}
