//! Ends a worker without failing a request: leave the routing, keep serving, drain (runtime.md 3.4).
//! It must not exit by itself, except on a second signal.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::discovery::Discovery;
use crate::settings;
use crate::system::SystemHealth;
use crate::transport::RequestPlaneServer;

/// Exit code after a second signal, as a shell reports SIGTERM.
const IMPATIENT_EXIT: i32 = 143;

/// A token that the first SIGTERM or SIGINT cancels; the second ends the process at once. Must be
/// called inside the async runtime.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = either(&mut terminate, &mut interrupt).await;
        tracing::info!("{name}: shutting down; a second signal exits at once");
        cancelled.cancel();
        let name = either(&mut terminate, &mut interrupt).await;
        tracing::warn!("second {name}: exiting without waiting for requests");
        std::process::exit(IMPATIENT_EXIT);
    });
    Ok(token)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// Times of a graceful shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownSettings {
    /// How long callers may still send after the worker has left discovery,
    /// `DYN_WORKER_SHUTDOWN_PROPAGATION_DELAY` (3 s).
    pub propagation: Duration,
    /// How long requests in work may take, `DYN_WORKER_GRACEFUL_SHUTDOWN_TIMEOUT` (30 s).
    pub timeout: Duration,
}

impl ShutdownSettings {
    pub fn from_environment() -> Self {
        Self {
            propagation: settings::seconds("DYN_WORKER_SHUTDOWN_PROPAGATION_DELAY", 3.0),
            timeout: settings::seconds("DYN_WORKER_GRACEFUL_SHUTDOWN_TIMEOUT", 30.0),
        }
    }
}

/// Takes a worker out of service. Returns the number of requests cut off at the end of the time.
///
/// Order: `/health` says no, discovery entries go, requests are still accepted for the propagation
/// delay, then refused (the caller tries elsewhere), and those in work may finish. A failed write to
/// discovery is logged and does not stop the shutdown: the pod's own end hides it as well.
pub async fn drain_worker(
    health: &SystemHealth,
    discovery: &Discovery,
    servers: &[&RequestPlaneServer],
    settings: ShutdownSettings,
) -> usize {
    health.begin_shutdown();
    let deadline = tokio::time::Instant::now() + settings.propagation + settings.timeout;
    match tokio::time::timeout(settings.timeout, discovery.unregister_all()).await {
        Ok(Ok(())) => tracing::info!("left discovery"),
        Ok(Err(error)) => tracing::error!("the discovery entries could not be removed: {error}"),
        Err(_) => tracing::error!("the discovery entries could not be removed in time"),
    }
    tokio::time::sleep(settings.propagation).await;
    let mut left = 0;
    for server in servers {
        server.refuse_new();
    }
    for server in servers {
        left += server.drain(deadline.saturating_duration_since(tokio::time::Instant::now())).await;
    }
    match left {
        0 => tracing::info!("all requests answered"),
        left => tracing::warn!("{left} requests were not finished in time and are cut off"),
    }
    left
}
