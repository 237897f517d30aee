//! Which optional APIs the cluster serves (`operator-process.md` section 3): asked at the start and again and again,
//! so that one that is installed later is used without a restart.
//! A cluster that does not answer tells nothing: what was known stays known.

use std::time::Duration;

use dynamo_kubekit::{backoff::jittered, client::chain};
use dynamo_render::{OperatorConfig, Policy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroupList;
use kube::Client;
use tokio::{sync::watch, time::Instant};
use tracing::{info, warn};

use crate::metrics::OptionalApiMetrics;

/// API groups that this operator uses when they are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OptionalApis {
    /// `grove.io`
    pub grove: bool,
    /// `leaderworkerset.x-k8s.io`
    pub lws: bool,
    /// `scheduling.volcano.sh`
    pub volcano: bool,
    /// `scheduling.run.ai`
    pub kai: bool,
    /// `inference.networking.k8s.io`
    pub inference_pools: bool,
    /// `networking.istio.io`
    pub istio: bool,
    /// `monitoring.coreos.com`
    pub prometheus_operator: bool,
    /// `cert-manager.io`
    pub cert_manager: bool,
}

impl OptionalApis {
    /// Every group and whether it is served.
    #[must_use]
    pub fn groups(&self) -> [(&'static str, bool); 8] {
        // Destructured so that a new group cannot be forgotten here.
        let Self { grove, lws, volcano, kai, inference_pools, istio, prometheus_operator, cert_manager } =
            *self;
        [
            ("grove.io", grove),
            ("leaderworkerset.x-k8s.io", lws),
            ("scheduling.volcano.sh", volcano),
            ("scheduling.run.ai", kai),
            ("inference.networking.k8s.io", inference_pools),
            ("networking.istio.io", istio),
            ("monitoring.coreos.com", prometheus_operator),
            ("cert-manager.io", cert_manager),
        ]
    }

    /// What validation may ask of the cluster.
    #[must_use]
    pub fn policy<'a>(&self, config: &'a OperatorConfig, restricted: bool) -> Policy<'a> {
        Policy { config, restricted, inference_pools: Some(self.inference_pools) }
    }

    /// Those that a list of API groups names.
    #[must_use]
    pub fn of(list: &APIGroupList) -> Self {
        let has = |name: &str| list.groups.iter().any(|group| group.name == name);
        Self {
            grove: has("grove.io"),
            lws: has("leaderworkerset.x-k8s.io"),
            volcano: has("scheduling.volcano.sh"),
            kai: has("scheduling.run.ai"),
            inference_pools: has("inference.networking.k8s.io"),
            istio: has("networking.istio.io"),
            prometheus_operator: has("monitoring.coreos.com"),
            cert_manager: has("cert-manager.io"),
        }
    }
}

/// Times of the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Pause between two looks while the process runs; jittered. Queues of KAI are looked for as often.
    pub every: Duration,
    /// Pause after an error at the start.
    pub retry: Duration,
    /// How long the start may see errors.
    pub patience: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(60),
            retry: Duration::from_secs(2),
            patience: Duration::from_secs(60),
        }
    }
}

/// The cluster did not tell its API groups at the start.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the API groups of the cluster (GET /apis), tried for {} s", tried.as_secs())]
pub struct Unknown {
    tried: Duration,
    source: kube::Error,
}

/// Looks again and again, and tells who listens.
pub struct Probe {
    client: Client,
    timing: Timing,
    metrics: OptionalApiMetrics,
    known: watch::Sender<OptionalApis>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("timing", &self.timing).finish_non_exhaustive()
    }
}

impl Probe {
    /// Takes the first look, one request; errors are retried for [`Timing::patience`].
    ///
    /// # Errors
    /// [`Unknown`] when no answer came in that time: to go on would mean to guess.
    pub async fn start(
        client: Client,
        metrics: OptionalApiMetrics,
        timing: Timing,
    ) -> Result<(Self, watch::Receiver<OptionalApis>), Unknown> {
        let begin = Instant::now();
        let first = loop {
            match client.list_api_groups().await {
                Ok(list) => break OptionalApis::of(&list),
                Err(source) if begin.elapsed() >= timing.patience => {
                    return Err(Unknown { tried: begin.elapsed(), source });
                }
                Err(error) => warn!(error = %chain(&error), "cannot list the API groups yet"),
            }
            tokio::time::sleep(jittered(timing.retry)).await;
        };
        for (group, served) in first.groups() {
            info!(group, served, "optional API");
        }
        metrics.set(&first);
        let (known, receiver) = watch::channel(first);
        Ok((Self { client, timing, metrics, known }, receiver))
    }

    /// Looks again every [`Timing::every`], for ever. Listeners are woken by changes only.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(jittered(self.timing.every)).await;
            match self.client.list_api_groups().await {
                Ok(list) => self.tell(OptionalApis::of(&list)),
                Err(error) => {
                    warn!(error = %chain(&error), "cannot list the API groups, the last answer stays in use");
                }
            }
        }
    }

    fn tell(&self, now: OptionalApis) {
        let before = *self.known.borrow();
        for ((group, served), (_, earlier)) in now.groups().into_iter().zip(before.groups()) {
            if served != earlier {
                info!(group, served, "optional API has changed");
            }
        }
        if now != before {
            self.metrics.set(&now);
            self.known.send_replace(now);
        }
    }
}
