//! Which access mode a claim gets: many nodes where the class can, else one, with a warning.
//! Pure; the claim itself is written elsewhere.

use k8s_openapi::api::storage::v1::StorageClass;

use crate::check::storage::is_default;

/// Parts of the names of provisioners whose volumes several nodes can mount at once.
const SHARED: [&str; 18] = [
    "nfs",
    "efs.csi.aws",
    "fsx.csi.aws",
    "filestore",
    "file.csi.azure",
    "azure-file",
    "cephfs",
    "lustre",
    "glusterfs",
    "weka",
    "vast",
    "beegfs",
    "gpfs",
    "spectrumscale",
    "longhorn",
    "portworx",
    "pxd",
    "juicefs",
];

/// The mode and what a user has to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub mode: &'static str,
    pub warning: Option<String>,
}

/// The mode for a claim that names `class`, or none.
pub fn choose(classes: &[StorageClass], class: Option<&str>) -> Choice {
    let named = |it: &&StorageClass| match class {
        Some(name) => it.metadata.name.as_deref() == Some(name),
        None => is_default(it),
    };
    let mut found: Vec<&StorageClass> = classes.iter().filter(named).collect();
    // Of several default classes the cluster takes the newest.
    found.sort_by_key(|it| it.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let Some(class) = found.pop() else {
        return Choice {
            mode: "ReadWriteOnce",
            warning: Some(match class {
                Some(name) => {
                    format!("there is no StorageClass {name}: the claim stays Pending until there is one")
                }
                None => {
                    "there is no default StorageClass: the claim stays Pending until there is one".to_owned()
                }
            }),
        };
    };
    let name = class.metadata.name.as_deref().unwrap_or_default();
    if SHARED.iter().any(|part| class.provisioner.contains(part)) {
        return Choice { mode: "ReadWriteMany", warning: None };
    }
    let warning = format!(
        "StorageClass {name} ({}) is not known to share volumes between nodes: the claim is ReadWriteOnce, so pods on \
         different nodes cannot use it at the same time; choose with --access-mode ReadWriteMany",
        class.provisioner
    );
    Choice { mode: "ReadWriteOnce", warning: Some(warning) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(name: &str, provisioner: &str, default: &str, second: u32) -> StorageClass {
        let metadata = json!({"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default},
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")});
        serde_json::from_value(json!({"metadata": metadata, "provisioner": provisioner})).unwrap()
    }

    #[test]
    fn the_newest_default_class_decides_and_an_unknown_one_warns() {
        let classes = [
            class("nfs", "nfs.csi.k8s.io", "true", 1),
            class("disk", "ebs.csi.aws.com", "true", 2),
            class("other", "efs.csi.aws.com", "false", 3),
        ];
        let disk = choose(&classes, None);
        assert_eq!(disk.mode, "ReadWriteOnce");
        assert!(disk.warning.unwrap().contains("pods on different nodes cannot use it"));
        assert_eq!(choose(&classes[..1], None), Choice { mode: "ReadWriteMany", warning: None });
        assert_eq!(choose(&classes, Some("other")).mode, "ReadWriteMany");
        assert!(choose(&[], None).warning.unwrap().contains("no default StorageClass"));
    }
}
