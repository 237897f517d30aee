//! Python packages by the files that installers leave in `site-packages`. No Python is run: an import of a framework
//! takes seconds and may touch the GPU.

use std::path::{Path, PathBuf};

use super::machine::Machine;

/// Folders that hold `pythonX.Y` folders on a system without an active environment.
const PLACES: [&str; 4] = ["/opt/dynamo/venv/lib", "/usr/local/lib", "/usr/lib", "/usr/lib/python3"];

/// One installed distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// As pip compares names: lower case, `-` for `_` and `.`.
    pub name: String,
    pub version: String,
    pub metadata: PathBuf,
}

/// `site-packages` and `dist-packages` folders in the order in which Python would look: the active environment first.
pub fn folders(machine: &Machine) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        machine.var("VIRTUAL_ENV").map(|it| Path::new(it).join("lib")).into_iter().collect();
    // The environment of the interpreter on PATH.
    if let Some(python) = python(machine) {
        places.extend(python.parent().and_then(Path::parent).map(|prefix| prefix.join("lib")));
    }
    places.push(machine.home().join(".local/lib"));
    places.extend(PLACES.map(PathBuf::from));
    let mut found = Vec::new();
    for place in places {
        let mut versions: Vec<PathBuf> = machine
            .list(&place)
            .into_iter()
            .filter(|name| name.starts_with("python"))
            .map(|name| place.join(name))
            .collect();
        versions.insert(0, place.clone());
        for folder in versions {
            for name in ["site-packages", "dist-packages"] {
                let folder = folder.join(name);
                if machine.is_dir(&folder) && !found.contains(&folder) {
                    found.push(folder);
                }
            }
        }
    }
    found
}

/// The interpreter on PATH.
pub fn python(machine: &Machine) -> Option<PathBuf> {
    machine.find("python3", &[]).or_else(|| machine.find("python", &[]))
}

/// Every distribution, by folder and name.
pub fn all(machine: &Machine) -> Vec<Package> {
    folders(machine).iter().flat_map(|folder| of_folder(machine, folder)).collect()
}

fn of_folder(machine: &Machine, folder: &Path) -> Vec<Package> {
    let names = machine.list(folder).into_iter().filter(|name| name.ends_with(".dist-info"));
    names.filter_map(|name| package(machine, &folder.join(name))).collect()
}

fn package(machine: &Machine, metadata: &Path) -> Option<Package> {
    let text = machine.read(metadata.join("METADATA")).unwrap_or_default();
    let field =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(|it| it.trim().to_owned());
    let stem = metadata.file_stem()?.to_str()?;
    let (name, version) = stem.rsplit_once('-')?;
    Some(Package {
        name: canonical(&field("Name:").unwrap_or_else(|| name.to_owned())),
        version: field("Version:").unwrap_or_else(|| version.to_owned()),
        metadata: metadata.to_owned(),
    })
}

/// The first distribution of that name.
pub fn find(machine: &Machine, name: &str) -> Option<Package> {
    let name = canonical(name);
    all(machine).into_iter().find(|package| package.name == name)
}

fn canonical(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

/// Where the module `name` would be imported from: entries of PYTHONPATH before installed ones.
pub fn module(machine: &Machine, name: &str) -> Option<PathBuf> {
    let relative = name.replace('.', "/");
    search(machine).into_iter().find_map(|folder| {
        let folder_module = folder.join(&relative);
        if machine.is_dir(&folder_module) {
            return Some(folder_module);
        }
        let file = folder.join(format!("{relative}.py"));
        if machine.exists(&file) {
            return Some(file);
        }
        extension(machine, &folder_module)
    })
}

/// A compiled module such as `_core.abi3.so`.
fn extension(machine: &Machine, module: &Path) -> Option<PathBuf> {
    let (folder, stem) = (module.parent()?, module.file_name()?.to_str()?);
    let names = machine.list(folder);
    let name = names.iter().find(|name| name.starts_with(&format!("{stem}.")) && name.ends_with(".so"))?;
    Some(folder.join(name))
}

/// PYTHONPATH, then the installed folders, then what their `.pth` files add.
fn search(machine: &Machine) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        machine.var("PYTHONPATH").map(|it| std::env::split_paths(it).collect()).unwrap_or_default();
    for folder in folders(machine) {
        let links: Vec<PathBuf> = pth_files(machine, &folder)
            .iter()
            .filter_map(|file| machine.read(file))
            .flat_map(|text| {
                let lines = text.lines().map(str::trim).filter(|line| line.starts_with('/'));
                lines.map(PathBuf::from).collect::<Vec<_>>()
            })
            .collect();
        all.push(folder);
        all.extend(links);
    }
    all
}

/// `.pth` files of a folder.
pub fn pth_files(machine: &Machine, folder: &Path) -> Vec<PathBuf> {
    let names = machine
        .list(folder)
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "pth"));
    names.map(|name| folder.join(name)).collect()
}
