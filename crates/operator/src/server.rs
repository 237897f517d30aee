//! The listeners of the process: probes and metrics, plain HTTP.
//! They answer from memory and never ask the API server.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, http::header, response::IntoResponse, routing::get};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;

/// Whether the process may be called ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A listener could not be opened or ended.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve {what} on {address}")]
pub struct ServeError {
    what: &'static str,
    address: String,
    source: std::io::Error,
}

/// Serves `/healthz` and `/readyz` until dropped.
///
/// # Errors
/// When the address cannot be bound.
pub async fn probes(address: String, ready: Readiness) -> Result<(), ServeError> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .with_state(ready);
    serve("probes", address, router).await
}

async fn readyz(State(ready): State<Readiness>) -> impl IntoResponse {
    if ready.get() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the caches are not filled yet")
    }
}

/// Serves `/metrics` until dropped.
///
/// # Errors
/// When the address cannot be bound.
pub async fn metrics(address: String, registry: Arc<Registry>) -> Result<(), ServeError> {
    let router = Router::new().route("/metrics", get(render)).with_state(registry);
    serve("metrics", address, router).await
}

async fn render(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => (
            StatusCode::OK,
            [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
            text,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn serve(what: &'static str, address: String, router: Router) -> Result<(), ServeError> {
    let failed = |source| ServeError { what, address: address.clone(), source };
    let listener = TcpListener::bind(&address).await.map_err(failed)?;
    axum::serve(listener, router).await.map_err(failed)
}
