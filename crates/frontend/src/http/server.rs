//! The listening server and its life: ready, draining, stopped (runtime.md 3.4, Weak spots).
//! Must keep serving for a while after the shutdown begins, since clients learn about it late.

use std::future::IntoFuture;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::serve::ListenerExt;
use dynamo_router::RouterMode;
use dynamo_runtime::{Discovery, PushClient, Snapshot};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::routes;
use crate::flags::HttpSettings;
use crate::metrics::{DEFAULT_PREFIX, Metrics};
use crate::models::{ModelWatcher, Models, NamespaceFilter};
use crate::pipeline::dispatch::Dispatcher;
use crate::pipeline::generate::Services;

/// What every handler sees.
#[derive(Debug)]
pub struct App {
    pub settings: HttpSettings,
    pub models: Arc<Models>,
    pub services: Arc<Services>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    draining: AtomicBool,
}

impl App {
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// How a frontend is set up.
#[derive(Debug, Clone)]
pub struct FrontendConfig {
    pub host: IpAddr,
    /// 0 for a port chosen by the system.
    pub port: u16,
    pub namespace: Option<String>,
    pub router_mode: RouterMode,
    pub migration_limit: u32,
    pub enforce_disagg: bool,
    pub metrics_prefix: String,
    /// How long a request waits for an instance of its model.
    pub patience: Duration,
    pub http: HttpSettings,
}

impl Default for FrontendConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::from([0, 0, 0, 0]),
            port: 8000,
            namespace: None,
            router_mode: RouterMode::RoundRobin,
            migration_limit: 0,
            enforce_disagg: false,
            metrics_prefix: DEFAULT_PREFIX.to_owned(),
            patience: Duration::from_secs(5),
            http: HttpSettings::default(),
        }
    }
}

/// Why a frontend did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}; choose another --http-host or --http-port")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// A running frontend. Dropping it stops it without waiting for requests.
#[derive(Debug)]
pub struct Frontend {
    address: SocketAddr,
    app: Arc<App>,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    _watcher: AbortOnDropHandle<()>,
}

impl Frontend {
    /// Listens, and follows discovery in the background; requests are answered from the first moment.
    ///
    /// # Errors
    /// When the address is taken or not of this host.
    pub async fn start(
        config: FrontendConfig,
        discovery: Discovery,
        client: PushClient,
    ) -> Result<Self, StartError> {
        let wanted = SocketAddr::new(config.host, config.port);
        let listen = |source| StartError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let models = Arc::new(Models::default());
        let metrics = Arc::new(Metrics::new(&config.metrics_prefix));
        let namespace = NamespaceFilter::new(config.namespace.as_deref());
        if let Some(only) = namespace.only() {
            discovery.limit_to(only);
        }
        let watcher = ModelWatcher::new(models.clone(), metrics.clone(), namespace, config.router_mode);
        let services = Arc::new(Services {
            dispatcher: Dispatcher { client, patience: config.patience },
            metrics,
            migration_limit: config.migration_limit,
            enforce_disagg: config.enforce_disagg,
        });
        let app = Arc::new(App {
            settings: config.http,
            models,
            services,
            snapshots: discovery.watch(),
            draining: AtomicBool::new(false),
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let listener = listener.tap_io(|socket| {
            if let Err(cause) = socket.set_nodelay(true) {
                tracing::debug!("TCP_NODELAY was refused: {cause}");
            }
        });
        let server = axum::serve(listener, routes::router(app.clone())).with_graceful_shutdown(stopped);
        Ok(Self {
            address,
            app,
            stop,
            server: tokio::spawn(server.into_future()),
            _watcher: AbortOnDropHandle::new(tokio::spawn(watcher.run(discovery))),
        })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// True once the first complete view of discovery has been applied.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.app.models.is_synced()
    }

    /// From now on /health answers 503 and connections close after their answer; requests still succeed.
    pub fn begin_drain(&self) {
        self.app.draining.store(true, Ordering::Release);
    }

    /// Ends without failing a request: not ready, a pause in which clients turn away, then no new
    /// connections, then at most the drain time for what is in work. Returns false when requests were cut off.
    pub async fn shutdown(mut self) -> bool {
        self.begin_drain();
        tokio::time::sleep(self.app.settings.pre_drain).await;
        self.stop.cancel();
        let limit = self.app.settings.drain;
        let finished = tokio::time::timeout(limit, &mut self.server).await.is_ok();
        if !finished {
            tracing::warn!(
                "requests still in work after {} s are cut off (DYN_HTTP_GRACEFUL_SHUTDOWN_TIMEOUT_SECS)",
                limit.as_secs_f64()
            );
        }
        finished
    }
}

impl Drop for Frontend {
    fn drop(&mut self) {
        self.server.abort();
    }
}
