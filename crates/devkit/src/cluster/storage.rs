//! Volumes of the development cluster: folders of this machine, made beforehand, that claims of a class bind to.
//! Must lie below the cluster's own folder, so that they go with it.

use serde_json::{Value, json};

use super::Cluster;
use super::layout::NODE;
use crate::{Error, Result, files};

/// Large enough for every claim of the charts and of the value files: only a number, no space is taken.
const SIZE: &str = "100Gi";

impl Cluster {
    /// Makes `count` empty volumes of a storage class (empty: for claims without one), `SET-0`, `SET-1` and so on. Volumes
    /// of that name lose what they held.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Failed`] with what the API server said.
    pub fn provide_volumes(&self, set: &str, class: &str, count: usize) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let kubectl = self.kubectl();
        let mut documents = String::new();
        for number in 0..count {
            let name = format!("{set}-{number}");
            kubectl.run(&["delete", "persistentvolume", &name, "--ignore-not-found"])?;
            let folder = self.layout.at("volumes").join(&name);
            files::remove_folder(&folder)?;
            files::folder(&folder)?;
            // Pods write as users that this machine does not know.
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))
                .map_err(Error::io("open to all", &folder))?;
            documents.push_str(&format!("---\n{}\n", volume(&name, class, &folder.display().to_string())));
        }
        kubectl.apply(&documents).map(|_| ())
    }
}

fn volume(name: &str, class: &str, folder: &str) -> Value {
    let here = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]});
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    })
}
