//! The system status server of a worker: health, liveness, metrics, metadata (runtime.md 3).
//! It must not change what it reports about.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::discovery::Discovery;
use crate::metrics::{CONTENT_TYPE, MetricsRegistry};
use crate::settings;

/// Where the server listens and which rule decides readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemSettings {
    /// `DYN_SYSTEM_HOST`.
    pub host: IpAddr,
    /// `DYN_SYSTEM_PORT`; `None` (−1 or unset) is off, 0 any free port.
    pub port: Option<u16>,
    /// `DYN_SYSTEM_HEALTH_PATH`.
    pub health_path: String,
    /// `DYN_SYSTEM_LIVE_PATH`.
    pub live_path: String,
    /// `DYN_SYSTEM_STARTING_HEALTH_STATUS` is `ready`.
    pub starts_ready: bool,
    /// `DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS`.
    pub watched_endpoints: Vec<String>,
}

impl Default for SystemSettings {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: None,
            health_path: "/health".to_owned(),
            live_path: "/live".to_owned(),
            starts_ready: false,
            watched_endpoints: Vec::new(),
        }
    }
}

impl SystemSettings {
    pub fn from_environment() -> Self {
        let defaults = Self::default();
        let path = |name, default: String| match settings::text(name) {
            Some(path) if path.starts_with('/') => path,
            Some(path) => format!("/{path}"),
            None => default,
        };
        let port = settings::parsed("DYN_SYSTEM_PORT", -1_i32);
        let watched = settings::text("DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS");
        let watched_endpoints = watched.map(|text| {
            serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::warn!(
                    "DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS=`{text}` is not a JSON list of names ({error}); \
                     ignored"
                );
                Vec::new()
            })
        });
        let starting = settings::text("DYN_SYSTEM_STARTING_HEALTH_STATUS");
        Self {
            host: settings::parsed("DYN_SYSTEM_HOST", defaults.host),
            port: u16::try_from(port).ok(),
            health_path: path("DYN_SYSTEM_HEALTH_PATH", defaults.health_path),
            live_path: path("DYN_SYSTEM_LIVE_PATH", defaults.live_path),
            starts_ready: starting.is_some_and(|status| status.eq_ignore_ascii_case("ready")),
            watched_endpoints: watched_endpoints.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Default)]
struct HealthState {
    /// Endpoint name to ready.
    endpoints: BTreeMap<String, bool>,
    /// Endpoints with a health-check payload.
    checked: Vec<String>,
    shutting_down: bool,
}

/// Health of the process; clones share it.
#[derive(Clone, Debug)]
pub struct SystemHealth {
    state: Arc<Mutex<HealthState>>,
    starts_ready: bool,
    watched: Arc<Vec<String>>,
    start: Instant,
}

impl SystemHealth {
    pub fn new(settings: &SystemSettings) -> Self {
        Self {
            state: Arc::default(),
            starts_ready: settings.starts_ready,
            watched: Arc::new(settings.watched_endpoints.clone()),
            start: Instant::now(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HealthState) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An endpoint is ready once its handler is registered with the request plane.
    pub fn set_endpoint(&self, name: &str, ready: bool) {
        self.with(|state| state.endpoints.insert(name.to_owned(), ready));
    }

    /// The endpoint has a health-check payload: rule 2 of 3.2 counts it.
    pub fn set_checked(&self, name: &str) {
        self.with(|state| state.checked.push(name.to_owned()));
    }

    /// From now on the process is not ready, whatever the endpoints say.
    pub fn begin_shutdown(&self) {
        self.with(|state| state.shutting_down = true);
    }

    /// The rules of 3.2, first that applies; shutdown comes before all of them.
    pub fn is_ready(&self) -> bool {
        self.with(|state| {
            let ready = |name: &String| state.endpoints.get(name).copied().unwrap_or(false);
            if state.shutting_down {
                false
            } else if !self.watched.is_empty() {
                self.watched.iter().all(ready)
            } else if !state.checked.is_empty() {
                state.checked.iter().all(ready)
            } else {
                self.starts_ready
            }
        })
    }

    fn report(&self) -> Value {
        let word = |ready| if ready { "ready" } else { "notready" };
        let ready = self.is_ready();
        let uptime = self.start.elapsed();
        let endpoints: BTreeMap<String, &str> = self
            .with(|state| state.endpoints.iter().map(|(name, ready)| (name.clone(), word(*ready))).collect());
        json!({
            "status": word(ready),
            "uptime": {"secs": uptime.as_secs(), "nanos": uptime.subsec_nanos()},
            "endpoints": endpoints,
        })
    }
}

#[derive(Clone)]
struct Served {
    health: SystemHealth,
    metrics: MetricsRegistry,
    discovery: Option<Discovery>,
}

/// The running server; dropping it closes the port.
#[derive(Debug)]
pub struct SystemServer {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl SystemServer {
    /// Starts the server; `None` when the settings say off.
    pub async fn start(
        settings: &SystemSettings,
        health: SystemHealth,
        metrics: MetricsRegistry,
        discovery: Option<Discovery>,
    ) -> io::Result<Option<Self>> {
        let Some(port) = settings.port else { return Ok(None) };
        let listener = TcpListener::bind((settings.host, port)).await?;
        let address = listener.local_addr()?;
        let router = router(settings, Served { health, metrics, discovery });
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the system status server ended: {error}");
            }
        });
        tracing::info!("system status server on {address}");
        Ok(Some(Self { address, _task: AbortOnDropHandle::new(task) }))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn router(settings: &SystemSettings, served: Served) -> Router {
    let router = Router::new().route(&settings.health_path, get(health));
    let router = if settings.live_path == settings.health_path {
        router
    } else {
        router.route(&settings.live_path, get(live))
    };
    let not_found = || async { (StatusCode::NOT_FOUND, "Route not found") };
    router
        .route("/metrics", get(metrics))
        .route("/metadata", get(metadata))
        .fallback(not_found)
        .with_state(served)
}

async fn health(State(served): State<Served>) -> Response {
    let report = served.health.report();
    let code = if report["status"] == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, axum::Json(report)).into_response()
}

/// Alive as long as it answers: a worker that loads or drains must not be killed by its probe, so
/// the code differs from `/health` although the body is the same (runtime.md, Weak spots).
async fn live(State(served): State<Served>) -> Response {
    (StatusCode::OK, axum::Json(served.health.report())).into_response()
}

async fn metrics(State(served): State<Served>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], served.metrics.encode()).into_response()
}

async fn metadata(State(served): State<Served>) -> Response {
    match served.discovery.as_ref().and_then(Discovery::own_metadata) {
        Some(metadata) => axum::Json(metadata).into_response(),
        None => (StatusCode::NOT_FOUND, "Discovery metadata exists only with Kubernetes discovery")
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn settings(watched: &[&str]) -> SystemSettings {
        SystemSettings {
            host: Ipv4Addr::LOCALHOST.into(),
            port: Some(0),
            watched_endpoints: watched.iter().map(|name| (*name).to_owned()).collect(),
            ..SystemSettings::default()
        }
    }

    async fn fetch(server: &SystemServer, path: &str) -> (u16, String) {
        let mut socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[test]
    fn the_first_rule_that_applies_decides_readiness() {
        let health = SystemHealth::new(&settings(&["generate"]));
        health.set_checked("other");
        health.set_endpoint("other", true);
        assert!(!health.is_ready(), "listed endpoints come first");
        health.set_endpoint("generate", true);
        assert!(health.is_ready());

        let health = SystemHealth::new(&settings(&[]));
        assert!(!health.is_ready(), "the starting status stays");
        health.set_endpoint("generate", true);
        assert!(!health.is_ready(), "endpoints without a payload do not count");
        health.set_checked("generate");
        assert!(health.is_ready());

        let ready = SystemSettings { starts_ready: true, ..settings(&[]) };
        assert!(SystemHealth::new(&ready).is_ready());
    }

    #[tokio::test]
    async fn a_draining_worker_is_not_ready_but_alive() {
        let settings = settings(&["generate"]);
        let health = SystemHealth::new(&settings);
        let server = SystemServer::start(&settings, health.clone(), MetricsRegistry::default(), None).await;
        let server = server.unwrap().unwrap();
        assert_eq!(fetch(&server, "/health").await.0, 503);
        health.set_endpoint("generate", true);
        let (code, body) = fetch(&server, "/health").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (code, &body["status"], &body["endpoints"]["generate"]),
            (200, &json!("ready"), &json!("ready"))
        );
        assert!(body["uptime"]["secs"].is_u64() && body["uptime"]["nanos"].is_u64());
        health.begin_shutdown();
        assert_eq!(fetch(&server, "/health").await.0, 503);
        assert_eq!(fetch(&server, "/live").await.0, 200);
    }

    #[tokio::test]
    async fn other_routes_answer_as_in_the_contract() {
        let settings = settings(&[]);
        let health = SystemHealth::new(&settings);
        let discovery = Some(Discovery::memory());
        let server = SystemServer::start(&settings, health, MetricsRegistry::default(), discovery).await;
        let server = server.unwrap().unwrap();
        assert_eq!(fetch(&server, "/nothing").await, (404, "Route not found".to_owned()));
        assert_eq!(fetch(&server, "/metadata").await.0, 404);
        let (code, text) = fetch(&server, "/metrics").await;
        assert!(code == 200 && text.contains("# EOF"), "{text}");
    }

    #[tokio::test]
    async fn without_a_port_there_is_no_server() {
        let off = SystemSettings { port: None, ..settings(&[]) };
        let health = SystemHealth::new(&off);
        let server = SystemServer::start(&off, health, MetricsRegistry::default(), None).await.unwrap();
        assert!(server.is_none());
    }
}
