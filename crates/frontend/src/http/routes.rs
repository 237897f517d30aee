//! The route table (runtime.md 4.1) and the small handlers.
//! Must give every refusal a JSON body.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::server::App;
use super::{generate, health, openapi};
use crate::openai::errors::ApiError;

/// All routes over the shared state.
pub fn router(app: Arc<App>) -> Router {
    let paths = app.settings.paths.clone();
    let mut taken = std::collections::HashSet::new();
    let mut router = Router::new();
    for (path, handler) in [
        (paths.models, get(models)),
        (paths.chat, post(generate::chat)),
        (paths.completions, post(generate::completions)),
        (paths.health, get(health::health)),
        (paths.live, get(health::live)),
        (paths.metrics, get(metrics)),
        (paths.embeddings, post(unsupported)),
        (paths.responses, post(unsupported)),
        ("/busy_threshold".to_owned(), get(unsupported).post(unsupported)),
        ("/openapi.json".to_owned(), get(openapi::document)),
    ] {
        if taken.insert(path.clone()) {
            router = router.route(&path, handler);
        } else {
            tracing::warn!("the route {path} is set twice; the second one is left out");
        }
    }
    router
        .fallback(any(not_found))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(app.settings.body_limit))
        .layer(middleware::from_fn_with_state(app.clone(), close_while_draining))
        .with_state(app)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let created = now();
    let data: Vec<Value> = app
        .models
        .names()
        .into_iter()
        .map(|id| json!({"id": id, "object": "model", "created": created, "owned_by": "nvidia"}))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.services.metrics.encode()).into_response()
}

async fn unsupported(request: Request) -> ApiError {
    ApiError::not_implemented(format!(
        "{} is not in this build; chat and text completions are",
        request.uri().path()
    ))
}

async fn not_found(request: Request) -> ApiError {
    let path = request.uri().path();
    ApiError::new(StatusCode::NOT_FOUND, format!("no route {path}; GET /openapi.json lists the routes"))
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} is not allowed for {}", request.method(), request.uri().path()),
    )
}

/// Clients that keep connections open are told to open the next one elsewhere.
async fn close_while_draining(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if app.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
