//! Files mode on a real directory, laid out like a Secret volume.

use std::{os::unix::fs::symlink, path::Path, time::Duration};

use kube::{Client, Config};

use super::*;
use crate::certs::{CertificateMetrics, FileKeeper, FileSettings, Resolver, Serving};

/// A state of the volume: a folder with both files, and the link `..data` swapped to it.
fn write_volume(root: &Path, state: &str, leaf: &Leaf, key: &[u8]) {
    let folder = root.join(state);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("tls.crt"), leaf.certificate_pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key).unwrap();
    let link = root.join("..data_tmp");
    symlink(&folder, &link).unwrap();
    std::fs::rename(&link, root.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        let _ = symlink(Path::new("..data").join(file), root.join(file));
    }
}

fn serial_of(resolver: &Resolver) -> Option<Vec<u8>> {
    resolver.current().map(|pair| pair.cert[0].to_vec())
}

async fn until(what: &str, check: impl Fn() -> bool) {
    for _ in 0..500 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn a_swapped_volume_is_read_and_a_broken_pair_keeps_the_old_one() {
    let root = std::env::temp_dir().join(format!("certs-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&root).unwrap();
    // Nothing is asked of a cluster when no configuration is named.
    let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let metrics = CertificateMetrics::default();
    let serving = Serving::new(metrics.clone());
    let (resolver, readiness) = (serving.resolver(), serving.readiness());
    let settings = FileSettings {
        directory: root.clone(),
        names: names(),
        configurations: None,
        poll: Duration::from_millis(20),
    };
    let task = tokio::spawn(FileKeeper::new(client, settings, serving).run());

    until("a reason is told while the files are absent", || {
        readiness.reason().is_some_and(|reason| reason.contains("cannot be read"))
    })
    .await;
    assert!(serial_of(&resolver).is_none());
    let signer = Authority::new(365, Timestamp::now()).unwrap();
    let issue = || signer.issue(&names(), 365, Timestamp::now()).unwrap();
    let (first, second) = (issue(), issue());
    write_volume(&root, "one", &first, first.key_pem());
    until("the first pair is served", || readiness.reason().is_none()).await;
    assert_eq!(serial_of(&resolver), Some(first.certificate().der().to_vec()));

    let errors = metrics.read_errors.get();
    write_volume(&root, "two", &second, first.key_pem());
    until("the mismatch is counted", || metrics.read_errors.get() > errors).await;
    assert_eq!(serial_of(&resolver), Some(first.certificate().der().to_vec()));
    assert_eq!(readiness.reason(), None);

    write_volume(&root, "three", &second, second.key_pem());
    until("the second pair is served", || serial_of(&resolver) == Some(second.certificate().der().to_vec()))
        .await;
    assert_eq!(metrics.read.get(), 2);
    task.abort();
    std::fs::remove_dir_all(&root).unwrap();
}
