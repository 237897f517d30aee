//! Volumes and mounts of the main container (`workload.md` section 6.5).
//! Each claim is one volume, however often it is mounted.

use dynamo_api::v1alpha1::{ServiceVolumeMount, SharedSpec};
use k8s_openapi::{
    api::core::v1::{EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, Volume, VolumeMount},
    apimachinery::pkg::api::resource::Quantity,
};

const SHARED_MEMORY: &str = "shared-memory";
const SHARED_MEMORY_PATH: &str = "/dev/shm";
const SHARED_MEMORY_SIZE: &str = "8Gi";

/// Claims in the order of the mounts, then shared memory.
#[must_use]
pub fn build_volumes(spec: &SharedSpec) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = Vec::new();
    for mount in &spec.volume_mounts {
        if volumes.iter().all(|volume| volume.name != mount.name) {
            volumes.push(claim(mount));
        }
    }
    if let Some(size) = shared_memory(spec) {
        volumes.push(Volume {
            name: SHARED_MEMORY.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: Some(size),
            }),
            ..Volume::default()
        });
    }
    volumes
}

/// The user's mounts, then claims, then shared memory; a path that is taken is not mounted over.
#[must_use]
pub fn build_mounts(spec: &SharedSpec, user: Option<Vec<VolumeMount>>, vllm_cache: &str) -> Vec<VolumeMount> {
    let mut mounts = user.unwrap_or_default();
    for mount in &spec.volume_mounts {
        let path = mount.mount_point.as_deref().filter(|path| !path.is_empty()).unwrap_or(vllm_cache);
        add(&mut mounts, &mount.name, path);
    }
    if shared_memory(spec).is_some() {
        add(&mut mounts, SHARED_MEMORY, SHARED_MEMORY_PATH);
    }
    mounts
}

fn add(mounts: &mut Vec<VolumeMount>, name: &str, path: &str) {
    if mounts.iter().all(|mount| mount.mount_path != path) {
        let (name, mount_path) = (name.to_owned(), path.to_owned());
        mounts.push(VolumeMount { name, mount_path, ..VolumeMount::default() });
    }
}

fn claim(mount: &ServiceVolumeMount) -> Volume {
    let claim_name = mount.name.clone();
    Volume {
        name: mount.name.clone(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
        ..Volume::default()
    }
}

/// The size of the default memory file system; `None` when the user switched it off, or put something of his own at
/// its path or under its name.
fn shared_memory(spec: &SharedSpec) -> Option<Quantity> {
    let user = spec.extra_pod_spec.as_ref();
    let volumes = user.and_then(|pod| pod.pod_spec.volumes.as_ref()).into_iter().flatten();
    let mounts =
        user.and_then(|pod| pod.main_container.as_ref()?.volume_mounts.as_ref()).into_iter().flatten();
    let claims = || spec.volume_mounts.iter();
    let name_taken = volumes
        .map(|volume| &volume.name)
        .chain(claims().map(|mount| &mount.name))
        .any(|name| name == SHARED_MEMORY);
    let path_taken = mounts
        .map(|mount| mount.mount_path.as_str())
        .chain(claims().filter_map(|mount| mount.mount_point.as_deref()))
        .any(|path| path == SHARED_MEMORY_PATH);
    if name_taken || path_taken {
        return None;
    }
    match &spec.shared_memory {
        Some(memory) if memory.disabled => None,
        Some(memory) => memory.size.clone(),
        None => Some(Quantity(SHARED_MEMORY_SIZE.to_owned())),
    }
}
