//! Volumes and mounts of the main container (`workload.md` section 6.5).
//! Each claim is one volume, however often it is mounted. What the user put at a name or a path stays there.

use dynamo_api::v1alpha1::{ServiceVolumeMount, SharedSpec};
use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource, Volume,
        VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{component::ComponentType, names, picker};

const SHARED_MEMORY: &str = "shared-memory";
const SHARED_MEMORY_PATH: &str = "/dev/shm";
const SHARED_MEMORY_SIZE: &str = "8Gi";
const PICKER_CONFIG: &str = "epp-config";
pub(crate) const PICKER_CONFIG_PATH: &str = "/etc/epp";
const PICKER_CACHE: &str = "hf-cache";
const PICKER_CACHE_PATH: &str = "/home/nonroot/.cache";

/// Those of an endpoint picker, claims in the order of the mounts, then shared memory. `graph` is the graph's name;
/// `ours` says whether this operator admitted it.
#[must_use]
pub fn build_volumes(spec: &SharedSpec, graph: &str, ours: bool) -> Vec<Volume> {
    let is_claim = |volume: &Volume| spec.volume_mounts.iter().any(|mount| mount.name == volume.name);
    let mut volumes = if picker_parts(spec, ours).0 { picker_volumes(spec, graph) } else { Vec::new() };
    volumes.retain(|volume| !is_claim(volume));
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

/// The user's mounts, those of an endpoint picker, claims, then shared memory; a path that is taken is not mounted
/// over.
#[must_use]
pub fn build_mounts(
    spec: &SharedSpec,
    user: Option<Vec<VolumeMount>>,
    vllm_cache: &str,
    ours: bool,
) -> Vec<VolumeMount> {
    let mut mounts = user.unwrap_or_default();
    if picker_parts(spec, ours).1 {
        let of_claims =
            |path: &str| spec.volume_mounts.iter().any(|m| m.mount_point.as_deref() == Some(path));
        for (name, path, read_only) in
            [(PICKER_CONFIG, PICKER_CONFIG_PATH, Some(true)), (PICKER_CACHE, PICKER_CACHE_PATH, None)]
        {
            if !of_claims(path) {
                add(&mut mounts, name, path, read_only);
            }
        }
    }
    for mount in &spec.volume_mounts {
        let path = mount.mount_point.as_deref().filter(|path| !path.is_empty()).unwrap_or(vllm_cache);
        add(&mut mounts, &mount.name, path, None);
    }
    if shared_memory(spec).is_some() {
        add(&mut mounts, SHARED_MEMORY, SHARED_MEMORY_PATH, None);
    }
    mounts
}

fn add(mounts: &mut Vec<VolumeMount>, name: &str, path: &str, read_only: Option<bool>) {
    if mounts.iter().all(|mount| mount.mount_path != path) {
        let (name, mount_path) = (name.to_owned(), path.to_owned());
        mounts.push(VolumeMount { name, mount_path, read_only, ..VolumeMount::default() });
    }
}

/// Whether a picker gets its own volumes, and its own mounts. Under the reference a list of the user's replaces either; a
/// graph of which pods may run like that keeps it so. With own volumes and no own mounts none can.
fn picker_parts(spec: &SharedSpec, ours: bool) -> (bool, bool) {
    if ComponentType::of(spec) != ComponentType::Epp {
        return (false, false);
    }
    let user = spec.extra_pod_spec.as_ref();
    let has_volumes =
        user.and_then(|pod| pod.pod_spec.volumes.as_ref()).is_some_and(|volumes| !volumes.is_empty());
    let has_mounts = user
        .and_then(|pod| pod.main_container.as_ref()?.volume_mounts.as_ref())
        .is_some_and(|mounts| !mounts.is_empty());
    if ours || !has_mounts { (true, true) } else { (!has_volumes, false) }
}

/// The picker's configuration, out of the ConfigMap that the user names or of the one that the graph makes, and room
/// for what it downloads.
fn picker_volumes(spec: &SharedSpec, graph: &str) -> Vec<Volume> {
    let user = spec.epp_config.as_ref().and_then(|config| config.config_map_ref.as_ref());
    let name = user.map_or_else(|| names::picker_config(graph), |reference| reference.name.clone());
    let key = user.map(|reference| reference.key.as_str()).filter(|key| !key.is_empty());
    let file = KeyToPath {
        key: key.unwrap_or(picker::CONFIG_KEY).to_owned(),
        path: picker::CONFIG_KEY.to_owned(),
        ..KeyToPath::default()
    };
    vec![
        Volume {
            name: PICKER_CONFIG.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name,
                items: Some(vec![file]),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: PICKER_CACHE.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        },
    ]
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
