//! Builds the two static programs and packs each into its image.
//! Must give the same layout as the Dockerfiles in `deploy/docker`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::oci::{self, Archive, Entry, Image, Layer};
use crate::progress::Progress;
use crate::{Error, Result, process};

const SIZE_LIMIT: u64 = 25 * 1024 * 1024;
const SERVE: &str = "usr/local/bin/dynamo-serve";
// One program answers to these names, so that commands written for the reference's images run.
const SERVE_LINKS: &[&str] = &["usr/bin/python3", "usr/local/bin/python3", "bin/sh"];

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Cargo profile.
    pub profile: String,
    /// Tag of both images, besides the one made from the content.
    pub tag: String,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { profile: "release".into(), tag: "dev".into() }
    }
}

/// The archives of one build.
#[derive(Debug, Clone)]
pub struct Built {
    /// Controllers.
    pub operator: Archive,
    /// What runs in the pods of a graph.
    pub serve: Archive,
}

/// Root of the checkout that the current folder lies in.
///
/// # Errors
/// [`Error::Missing`] without cargo, [`Error::Failed`] outside a checkout.
pub fn workspace() -> Result<PathBuf> {
    let text = process::output(
        cargo()?.args(["locate-project", "--workspace", "--message-format", "plain"]),
        "cargo locate-project (run devkit inside the checkout)",
    )?;
    let file = PathBuf::from(text.trim());
    Ok(file.parent().map(Path::to_path_buf).unwrap_or(file))
}

/// Folder of the archives: `images` in cargo's target folder.
///
/// # Errors
/// As [`workspace`].
pub fn archives() -> Result<PathBuf> {
    Ok(target_folder()?.join("images"))
}

/// Builds both programs for this machine's processor, linked statically, and packs them.
///
/// # Errors
/// [`Error::Failed`] with the compiler's last lines, [`Error::Refused`] for a program that is not static or too big.
pub fn build(options: &BuildOptions) -> Result<Built> {
    let root = workspace()?;
    let folder = archives()?;
    let triple = host_triple()?;
    let progress =
        Progress::start(format!("build dynamo-operator and dynamo-serve ({triple}, {})", options.profile));
    let mut command = cargo()?;
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    command
        .current_dir(&root)
        .env("RUSTFLAGS", format!("{flags} -C target-feature=+crt-static").trim())
        .args(["build", "--profile", &options.profile, "--target", &triple])
        .args([
            "-p",
            "dynamo-operator",
            "--bin",
            "dynamo-operator",
            "-p",
            "dynamo-serve",
            "--bin",
            "dynamo-serve",
        ]);
    let log = folder.join("build.log");
    crate::files::write(&log, "")?;
    process::run_logged(&mut command, "cargo build", &log, &progress)?;
    let profile = if options.profile == "dev" { "debug" } else { options.profile.as_str() };
    let programs = target_folder()?.join(&triple).join(profile);
    progress.done("");

    let progress = Progress::start("pack the images");
    let (operator, serve) = (programs.join("dynamo-operator"), programs.join("dynamo-serve"));
    let mut notes = Vec::new();
    for program in [&operator, &serve] {
        notes.push(check_program(program, profile == "release")?);
    }
    let operator = oci::pack(&operator_image(&operator), &options.tag, &folder.join("dynamo-operator.tar"))?;
    let rootfs = root.join("crates/serve/rootfs");
    let serve = oci::pack(&serve_image(&serve, &rootfs)?, &options.tag, &folder.join("dynamo-serve.tar"))?;
    progress.done(&notes.join(", "));
    Ok(Built { operator, serve })
}

fn cargo() -> Result<Command> {
    let program = process::require("cargo", "install Rust; rust-toolchain.toml names the version")?;
    Ok(Command::new(program))
}

fn target_folder() -> Result<PathBuf> {
    let text = process::output(
        cargo()?.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]),
        "cargo metadata",
    )?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| Error::parse("cargo metadata", e))?;
    let folder = value["target_directory"].as_str();
    folder.map(PathBuf::from).ok_or_else(|| Error::parse("cargo metadata", "no target_directory"))
}

fn host_triple() -> Result<String> {
    let rustc = process::require("rustc", "install Rust; rust-toolchain.toml names the version")?;
    let text = process::output(Command::new(rustc).arg("-vV"), "rustc -vV")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::parse("rustc -vV", "no line `host:`"))
}

/// Fails for a program that a `scratch` image cannot run; returns its name and size.
fn check_program(path: &Path, sized: bool) -> Result<String> {
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    let size = file.metadata().map_err(Error::io("read", path))?.len();
    file.by_ref().take(4096).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if !is_static(&bytes) {
        return Err(Error::Refused(format!(
            "{} needs shared libraries, which an image from scratch lacks: build it with -C target-feature=+crt-static",
            path.display()
        )));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if sized && size > SIZE_LIMIT {
        return Err(Error::Refused(format!(
            "{name} has {size} bytes; the limit is {SIZE_LIMIT}: find what grew"
        )));
    }
    #[expect(clippy::cast_precision_loss, reason = "a size for people, one decimal")]
    let megabytes = size as f64 / 1e6;
    Ok(format!("{name} {megabytes:.1} MB"))
}

/// Whether the start of a 64-bit little-endian ELF file asks for no program loader (`PT_INTERP`).
fn is_static(bytes: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, length: usize| -> Option<usize> {
        let digits = bytes.get(at..at + length)?;
        Some(digits.iter().rev().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)))
    };
    let headers = || -> Option<Vec<usize>> {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count).map(|index| number(start + index * size, 4)).collect()
    };
    bytes.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|kinds| !kinds.contains(&(INTERPRETER as usize)))
}

/// The operator's image.
pub fn operator_image(program: &Path) -> Image {
    let binary = Entry::File { source: program.into(), mode: 0o755 };
    Image {
        repository: "localhost/dynamo-operator".into(),
        layers: vec![Layer::from([("manager".to_owned(), binary)])],
        entrypoint: vec!["/manager".into()],
        user: "65532:65532".into(),
        env: vec!["PATH=/".into()],
        working_folder: "/".into(),
    }
}

/// The image of everything that runs in a graph's pods; `rootfs` (if it exists) is copied to its root.
///
/// # Errors
/// [`Error::Io`] for an unreadable file below `rootfs`.
pub fn serve_image(program: &Path, rootfs: &Path) -> Result<Image> {
    let plain = |mode| Entry::Folder { mode, owner: 0 };
    let own = |mode| Entry::Folder { mode, owner: 1000 };
    let mut base = Layer::new();
    for folder in ["bin", "etc", "home", "usr", "usr/bin", "usr/local", "usr/local/bin"] {
        base.insert(folder.into(), plain(0o755));
    }
    base.insert("tmp".into(), plain(0o1777));
    base.insert("workspace".into(), own(0o775));
    base.insert("home/dynamo".into(), own(0o755));
    let users = "root:x:0:0:root:/:/bin/sh\ndynamo:x:1000:1000:dynamo:/home/dynamo:/bin/sh\n";
    base.insert("etc/passwd".into(), Entry::Text(users.into()));
    base.insert("etc/group".into(), Entry::Text("root:x:0:\ndynamo:x:1000:\n".into()));
    for link in SERVE_LINKS {
        base.insert((*link).into(), Entry::Link(format!("/{SERVE}")));
    }
    let mut layers = vec![base];
    if rootfs.is_dir() {
        let mut content = Layer::new();
        collect(rootfs, rootfs, &mut content)?;
        layers.push(content);
    }
    layers.push(Layer::from([(SERVE.to_owned(), Entry::File { source: program.into(), mode: 0o755 })]));
    Ok(Image {
        repository: "localhost/dynamo-serve".into(),
        layers,
        entrypoint: vec![format!("/{SERVE}")],
        user: "1000:1000".into(),
        env: vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            "HOME=/home/dynamo".into(),
        ],
        working_folder: "/workspace".into(),
    })
}

/// Adds everything below `folder`, readable by all whatever the checkout's permissions are.
fn collect(root: &Path, folder: &Path, layer: &mut Layer) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let kind = path.symlink_metadata().map_err(Error::io("read", &path))?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(Error::io("read the link", &path))?;
            layer.insert(name, Entry::Link(target.to_string_lossy().into_owned()));
        } else if kind.is_dir() {
            layer.insert(name, Entry::Folder { mode: 0o755, owner: 0 });
            collect(root, &path, layer)?;
        } else {
            layer.insert(name, Entry::File { source: path, mode: 0o644 });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_loader_is_told_from_a_static_one() {
        let mut header = vec![0_u8; 176];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (header[32], header[54], header[56]) = (64, 56, 2);
        header[64] = 1;
        header[120] = 2;
        assert!(is_static(&header));
        header[120] = 3;
        assert!(!is_static(&header));
        assert!(!is_static(b"#!/bin/sh\n"));
    }

    #[test]
    fn the_serve_image_has_the_names_that_manifests_of_the_reference_call() {
        let folder = tempfile::tempdir().unwrap();
        crate::files::write(&folder.path().join("opt/model/config.json"), "{}").unwrap();
        let image = serve_image(Path::new("/proc/self/exe"), folder.path()).unwrap();
        let [base, content, program] = image.layers.as_slice() else { panic!("three layers") };
        for link in ["bin/sh", "usr/bin/python3", "usr/local/bin/python3"] {
            assert!(
                matches!(&base[link], Entry::Link(target) if target == "/usr/local/bin/dynamo-serve"),
                "{link}"
            );
        }
        assert!(matches!(base["tmp"], Entry::Folder { mode: 0o1777, .. }));
        assert!(matches!(base["workspace"], Entry::Folder { owner: 1000, .. }));
        assert_eq!(content.keys().collect::<Vec<_>>(), ["opt", "opt/model", "opt/model/config.json"]);
        assert_eq!(program.keys().collect::<Vec<_>>(), ["usr/local/bin/dynamo-serve"]);
    }
}
