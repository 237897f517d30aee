//! Packs files into an OCI image archive that containerd, Docker, kind and minikube can load.
//! Must give the same bytes for the same input: fixed times, owners and order, no compression.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::{Error, Result, files};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
// Images say this time; a real one would change the digest of unchanged content.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// One thing in a layer.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A folder with permission bits and owner (user and group id alike).
    Folder {
        /// Permission bits.
        mode: u32,
        /// User and group id.
        owner: u64,
    },
    /// A file copied from this machine, owned by root.
    File {
        /// Where it is.
        source: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A small file with this text, owned by root.
    Text(String),
    /// A symbolic link.
    Link(String),
}

/// Paths without a leading slash; parents must be listed too and sort before their content.
pub type Layer = BTreeMap<String, Entry>;

/// What goes into an image.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Name without tag.
    pub repository: String,
    /// Layers from the bottom.
    pub layers: Vec<Layer>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// `user[:group]` as numbers.
    pub user: String,
    /// Environment, `NAME=value`.
    pub env: Vec<String>,
    /// Folder in which the program starts.
    pub working_folder: String,
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The file.
    pub path: PathBuf,
    /// Full names with tags.
    pub names: Vec<String>,
    /// `sha256:...` of the manifest.
    pub digest: String,
    /// `sha256:...` of the configuration, by which container runtimes also name an image.
    pub config: String,
}

impl Archive {
    /// The name whose tag is the content's digest, so that a new content is a new name.
    pub fn pinned_name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// Packs `image` as `repository:tag` and `repository:<first 12 digits of the digest>` into `archive`.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read or written.
pub fn pack(image: &Image, tag: &str, archive: &Path) -> Result<Archive> {
    files::parent(archive)?;
    let work = archive.with_extension(format!("{}.part", files::unique()));
    files::folder(&work)?;
    let result = pack_in(image, tag, archive, &work);
    files::remove_folder(&work)?;
    result
}

fn pack_in(image: &Image, tag: &str, archive: &Path, work: &Path) -> Result<Archive> {
    let mut blobs: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut layers = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        let path = work.join(format!("layer-{number}"));
        let descriptor = write_layer(layer, &path)?;
        blobs.insert(descriptor.digest.clone(), path);
        layers.push(descriptor);
    }
    let config = config(image, &layers);
    let config = store(work, &mut blobs, CONFIG_TYPE, &config)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config.clone(), "layers": layers,
    });
    let manifest = store(work, &mut blobs, MANIFEST_TYPE, &manifest)?;
    let short: String = hex_part(&manifest.digest).chars().take(12).collect();
    let tags = [tag.to_owned(), short];
    let names: Vec<String> = tags.iter().map(|tag| format!("{}:{tag}", image.repository)).collect();
    let index: Vec<Descriptor> =
        names.iter().zip(&tags).map(|(name, tag)| named(&manifest, name, tag)).collect();
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": index});
    let layer_paths: Vec<String> = layers.iter().map(|layer| blob_path(&layer.digest)).collect();
    // Docker before version 25 reads this file and not the index.
    let docker = json!([{"Config": blob_path(&config.digest), "RepoTags": names, "Layers": layer_paths}]);

    let part = work.join("archive");
    let mut out = Builder::new(File::create(&part).map_err(Error::io("create", &part))?);
    append_text(&mut out, "oci-layout", &json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    append_text(&mut out, "index.json", &index.to_string())?;
    append_text(&mut out, "manifest.json", &docker.to_string())?;
    for folder in ["blobs/", "blobs/sha256/"] {
        append(&mut out, header(EntryType::Directory, 0o755, 0, 0), folder, std::io::empty())?;
    }
    for (digest, source) in &blobs {
        append_file(&mut out, &blob_path(digest), source, 0o644)?;
    }
    out.into_inner().and_then(|mut file| file.flush()).map_err(Error::io("write", &part))?;
    std::fs::rename(&part, archive).map_err(Error::io("replace", archive))?;
    Ok(Archive { path: archive.into(), names, digest: manifest.digest, config: config.digest })
}

fn named(manifest: &Descriptor, name: &str, tag: &str) -> Descriptor {
    let annotations = [("io.containerd.image.name", name), ("org.opencontainers.image.ref.name", tag)];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Descriptor { annotations, ..manifest.clone() }
}

fn config(image: &Image, layers: &[Descriptor]) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    // Layers are not compressed, so a layer's digest is also the digest of its content.
    let contents: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let history: Vec<Value> =
        layers.iter().map(|_| json!({"created": CREATED, "created_by": "devkit"})).collect();
    json!({
        "created": CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": image.user,
            "Env": image.env,
            "Entrypoint": image.entrypoint,
            "WorkingDir": image.working_folder,
        },
        "rootfs": {"type": "layers", "diff_ids": contents},
        "history": history,
    })
}

fn store(
    work: &Path,
    blobs: &mut BTreeMap<String, PathBuf>,
    media_type: &str,
    value: &Value,
) -> Result<Descriptor> {
    let text = value.to_string();
    let digest = format!("sha256:{}", hex(&Sha256::digest(text.as_bytes())));
    let path = work.join(hex_part(&digest));
    files::write(&path, &text)?;
    blobs.insert(digest.clone(), path);
    let size = text.len() as u64;
    Ok(Descriptor { media_type: media_type.into(), digest, size, annotations: BTreeMap::new() })
}

fn write_layer(layer: &Layer, path: &Path) -> Result<Descriptor> {
    let file = File::create(path).map_err(Error::io("create", path))?;
    let mut out = Builder::new(Hashing { file, hash: Sha256::new(), size: 0 });
    for (name, entry) in layer {
        match entry {
            Entry::Folder { mode, owner } => {
                let header = header(EntryType::Directory, *mode, *owner, 0);
                append(&mut out, header, &format!("{name}/"), std::io::empty())?;
            }
            Entry::File { source, mode } => append_file(&mut out, name, source, *mode)?,
            Entry::Text(text) => append_text(&mut out, name, text)?,
            Entry::Link(target) => {
                let mut header = header(EntryType::Symlink, 0o777, 0, 0);
                out.append_link(&mut header, name, target).map_err(Error::io("pack", Path::new(name)))?;
            }
        }
    }
    let done = out.into_inner().map_err(Error::io("write", path))?;
    let digest = format!("sha256:{}", hex(&done.hash.finalize()));
    Ok(Descriptor { media_type: LAYER_TYPE.into(), digest, size: done.size, annotations: BTreeMap::new() })
}

struct Hashing {
    file: File,
    hash: Sha256,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn header(kind: EntryType, mode: u32, owner: u64, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn append<W: Write>(out: &mut Builder<W>, mut header: Header, name: &str, data: impl Read) -> Result<()> {
    out.append_data(&mut header, name, data).map_err(Error::io("pack", Path::new(name)))
}

fn append_text<W: Write>(out: &mut Builder<W>, name: &str, text: &str) -> Result<()> {
    append(out, header(EntryType::Regular, 0o644, 0, text.len() as u64), name, text.as_bytes())
}

fn append_file<W: Write>(out: &mut Builder<W>, name: &str, source: &Path, mode: u32) -> Result<()> {
    let file = File::open(source).map_err(Error::io("open", source))?;
    let size = file.metadata().map_err(Error::io("read", source))?.len();
    append(out, header(EntryType::Regular, mode, 0, size), name, file)
}

fn blob_path(digest: &str) -> String {
    format!("blobs/sha256/{}", hex_part(digest))
}

fn hex_part(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads back the names and digests of an archive made by [`pack`].
///
/// # Errors
/// [`Error::Io`], or [`Error::Parse`] when the file is not such an archive.
pub fn inspect(path: &Path) -> Result<Archive> {
    #[derive(Deserialize)]
    struct Index {
        manifests: Vec<Descriptor>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Docker {
        config: String,
        repo_tags: Vec<String>,
    }
    let fault = |reason: &str| Error::parse(path.display().to_string(), reason);
    let mut archive = tar::Archive::new(File::open(path).map_err(Error::io("open", path))?);
    let (mut index, mut docker) = (None, None);
    for entry in archive.entries().map_err(Error::io("read", path))? {
        let mut entry = entry.map_err(Error::io("read", path))?;
        let name = entry.path().map_err(Error::io("read", path))?.display().to_string();
        let mut text = String::new();
        match name.as_str() {
            "index.json" | "manifest.json" => {
                entry.read_to_string(&mut text).map_err(Error::io("read", path))?
            }
            "oci-layout" => continue,
            _ => break,
        };
        if name == "index.json" {
            index = Some(serde_json::from_str::<Index>(&text).map_err(|e| fault(&e.to_string()))?);
        } else {
            docker = Some(serde_json::from_str::<Vec<Docker>>(&text).map_err(|e| fault(&e.to_string()))?);
        }
    }
    let manifest = index.and_then(|index| index.manifests.into_iter().next());
    let docker = docker.and_then(|all| all.into_iter().next());
    let (Some(manifest), Some(docker)) = (manifest, docker) else {
        return Err(fault(
            "no index.json or manifest.json at its start: not an archive of `devkit images build`",
        ));
    };
    let config = docker.config.replace("blobs/sha256/", "sha256:");
    Ok(Archive { path: path.into(), names: docker.repo_tags, digest: manifest.digest, config })
}
