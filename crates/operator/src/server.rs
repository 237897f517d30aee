//! The listeners of the process: probes and metrics.
//! They answer from memory and never ask the API server; who may read is `metrics_access`'s.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, extract, http::StatusCode, http::header, response::IntoResponse, routing::get};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;

/// Whether the process may be called ready: all of its conditions hold. Without any it is not ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, State>>>);

#[derive(Debug)]
struct State {
    /// What is the matter; `None` while the condition holds.
    trouble: Option<Cow<'static, str>>,
    missing: &'static str,
}

impl Readiness {
    /// Adds a condition that does not hold yet. `missing` says what is the matter as long as it does not.
    #[must_use]
    pub fn condition(&self, name: &'static str, missing: &'static str) -> Condition {
        self.lock().insert(name, State { trouble: Some(missing.into()), missing });
        Condition { name, readiness: self.clone() }
    }

    /// One line for each condition that does not hold; empty when the process is ready.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let conditions = self.lock();
        if conditions.is_empty() {
            return vec!["starting".to_owned()];
        }
        let missing = conditions.iter().filter_map(|(name, state)| Some((name, state.trouble.as_ref()?)));
        missing.map(|(name, trouble)| format!("{name}: {trouble}")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thing that must hold for the process to be ready.
#[derive(Debug, Clone)]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

impl Condition {
    pub fn set(&self, holds: bool) {
        if let Some(state) = self.readiness.lock().get_mut(self.name) {
            state.trouble = (!holds).then_some(state.missing.into());
        }
    }

    /// Says what is the matter, in words of the moment; `None` when the condition holds.
    pub fn report(&self, trouble: Option<String>) {
        if let Some(state) = self.readiness.lock().get_mut(self.name) {
            state.trouble = trouble.map(Cow::Owned);
        }
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
    serve("probes", address, probe_routes(ready)).await
}

fn probe_routes(ready: Readiness) -> Router {
    Router::new().route("/healthz", get(|| async { "ok" })).route("/readyz", get(readyz)).with_state(ready)
}

async fn readyz(extract::State(ready): extract::State<Readiness>) -> impl IntoResponse {
    let missing = ready.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n"))
    }
}

/// Serves `/metrics` over plain HTTP until dropped.
///
/// # Errors
/// When the address cannot be bound.
pub async fn metrics(address: String, registry: Arc<Registry>) -> Result<(), ServeError> {
    serve("metrics", address, metrics_routes(registry)).await
}

/// What the metrics listener answers, for a listener of whatever kind.
pub fn metrics_routes(registry: Arc<Registry>) -> Router {
    Router::new().route("/metrics", get(render)).with_state(registry)
}

async fn render(extract::State(registry): extract::State<Arc<Registry>>) -> impl IntoResponse {
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(ready: &Readiness) -> (StatusCode, String) {
        let answer = readyz(extract::State(ready.clone())).await.into_response();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_means_that_every_condition_holds_and_the_answer_names_those_that_do_not() {
        let ready = Readiness::default();
        assert_eq!(answer(&ready).await, (StatusCode::SERVICE_UNAVAILABLE, "starting".to_owned()));
        let caches = ready.condition("caches", "not filled yet");
        let webhook = ready.condition("webhook", "no certificate yet");
        let both = "caches: not filled yet\nwebhook: no certificate yet".to_owned();
        assert_eq!(answer(&ready).await, (StatusCode::SERVICE_UNAVAILABLE, both));
        caches.set(true);
        let one = "webhook: no certificate yet".to_owned();
        assert_eq!(answer(&ready).await, (StatusCode::SERVICE_UNAVAILABLE, one));
        webhook.set(true);
        assert_eq!(answer(&ready).await, (StatusCode::OK, "ok".to_owned()));
        caches.set(false);
        assert_eq!(answer(&ready).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
