//! The Job that makes a checkpoint (`workload.md` section 6.8): it starts the engine, and when that is ready the agent
//! of the node saves it. Whether the Job exists is not known here.

use std::collections::BTreeMap;

use dynamo_api::{labels, v1alpha1::DynamoCheckpoint};
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{Container, ExecAction, PodTemplateSpec, Probe},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    identity_hash, mounts,
    pod::{security, tell},
};
use crate::{config::CheckpointConfig, parts::env};

/// Name of the Job of a checkpoint.
#[must_use]
pub fn job_name(checkpoint: &str) -> String {
    format!("checkpoint-{checkpoint}")
}

/// Where the checkpoint with this hash lies.
#[must_use]
pub fn location(hash: &str, config: &CheckpointConfig) -> String {
    format!("{}/{hash}", config.pvc_base_path)
}

/// Renders the Job of a checkpoint. Its pods are the checkpoint's own, whose restart policy, probes of the engine and
/// security are replaced: a pod that starts anew would be saved in the middle of it.
#[must_use]
pub fn build_job(checkpoint: &DynamoCheckpoint, config: &CheckpointConfig) -> Job {
    let name = checkpoint.metadata.name.as_deref().unwrap_or_default();
    let hash = identity_hash(&checkpoint.spec.identity);
    let of_job = BTreeMap::from([
        (labels::CHECKPOINT_NAME.to_owned(), name.to_owned()),
        (labels::CHECKPOINT_HASH.to_owned(), hash.clone()),
    ]);
    let job = &checkpoint.spec.job;
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(name)),
            namespace: checkpoint.metadata.namespace.clone(),
            labels: Some(of_job.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            active_deadline_seconds: Some(job.active_deadline_seconds),
            backoff_limit: Some(job.backoff_limit),
            ttl_seconds_after_finished: Some(job.ttl_seconds_after_finished),
            template: build_template(&job.pod_template_spec, of_job, &hash, config),
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn build_template(
    template: &PodTemplateSpec,
    of_job: BTreeMap<String, String>,
    hash: &str,
    config: &CheckpointConfig,
) -> PodTemplateSpec {
    let mut metadata = template.metadata.clone().unwrap_or_default();
    let all = metadata.labels.get_or_insert_default();
    all.extend(of_job);
    all.insert(labels::CHECKPOINT_SOURCE.to_owned(), "true".to_owned());
    let mut pod = template.spec.clone().unwrap_or_default();
    pod.restart_policy = Some("Never".to_owned());
    pod.security_context = Some(security());
    let signal_file = format!("{}/{hash}", mounts::SIGNAL_PATH);
    let (signal, signal_mount) = mounts::signal(config);
    let (info, info_mount) = mounts::pod_info();
    let storage = (!config.pvc_name.is_empty()).then(|| mounts::storage(config));
    let (storage, storage_mount) = storage.unzip();
    if let Some(engine) = pod.containers.first_mut() {
        tell(engine, metadata.annotations.get_or_insert_default());
        let mounted = storage_mount.into_iter().chain([signal_mount.clone(), info_mount]);
        mounted.for_each(|mount| mounts::add_mount(engine, mount));
        prepare_engine(engine, hash, &signal_file, config);
    }
    storage.into_iter().chain([signal, info]).for_each(|volume| mounts::add_volume(&mut pod, volume));
    pod.init_containers.get_or_insert_default().push(Container {
        name: "cleanup-signal-file".to_owned(),
        image: Some(config.init_container_image.clone()),
        command: Some(vec!["sh".to_owned(), "-c".to_owned(), format!("rm -f {signal_file}")]),
        volume_mounts: Some(vec![signal_mount]),
        ..Container::default()
    });
    PodTemplateSpec { metadata: Some(metadata), spec: Some(pod) }
}

fn prepare_engine(engine: &mut Container, hash: &str, signal_file: &str, config: &CheckpointConfig) {
    engine.env.get_or_insert_default().extend([
        env::text("DYN_CHECKPOINT_SIGNAL_FILE", signal_file),
        env::text("DYN_READY_FOR_CHECKPOINT_FILE", &config.ready_file),
        env::text("DYN_CHECKPOINT_HASH", hash),
        env::text("DYN_CHECKPOINT_LOCATION", &location(hash, config)),
        env::text("DYN_CHECKPOINT_STORAGE_TYPE", "pvc"),
        env::text("DYN_RESTORE_MARKER_FILE", &config.restore_marker_file),
    ]);
    env::keep_last_of_each_name(engine);
    engine.readiness_probe = Some(Probe {
        exec: Some(ExecAction { command: Some(vec!["cat".to_owned(), config.ready_file.clone()]) }),
        initial_delay_seconds: Some(15),
        period_seconds: Some(2),
        ..Probe::default()
    });
    engine.liveness_probe = None;
    engine.startup_probe = None;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::CheckpointStorage;

    fn config() -> CheckpointConfig {
        CheckpointConfig {
            storage: CheckpointStorage::Pvc,
            signal_host_path: "/signals".to_owned(),
            pvc_name: "claim".to_owned(),
            pvc_base_path: "/checkpoints".to_owned(),
            s3_uri: String::new(),
            s3_credentials_secret: String::new(),
            oci_uri: String::new(),
            oci_credentials_secret: String::new(),
            init_container_image: "busybox:latest".to_owned(),
            ready_file: "/tmp/ready".to_owned(),
            restore_marker_file: "/tmp/restored".to_owned(),
        }
    }

    fn job(pod: &Value, config: &CheckpointConfig) -> Value {
        let checkpoint = json!({
            "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoCheckpoint",
            "metadata": {"name": "warm", "namespace": "demo"},
            "spec": {
                "identity": {"model": "Qwen/Qwen3-0.6B", "backendFramework": "vllm"},
                "job": {"activeDeadlineSeconds": 1800, "backoffLimit": 1, "podTemplateSpec": {"spec": pod}},
            },
        });
        let checkpoint: DynamoCheckpoint = serde_json::from_value(checkpoint).unwrap();
        serde_json::to_value(build_job(&checkpoint, config)).unwrap()
    }

    fn engine() -> Value {
        json!({
            "restartPolicy": "Always",
            "securityContext": {"fsGroup": 1000},
            "containers": [{
                "name": "main",
                "image": "engine:1",
                "env": [{"name": "DYN_NAMESPACE", "value": "demo-chat"}, {"name": "DYN_CHECKPOINT_HASH", "value": "x"}],
                "livenessProbe": {"exec": {"command": ["true"]}},
                "startupProbe": {"exec": {"command": ["true"]}},
            }],
        })
    }

    #[test]
    fn the_job_is_the_one_of_the_contract() {
        let job = job(&engine(), &config());
        let labels =
            json!({"nvidia.com/checkpoint-name": "warm", "nvidia.com/checkpoint-hash": "73e74442beb109ed"});
        assert_eq!(
            job["metadata"],
            json!({"name": "checkpoint-warm", "namespace": "demo", "labels": labels})
        );
        let spec = &job["spec"];
        assert_eq!(
            (&spec["activeDeadlineSeconds"], &spec["backoffLimit"], &spec["ttlSecondsAfterFinished"]),
            (&json!(1800), &json!(1), &json!(300))
        );
        let template = &spec["template"];
        let mut of_pod = labels;
        of_pod["nvidia.com/checkpoint-source"] = "true".into();
        assert_eq!(template["metadata"]["labels"], of_pod);
        assert_eq!(template["metadata"]["annotations"], json!({"nvidia.com/dyn-namespace": "demo-chat"}));
        let pod = &template["spec"];
        assert_eq!(pod["restartPolicy"], "Never");
        assert_eq!(
            pod["securityContext"],
            json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/block-iouring.json"}})
        );
        let names: Vec<&Value> = pod["volumes"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
        assert_eq!(names, ["checkpoint-storage", "checkpoint-signal", "podinfo"]);
        assert_eq!(
            pod["initContainers"],
            json!([{
                "name": "cleanup-signal-file",
                "image": "busybox:latest",
                "command": ["sh", "-c", "rm -f /checkpoint-signal/73e74442beb109ed"],
                "volumeMounts": [{"name": "checkpoint-signal", "mountPath": "/checkpoint-signal"}],
            }])
        );
        assert_eq!(
            pod["containers"],
            json!([{
                "name": "main",
                "image": "engine:1",
                "env": [
                    {"name": "DYN_NAMESPACE", "value": "demo-chat"},
                    {"name": "DYN_CHECKPOINT_SIGNAL_FILE", "value": "/checkpoint-signal/73e74442beb109ed"},
                    {"name": "DYN_READY_FOR_CHECKPOINT_FILE", "value": "/tmp/ready"},
                    {"name": "DYN_CHECKPOINT_HASH", "value": "73e74442beb109ed"},
                    {"name": "DYN_CHECKPOINT_LOCATION", "value": "/checkpoints/73e74442beb109ed"},
                    {"name": "DYN_CHECKPOINT_STORAGE_TYPE", "value": "pvc"},
                    {"name": "DYN_RESTORE_MARKER_FILE", "value": "/tmp/restored"},
                ],
                "readinessProbe": {
                    "exec": {"command": ["cat", "/tmp/ready"]}, "initialDelaySeconds": 15, "periodSeconds": 2,
                },
                "volumeMounts": [
                    {"name": "checkpoint-storage", "mountPath": "/checkpoints"},
                    {"name": "checkpoint-signal", "mountPath": "/checkpoint-signal"},
                    {"name": "podinfo", "mountPath": "/etc/podinfo", "readOnly": true},
                ],
            }])
        );
    }

    #[test]
    fn without_a_claim_nothing_of_it_is_mounted_and_a_pod_without_containers_is_left_to_the_api_server() {
        let config = CheckpointConfig { pvc_name: String::new(), ..config() };
        let job = job(&json!({"containers": []}), &config);
        let volumes = job["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
        assert!(volumes.iter().all(|volume| volume["name"] != "checkpoint-storage"));
    }
}
