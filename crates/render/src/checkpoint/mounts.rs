//! The volumes that checkpoints need in a pod and their mounts (`workload.md` section 6.8).
//! A volume or mount of the user's under the same name stays as it is.

use dynamo_api::labels::annotations;
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, HostPathVolumeSource, ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource, PodSpec, Volume, VolumeMount,
};

use crate::config::{CheckpointConfig, CheckpointStorage};

const STORAGE: &str = "checkpoint-storage";
const SIGNAL: &str = "checkpoint-signal";
const POD_INFO: &str = "podinfo";

/// Where the end of a checkpoint is told.
pub(super) const SIGNAL_PATH: &str = "/checkpoint-signal";
const POD_INFO_PATH: &str = "/etc/podinfo";

/// Names of the volumes of the pods of a service that uses checkpoints.
pub(crate) fn volume_names(config: &CheckpointConfig) -> &'static [&'static str] {
    match config.storage {
        CheckpointStorage::Pvc => &[STORAGE, SIGNAL, POD_INFO],
        CheckpointStorage::S3 | CheckpointStorage::Oci => &[SIGNAL, POD_INFO],
    }
}

/// The claim, at the path where checkpoints lie in it.
pub(super) fn storage(config: &CheckpointConfig) -> (Volume, VolumeMount) {
    let claim_name = config.pvc_name.clone();
    let volume = Volume {
        name: STORAGE.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
        ..Volume::default()
    };
    (volume, mount(STORAGE, &config.pvc_base_path))
}

/// The folder of the node in which the agent tells the end of a checkpoint. Pods that are restored need it, too: they
/// must see the mounts of the pod that was saved.
pub(super) fn signal(config: &CheckpointConfig) -> (Volume, VolumeMount) {
    let volume = Volume {
        name: SIGNAL.to_owned(),
        host_path: Some(HostPathVolumeSource {
            path: config.signal_host_path.clone(),
            type_: Some("DirectoryOrCreate".to_owned()),
        }),
        ..Volume::default()
    };
    (volume, mount(SIGNAL, SIGNAL_PATH))
}

/// Who the pod is, as files: a restored process has the variables of the pod that was saved.
pub(super) fn pod_info() -> (Volume, VolumeMount) {
    let file = |path: &str, field_path: String| DownwardAPIVolumeFile {
        path: path.to_owned(),
        field_ref: Some(ObjectFieldSelector { api_version: None, field_path }),
        ..DownwardAPIVolumeFile::default()
    };
    let field = |path: &str, name: &str| file(path, format!("metadata.{name}"));
    let annotation = |path: &str, key: &str| file(path, format!("metadata.annotations['{key}']"));
    let volume = Volume {
        name: POD_INFO.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![
                field("pod_name", "name"),
                field("pod_uid", "uid"),
                field("pod_namespace", "namespace"),
                annotation("dyn_namespace", annotations::DYN_NAMESPACE),
                annotation("dyn_component", annotations::DYN_COMPONENT),
                annotation("dyn_parent_dgd_name", annotations::DYN_PARENT_NAME),
                annotation("dyn_parent_dgd_namespace", annotations::DYN_PARENT_NAMESPACE),
                annotation("dyn_discovery_backend", annotations::DYN_DISCOVERY_BACKEND),
            ]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    };
    (volume, VolumeMount { read_only: Some(true), ..mount(POD_INFO, POD_INFO_PATH) })
}

pub(super) fn add_volume(pod: &mut PodSpec, volume: Volume) {
    let volumes = pod.volumes.get_or_insert_default();
    if volumes.iter().all(|known| known.name != volume.name) {
        volumes.push(volume);
    }
}

/// The API server refuses two mounts at one path.
pub(super) fn add_mount(container: &mut Container, mount: VolumeMount) {
    let mounts = container.volume_mounts.get_or_insert_default();
    if mounts.iter().all(|known| known.name != mount.name && known.mount_path != mount.mount_path) {
        mounts.push(mount);
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}
