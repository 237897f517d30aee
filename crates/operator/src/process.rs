//! The order in which the process starts and ends (`operator-process.md` sections 2, 4).
//! Everything that must live is a task here; when one ends, so does the process.

use std::{sync::Arc, time::Duration};

use dynamo_kubekit::{
    client,
    lease::{Candidate, Lost, Timing},
    metrics::{ApiMetrics, ReconcileMetrics},
};
use kube::{Client, Config, config::KubeConfigOptions, config::Kubeconfig};
use prometheus_client::registry::Registry;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tracing::{info, warn};

use crate::{
    context::Context,
    flags::{Flags, LeaderElection},
    scope::{self, BadSettings, Claim, ClaimLost, Exclusions, Scope},
    server::{self, Readiness, ServeError},
    wiring,
};

/// How long reconciles that run at the end may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Why the process ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no cluster: neither --kubeconfig, KUBECONFIG, an account of a pod nor ~/.kube/config can be used"
    )]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot set up the client")]
    Client(#[source] kube::Error),
    #[error("cannot listen for signals")]
    Signal(#[source] std::io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error(transparent)]
    Scope(#[from] BadSettings),
    #[error(transparent)]
    ClaimLost(#[from] ClaimLost),
    #[error("a task that must live has ended: {0}")]
    Task(String),
    #[error("--leader-election-namespace is required outside of a cluster")]
    NoLeaseNamespace,
}

/// Runs the operator until a signal or a failure.
///
/// # Errors
/// See [`Error`]; a requested end is no error.
pub async fn run(flags: Flags) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let config = load_config(flags.kubeconfig.as_deref()).await?;
    let api_metrics = Arc::new(ApiMetrics::default());
    let reconcile_metrics = ReconcileMetrics::default();
    let mut registry = Registry::default();
    api_metrics.register(&mut registry);
    reconcile_metrics.register(&mut registry);
    // Leases are written by a client of their own: by them the right to write is had.
    let plain = client::build(&config, Arc::clone(&api_metrics)).map_err(Error::Client)?;
    let candidate = flags.leader_election.as_ref().map(|election| candidate(&plain, election)).transpose()?;
    let term = candidate.as_ref().map(Candidate::term);
    let scope = scope_settings(&flags)?;
    let (scope, claim) = match flags.restricted_namespace.as_deref() {
        Some(namespace) => {
            let claim = Claim::new(plain.clone(), namespace, &flags.version, scope);
            (Scope::restricted(claim.ticket(), term), Some(claim))
        }
        None => (Scope::cluster_wide(Exclusions::new(plain.clone(), scope), term), None),
    };
    let client =
        client::build_fenced(&config, api_metrics, Arc::new(scope.clone())).map_err(Error::Client)?;
    info!(version = %flags.version, namespace = flags.restricted_namespace.as_deref().unwrap_or("all"), "starting");

    let ready = Readiness::default();
    let caches_filled = ready.condition("caches", "the caches are not filled yet");
    let mut tasks = JoinSet::new();
    if let Some(address) = flags.probe_address {
        tasks.spawn(server::probes(address, ready));
    }
    if let Some(address) = flags.metrics_address {
        tasks.spawn(server::metrics(address, Arc::new(registry)));
    }
    let mut wiring = wiring::connect(&client, flags.restricted_namespace.as_deref(), &reconcile_metrics);
    for feed in std::mem::take(&mut wiring.feeds) {
        tasks.spawn(async move {
            feed.await;
            Ok(())
        });
    }
    let mut claims = None;
    if let Some(exclusions) = scope.exclusions() {
        let (feed, cache) = exclusions.feed();
        let expiry = exclusions.clone().run(wiring.waker());
        tasks.spawn(async move {
            tokio::select! {
                () = feed => {}
                () = expiry => {}
            }
            Ok(())
        });
        claims = Some(cache);
    }
    let context = Arc::new(Context::new(client, &wiring, flags.render, reconcile_metrics, scope));

    let (stop, stopping) = watch::channel(false);
    let work = async move {
        let mut stopped = stopping.clone();
        let filled = async {
            if let Some(claims) = &claims {
                claims.wait_until_ready().await?;
            }
            context.caches.wait_until_ready().await
        };
        tokio::select! {
            filled = filled => filled.map_err(|_| Error::Task("a watch before its first list".to_owned()))?,
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
        }
        caches_filled.set(true);
        info!("caches filled");
        lead(candidate, claim, wiring.controllers(context, stopping.clone()), stopping).await
    };
    let mut work = std::pin::pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        ended = tasks.join_next() => return Err(task_error(ended)),
        () = signals.next() => {}
    }
    info!("stopping: finishing what runs");
    let _ = stop.send(true);
    tokio::select! {
        outcome = tokio::time::timeout(DRAIN_LIMIT, work) => match outcome {
            Ok(outcome) => outcome,
            Err(_) => {
                warn!("reconciles did not finish within {} s", DRAIN_LIMIT.as_secs());
                Ok(())
            }
        },
        () = signals.next() => Err(Error::Task("second signal".to_owned())),
    }
}

/// Runs `controllers` while this process leads; without election it always does.
async fn lead(
    candidate: Option<Candidate>,
    claim: Option<Claim>,
    controllers: impl Future<Output = ()>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), Error> {
    let Some(mut candidate) = candidate else {
        return own(claim, controllers, stopping).await;
    };
    let since = tokio::select! {
        since = candidate.acquire() => since,
        _ = stopping.wait_for(|stop| *stop) => return Ok(()),
    };
    tokio::select! {
        lost = candidate.hold(since) => return Err(lost.into()),
        ended = own(claim, controllers, stopping) => ended?,
    }
    candidate.release().await;
    Ok(())
}

/// Runs `controllers` while the claim on the namespace holds; a cluster-wide operator needs none. The claim is given
/// back as soon as they have ended.
async fn own(
    claim: Option<Claim>,
    controllers: impl Future<Output = ()>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), Error> {
    let Some(mut claim) = claim else {
        controllers.await;
        return Ok(());
    };
    let mut ticket = claim.ticket();
    let work = async move {
        tokio::select! {
            () = ticket.granted() => controllers.await,
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    };
    tokio::select! {
        lost = claim.keep() => return Err(lost.into()),
        () = work => {}
    }
    claim.release().await;
    Ok(())
}

/// The times of the claim count in restricted mode only.
fn scope_settings(flags: &Flags) -> Result<scope::Settings, Error> {
    let lease = flags.scope_lease;
    let duration = lease.map(|lease| lease.duration);
    let interval = lease.map(|lease| lease.renew_interval);
    Ok(scope::Settings::new(duration, interval, Some(flags.scope_hand_over))?)
}

fn candidate(client: &Client, election: &LeaderElection) -> Result<Candidate, Error> {
    const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    let own = || std::fs::read_to_string(POD_NAMESPACE).ok().map(|text| text.trim().to_owned());
    let namespace = election.namespace.clone().or_else(own).ok_or(Error::NoLeaseNamespace)?;
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "operator".to_owned());
    let identity = format!("{host}_{}", uuid::Uuid::new_v4());
    Ok(Candidate::new(client.clone(), &namespace, &election.id, identity, Timing::default()))
}

/// The order of `operator-process.md` section 1: flag, `KUBECONFIG`, the pod's account, `~/.kube/config`.
async fn load_config(path: Option<&str>) -> Result<Config, Error> {
    let boxed = |error: kube::config::KubeconfigError| Error::Config(Box::new(error));
    let options = KubeConfigOptions::default();
    if let Some(path) = path {
        let file = Kubeconfig::read_from(path).map_err(boxed)?;
        return Config::from_custom_kubeconfig(file, &options).await.map_err(boxed);
    }
    if std::env::var_os("KUBECONFIG").is_none()
        && let Ok(config) = Config::incluster()
    {
        return Ok(config);
    }
    Config::from_kubeconfig(&options).await.map_err(boxed)
}

fn task_error(ended: Option<Result<Result<(), ServeError>, tokio::task::JoinError>>) -> Error {
    match ended {
        Some(Ok(Err(error))) => Error::Serve(error),
        Some(Err(error)) => Error::Task(error.to_string()),
        Some(Ok(Ok(()))) | None => Error::Task("a watch or a listener".to_owned()),
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Error::Signal)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Error::Signal)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
