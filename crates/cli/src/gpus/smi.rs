//! Pods that ask `nvidia-smi` on nodes whose labels tell too little (`tools.md` section 3.4).
//! Labels win; a pod that says nothing leaves the fields empty, and none of them outlives its deadline.

use std::time::Duration;

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared},
    stream,
};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, LogParams, PostParams},
};
use serde_json::json;
use tokio::time::Instant;

use super::inventory::{Item, RESOURCE};
use crate::cluster::{Cluster, Error};

/// How these pods are found again.
pub const LABEL: &str = "app.kubernetes.io/name=gpu-inventory-smi";
const POLL: Duration = Duration::from_secs(2);
/// How long cleaning up may take after an answer or an interruption.
const FAREWELL: Duration = Duration::from_secs(5);

/// How nodes are asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Image with nvidia-smi for --enrich-smi
    #[arg(long = "smi-image", value_name = "IMAGE", default_value = "nvidia/cuda:12.3.2-base-ubuntu22.04")]
    pub image: String,
    /// Seconds that all pods of --enrich-smi may take together
    #[arg(long = "smi-timeout", value_name = "SECONDS", default_value_t = 180,
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub timeout: u32,
    /// How many pods of --enrich-smi may run at the same time
    #[arg(long = "smi-parallel", value_name = "COUNT", default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,
    /// RuntimeClass with which a pod sees the GPUs without asking for one, so that nodes whose GPUs are all taken answer
    #[arg(long = "smi-runtime-class", value_name = "NAME")]
    pub runtime_class: Option<String>,
}

/// Fills what `items` leave open; the answer are warnings for people.
pub async fn enrich(cluster: &Cluster, options: &Options, items: &mut [Item]) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(options.timeout.into());
    let api: Api<Pod> = cluster.api();
    let mut warnings = Vec::new();
    let vague: Vec<usize> = (0..items.len()).filter(|at| items[*at].is_vague()).collect();
    if vague.is_empty() {
        return warnings;
    }
    if let Err(error) = sweep(&api, options).await {
        warnings.push(Error::of("remove pods that an earlier call left behind", &error).to_string());
    }
    let call = Call { api, options, end, interrupted: interruption() };
    let asked = vague.into_iter().map(|at| {
        let (node, call) = (items[at].node_name.clone(), &call);
        async move { (at, call.ask(&node).await) }
    });
    let answers: Vec<_> = stream::iter(asked).buffered(options.parallel.into()).collect().await;
    for (at, answer) in answers {
        let item = &mut items[at];
        match answer.map(|said| parse(&said)) {
            Ok(Some((product, memory))) => {
                item.gpu_product.get_or_insert(product);
                item.gpu_memory_mib = item.gpu_memory_mib.or(memory);
            }
            Ok(None) => warnings.push(format!("node {}: nvidia-smi said nothing of use", item.node_name)),
            Err(reason) => warnings.push(format!("node {}: {reason}", item.node_name)),
        }
    }
    warnings
}

/// Removes pods of calls that were killed, as soon as their own deadline is over.
async fn sweep(api: &Api<Pod>, options: &Options) -> Result<(), kube::Error> {
    let now = Timestamp::now();
    for pod in api.list(&ListParams::default().labels(LABEL)).await? {
        let deadline = pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
        let deadline = deadline.unwrap_or_else(|| options.timeout.into());
        let made = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        if made.is_some_and(|made| now.duration_since(made).as_secs() > deadline) {
            api.delete(&pod.name_any(), &DeleteParams::default()).await?;
        }
    }
    Ok(())
}

/// One call of this command.
struct Call<'a> {
    api: Api<Pod>,
    options: &'a Options,
    end: Instant,
    interrupted: Shared<BoxFuture<'static, ()>>,
}

/// Ready as soon as the user interrupts the program, which does not end it any more: pods must be removed first.
fn interruption() -> Shared<BoxFuture<'static, ()>> {
    let interrupted = tokio::signal::ctrl_c().map(|_| ()).boxed().shared();
    // It listens from its first poll on.
    let _ = interrupted.clone().now_or_never();
    interrupted
}

impl Call<'_> {
    /// What `nvidia-smi` said on `node`, or why it said nothing.
    async fn ask(&self, node: &str) -> Result<String, String> {
        let Self { api, options, end, interrupted } = self;
        let pod = pod(options, node).map_err(|error| format!("the pod cannot be built: {error}"))?;
        let name = pod.name_any();
        if interrupted.clone().now_or_never().is_some() {
            return Err("not asked: interrupted".to_owned());
        }
        if Instant::now() >= *end {
            return Err(format!("not asked: --smi-timeout {} is over", options.timeout));
        }
        let created = api.create(&PostParams::default(), &pod).await;
        created.map_err(|error| Error::of(format!("create pod {name}"), &error).to_string())?;
        let said = tokio::select! {
            said = tokio::time::timeout_at(*end, wait(api, &name)) => said,
            () = interrupted.clone() => Ok(Err("interrupted".to_owned())),
        };
        let gone = tokio::time::timeout(FAREWELL, api.delete(&name, &DeleteParams::default())).await;
        let said = match said {
            Ok(said) => said,
            Err(_) => Err(format!("pod {name} did not end within {} s (--smi-timeout)", options.timeout)),
        };
        match gone {
            Ok(Ok(_)) => said,
            // The deadline ends it, and the next call sweeps it.
            Ok(Err(error)) => said
                .map_err(|reason| format!("{reason}; {}", Error::of(format!("delete pod {name}"), &error))),
            Err(_) => said.map_err(|reason| format!("{reason}; pod {name} could not be deleted in time")),
        }
    }
}

async fn wait(api: &Api<Pod>, name: &str) -> Result<String, String> {
    loop {
        let pod = api.get(name).await;
        let pod = pod.map_err(|error| Error::of(format!("read pod {name}"), &error).to_string())?;
        match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
            Some("Succeeded") => {
                let logs = api.logs(name, &LogParams::default()).await;
                return logs
                    .map_err(|error| Error::of(format!("read the log of pod {name}"), &error).to_string());
            }
            Some("Failed") => {
                let reason = pod.status.and_then(|status| status.message.or(status.reason));
                return Err(format!(
                    "pod {name} failed: {}",
                    reason.unwrap_or_else(|| "no reason given".to_owned())
                ));
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

/// The pod for one node. It goes through the scheduler, which knows whether a GPU is free, and stands every taint.
fn pod(options: &Options, node: &str) -> Result<Pod, serde_json::Error> {
    let gpu = options.runtime_class.is_none().then_some("1");
    let mut resources = json!({
        "limits": {"cpu": "100m", "memory": "128Mi"},
        "requests": {"cpu": "50m", "memory": "64Mi"},
    });
    if let Some(count) = gpu {
        resources["limits"][RESOURCE] = count.into();
        resources["requests"][RESOURCE] = count.into();
    }
    let (key, value) = LABEL.split_once('=').unwrap_or((LABEL, ""));
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("gpu-inv-smi-{}", suffix()),
            "labels": {key: value, "app.kubernetes.io/managed-by": "dynamoctl"},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": options.timeout,
            "automountServiceAccountToken": false,
            "runtimeClassName": options.runtime_class,
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{
                    "matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}],
                }],
            }}},
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": "smi",
                "image": options.image,
                "command": ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"],
                "env": gpu.is_none().then(|| json!([{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}])),
                "resources": resources,
            }],
        },
    }))
}

/// Six hexadecimal digits that two calls hardly share.
fn suffix() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    format!("{:06x}", RandomState::new().build_hasher().finish() & 0xff_ffff)
}

/// Model and MiB of the first line with two cells.
fn parse(said: &str) -> Option<(String, Option<u64>)> {
    let cells = said.lines().find_map(|line| {
        let (name, rest) = line.split_once(',')?;
        Some((name.trim(), rest.split(',').next().unwrap_or_default()))
    });
    let (name, memory) = cells?;
    Some((name.to_owned(), super::inventory::integer(memory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(runtime_class: Option<&str>) -> Options {
        Options {
            image: "example.com/smi:1".to_owned(),
            timeout: 60,
            parallel: 2,
            runtime_class: runtime_class.map(str::to_owned),
        }
    }

    #[test]
    fn the_pod_goes_through_the_scheduler_stands_taints_and_ends_by_itself() {
        let spec = pod(&options(None), "n").unwrap().spec.unwrap();
        assert_eq!(spec.node_name, None);
        assert_eq!(spec.active_deadline_seconds, Some(60));
        assert_eq!(spec.tolerations.unwrap()[0].operator.as_deref(), Some("Exists"));
        assert_eq!(spec.containers[0].image.as_deref(), Some("example.com/smi:1"));
        let limits = spec.containers[0].resources.clone().unwrap().limits.unwrap();
        assert_eq!(limits[RESOURCE].0, "1");
    }

    #[test]
    fn with_a_runtime_class_no_gpu_is_asked_for() {
        let spec = pod(&options(Some("nvidia")), "n").unwrap().spec.unwrap();
        assert_eq!(spec.runtime_class_name.as_deref(), Some("nvidia"));
        let limits = spec.containers[0].resources.clone().unwrap().limits.unwrap();
        assert!(!limits.contains_key(RESOURCE));
    }

    #[test]
    fn the_first_line_with_two_cells_is_the_answer() {
        let h100 = "NVIDIA H100 80GB HBM3".to_owned();
        assert_eq!(parse("banner\nNVIDIA H100 80GB HBM3, 81559\nother, 1\n"), Some((h100, Some(81559))));
        assert_eq!(parse("A, [N/A]"), Some(("A".to_owned(), None)));
        assert_eq!(parse("nothing\n"), None);
    }
}
