//! What a service's pods get so that their engine can start from a checkpoint (`workload.md` section 6.8). It is the
//! same whether the checkpoint is ready or not: the image decides when it starts, so that no pod is restarted for it.

use std::collections::BTreeMap;

use dynamo_api::labels::annotations;
use k8s_openapi::api::core::v1::{Container, PodSecurityContext, PodSpec, SeccompProfile};

use super::{CheckpointError, mounts};
use crate::{
    component::MAIN_CONTAINER,
    config::{CheckpointConfig, CheckpointStorage},
    parts::env,
};

/// Which variable of the engine says what an annotation says; the runtime reads the latter, as a file, in a process
/// that was restored.
const TOLD_BY: [(&str, &str); 5] = [
    (annotations::DYN_NAMESPACE, "DYN_NAMESPACE"),
    (annotations::DYN_COMPONENT, "DYN_COMPONENT"),
    (annotations::DYN_PARENT_NAME, "DYN_PARENT_DGD_K8S_NAME"),
    (annotations::DYN_PARENT_NAMESPACE, "DYN_PARENT_DGD_K8S_NAMESPACE"),
    (annotations::DYN_DISCOVERY_BACKEND, "DYN_DISCOVERY_BACKEND"),
];

/// Prepares a rendered pod for the checkpoint with this hash, and says in `said`, its annotations, who it is: only of a
/// graph that is `ours`, since the reference sets none and the pods of its graphs must not change.
pub(crate) fn prepare_pod(
    pod: &mut PodSpec,
    said: &mut BTreeMap<String, String>,
    hash: &str,
    config: &CheckpointConfig,
    ours: bool,
) -> Result<(), CheckpointError> {
    let place = place(hash, config)?;
    pod.host_ipc = Some(true);
    pod.security_context.get_or_insert_default().seccomp_profile = Some(seccomp());
    let (storage, signal, pod_info) = (mounts::storage(config), mounts::signal(config), mounts::pod_info());
    let wanted =
        [Some(storage).filter(|_| config.storage == CheckpointStorage::Pvc), Some(signal), Some(pod_info)];
    let named_main = pod.containers.iter().position(|container| container.name == MAIN_CONTAINER);
    let mut added = Vec::new();
    if let Some(main) = pod.containers.get_mut(named_main.unwrap_or_default()) {
        if ours {
            tell(main, said);
        }
        // The image's entry point decides between restoring and this command.
        let command = main.command.take().unwrap_or_default();
        let arguments: Vec<String> =
            command.into_iter().chain(main.args.take().unwrap_or_default()).collect();
        main.args = (!arguments.is_empty()).then_some(arguments);
        main.security_context.get_or_insert_default().privileged = Some(true);
        for (volume, mount) in wanted.into_iter().flatten() {
            mounts::add_mount(main, mount);
            added.push(volume);
        }
        let mut variables = vec![
            place,
            env::text("DYN_CHECKPOINT_HASH", hash),
            env::text("DYN_RESTORE_MARKER_FILE", &config.restore_marker_file),
            env::text("SKIP_WAIT_FOR_CHECKPOINT", "1"),
        ];
        variables.append(main.env.get_or_insert_default());
        main.env = Some(variables);
        env::keep_last_of_each_name(main);
    }
    added.into_iter().for_each(|volume| mounts::add_volume(pod, volume));
    Ok(())
}

/// The variable that says where the checkpoint lies.
fn place(
    hash: &str,
    config: &CheckpointConfig,
) -> Result<k8s_openapi::api::core::v1::EnvVar, CheckpointError> {
    fn filled<'a>(flag: &'static str, value: &'a str) -> Result<&'a str, CheckpointError> {
        match value {
            "" => Err(CheckpointError::Unset(flag)),
            value => Ok(value.trim_end_matches('/')),
        }
    }
    Ok(match config.storage {
        CheckpointStorage::Pvc => {
            filled("checkpoint-pvc-name", &config.pvc_name)?;
            filled("checkpoint-pvc-base-path", &config.pvc_base_path)?;
            env::text("DYN_CHECKPOINT_PATH", &config.pvc_base_path)
        }
        CheckpointStorage::S3 => {
            let uri = filled("checkpoint-s3-uri", &config.s3_uri)?;
            env::text("DYN_CHECKPOINT_LOCATION", &format!("{uri}/{hash}.tar"))
        }
        CheckpointStorage::Oci => {
            let uri = filled("checkpoint-oci-uri", &config.oci_uri)?;
            env::text("DYN_CHECKPOINT_LOCATION", &format!("{uri}:{hash}"))
        }
    })
}

/// Engines that are saved must not use io_uring, which cannot be restored; nor may those that take their place.
pub(super) fn seccomp() -> SeccompProfile {
    SeccompProfile {
        type_: "Localhost".to_owned(),
        localhost_profile: Some("profiles/block-iouring.json".to_owned()),
    }
}

/// The security of a pod in which a checkpoint is made.
pub(super) fn security() -> PodSecurityContext {
    PodSecurityContext { seccomp_profile: Some(seccomp()), ..PodSecurityContext::default() }
}

/// Puts what the variables of the engine say into annotations, where the user said nothing else.
pub(super) fn tell(engine: &Container, said: &mut BTreeMap<String, String>) {
    for (annotation, name) in TOLD_BY {
        let mut variables = engine.env.iter().flatten();
        let value = variables.find(|variable| variable.name == name).and_then(|it| it.value.as_deref());
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            said.entry(annotation.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
}
