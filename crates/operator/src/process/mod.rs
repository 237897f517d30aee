//! The order in which the process starts and ends (`operator-process.md` sections 2, 4).
//! Everything that must live is a task here; when one ends, so does the process.

mod admission;
mod cluster;
mod environment;
mod etcd_auth;
mod job;
mod leadership;
mod listeners;
mod signals;
mod start;

use std::time::Duration;

use dynamo_kubekit::lease::Lost;
use tokio::{sync::watch, task::JoinSet};
use tracing::{info, warn};

use crate::{
    certs, flags::Flags, optional_apis, scope::ClaimLost, self_signed::SelfSignedError, server::ServeError,
    webhook,
};
use signals::Signals;
use start::start;

pub use environment::{WrongValue, apply_from as apply_environment};
pub use etcd_auth::run as run_etcd_auth;
pub use job::run as run_job;

/// How long everything that runs at the end may take: less than the 30 s that a pod has.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);

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
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    #[error("cannot make the certificate of the metrics listener")]
    SelfSigned(#[source] SelfSignedError),
    #[error(transparent)]
    Environment(#[from] environment::WrongValue),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Bind(#[from] webhook::server::BindError),
    #[error(transparent)]
    Apis(#[from] optional_apis::Unknown),
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error(transparent)]
    ClaimLost(#[from] ClaimLost),
    #[error(transparent)]
    Certificate(#[from] certs::Error),
    #[error("cut off by a second signal: what still ran was not finished")]
    SecondSignal,
    #[error("a task that must live has ended: {0}")]
    Task(String),
    #[error("--leader-election-namespace is required outside of a cluster")]
    NoLeaseNamespace,
    #[error("--credentials-namespace is required outside of a cluster")]
    NoCredentialsNamespace,
    #[error("--webhook-namespace is required outside of a cluster")]
    NoWebhookNamespace,
    #[error("ETCD_AUTH_PASSWORD is not set: put the password of the user into this variable")]
    NoPassword,
    #[error(transparent)]
    EtcdAuth(#[from] crate::etcd_auth::Error),
    #[error("--webhook-validating-configuration is required with --webhook-certificate-mode=operator")]
    NoRegistrations,
}

/// Tasks that must live as long as the process.
type Tasks = JoinSet<Result<(), Error>>;

/// Runs the operator until a signal or a failure.
///
/// # Errors
/// See [`Error`]; a requested end is no error.
pub async fn run(flags: Flags) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let (stop, stopping) = watch::channel(false);
    let mut work = std::pin::pin!(work(flags, stopping));
    tokio::select! {
        outcome = &mut work => return outcome,
        () = signals.next() => {}
    }
    info!("stopping: finishing what runs");
    let _ = stop.send(true);
    tokio::select! {
        outcome = tokio::time::timeout(DRAIN_LIMIT, work) => outcome.unwrap_or_else(|_| {
            warn!("what ran did not finish within {} s", DRAIN_LIMIT.as_secs());
            Ok(())
        }),
        () = signals.next() => Err(Error::SecondSignal),
    }
}

async fn work(flags: Flags, stopping: watch::Receiver<bool>) -> Result<(), Error> {
    let mut tasks = Tasks::new();
    let mut stop = stopping.clone();
    // The listeners of probes are among the tasks before the rest has started.
    let work = tokio::select! {
        work = start(flags, &mut tasks, stopping) => work?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    tokio::select! {
        outcome = work => outcome,
        ended = tasks.join_next() => Err(task_error(ended)),
    }
}

fn task_error(ended: Option<Result<Result<(), Error>, tokio::task::JoinError>>) -> Error {
    match ended {
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => Error::Task(error.to_string()),
        Some(Ok(Ok(()))) | None => Error::Task("a watch or a listener".to_owned()),
    }
}
