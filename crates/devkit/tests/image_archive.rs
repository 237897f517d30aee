//! What an image archive promises: the same bytes for the same content, and a form that runtimes accept.
//! Must not need a container engine.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use dynamo_devkit::images::oci::{self, Entry, Image, Layer};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn image(source: &Path) -> Image {
    let program = Entry::File { source: source.into(), mode: 0o755 };
    let base = Layer::from([
        ("bin".to_owned(), Entry::Folder { mode: 0o755, owner: 0 }),
        ("bin/sh".to_owned(), Entry::Link("/program".into())),
        ("etc".to_owned(), Entry::Folder { mode: 0o755, owner: 0 }),
        ("etc/passwd".to_owned(), Entry::Text("root:x:0:0::/:/bin/sh\n".into())),
        ("tmp".to_owned(), Entry::Folder { mode: 0o1777, owner: 1000 }),
    ]);
    Image {
        repository: "localhost/some".into(),
        layers: vec![base, Layer::from([("program".to_owned(), program)])],
        entrypoint: vec!["/program".into()],
        user: "1000:1000".into(),
        env: vec!["PATH=/bin".into()],
        working_folder: "/tmp".into(),
    }
}

fn content(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(std::fs::File::open(archive).unwrap());
    let mut all = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0);
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        all.insert(name, bytes);
    }
    all
}

#[test]
fn the_same_content_gives_the_same_archive_and_another_content_another_digest() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("program");
    std::fs::write(&source, "one").unwrap();
    let first = oci::pack(&image(&source), "dev", &folder.path().join("a.tar")).unwrap();
    // A new file with another time and the same bytes.
    std::fs::remove_file(&source).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(10));
    std::fs::write(&source, "one").unwrap();
    let second = oci::pack(&image(&source), "dev", &folder.path().join("b.tar")).unwrap();
    assert_eq!(std::fs::read(&first.path).unwrap(), std::fs::read(&second.path).unwrap());
    std::fs::write(&source, "two").unwrap();
    let third = oci::pack(&image(&source), "dev", &folder.path().join("c.tar")).unwrap();
    assert_eq!((&first.digest, &first.names), (&second.digest, &second.names));
    assert_ne!(first.digest, third.digest);
    assert_ne!(first.pinned_name(), third.pinned_name());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "no temporary files stay");
}

#[test]
fn every_blob_is_what_its_name_says_and_the_parts_refer_to_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("program");
    std::fs::write(&source, "x".repeat(100_000)).unwrap();
    let packed = oci::pack(&image(&source), "dev", &folder.path().join("image.tar")).unwrap();
    assert_eq!(oci::inspect(&packed.path).unwrap(), packed);
    let files = content(&packed.path);
    for (name, bytes) in
        files.iter().filter(|(name, _)| name.starts_with("blobs/sha256/") && !name.ends_with('/'))
    {
        assert_eq!(oci::hex(&Sha256::digest(bytes)), name["blobs/sha256/".len()..]);
    }
    let json = |name: &str| -> Value { serde_json::from_slice(&files[name]).unwrap() };
    let blob =
        |digest: &Value| &files[&format!("blobs/sha256/{}", &digest.as_str().unwrap()["sha256:".len()..])];
    assert_eq!(json("oci-layout")["imageLayoutVersion"], "1.0.0");
    let index = json("index.json");
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"]["io.containerd.image.name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["localhost/some:dev".to_owned(), format!("localhost/some:{}", &packed.digest[7..19])]);
    let manifest: Value = serde_json::from_slice(blob(&index["manifests"][0]["digest"])).unwrap();
    let config: Value = serde_json::from_slice(blob(&manifest["config"]["digest"])).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    for (layer, content) in layers.iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
        assert_eq!(&layer["digest"], content);
        assert_eq!(layer["size"].as_u64().unwrap(), blob(&layer["digest"]).len() as u64);
    }
    assert_eq!(config["config"]["User"], "1000:1000");
    assert_eq!(config["config"]["Entrypoint"][0], "/program");
    assert_eq!(json("manifest.json")[0]["RepoTags"][0], "localhost/some:dev");
    let mut layer = tar::Archive::new(blob(&layers[0]["digest"]).as_slice());
    let entries: Vec<(String, u32, u64)> = layer
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            (entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.uid().unwrap())
        })
        .collect();
    assert!(entries.contains(&("tmp/".into(), 0o1777, 1000)), "{entries:?}");
    assert!(entries.iter().position(|e| e.0 == "bin/") < entries.iter().position(|e| e.0 == "bin/sh"));
}

#[test]
fn a_file_that_is_no_archive_of_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    std::fs::write(&path, [0_u8; 1024]).unwrap();
    assert!(oci::inspect(&path).unwrap_err().to_string().contains("devkit images build"));
}
