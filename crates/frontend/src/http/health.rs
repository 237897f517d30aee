//! /health and /live (runtime.md 4.1 and Weak spots).
//! Must answer from memory only: probes have to be fast whatever the workers do.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::server::App;

/// Ready after the first complete view of discovery and until the shutdown begins.
pub async fn health(State(app): State<Arc<App>>) -> Response {
    let snapshot = app.snapshots.borrow().clone();
    let endpoints: BTreeSet<String> =
        snapshot.instances.values().map(|instance| instance.id.to_string()).collect();
    let instances: Vec<Value> = snapshot
        .instances
        .values()
        .map(|instance| {
            json!({
                "component": instance.id.component,
                "endpoint": instance.id.endpoint,
                "namespace": instance.id.namespace,
                "instance_id": instance.instance_id,
                "transport": instance.transport,
            })
        })
        .collect();
    let ready = app.models.is_synced() && !app.is_draining();
    let (status, word) =
        if ready { (StatusCode::OK, "healthy") } else { (StatusCode::SERVICE_UNAVAILABLE, "notready") };
    (status, Json(json!({"status": word, "endpoints": endpoints, "instances": instances}))).into_response()
}

pub async fn live(State(app): State<Arc<App>>) -> Response {
    let (status, body) = if app.is_draining() {
        let body = json!({"status": "shutting_down", "message": "Service is shutting down"});
        (StatusCode::SERVICE_UNAVAILABLE, body)
    } else {
        (StatusCode::OK, json!({"status": "live", "message": "Service is live"}))
    };
    (status, Json(body)).into_response()
}
