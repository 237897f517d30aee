//! GET /openapi.json: which routes exist.
//! Must list only what is served.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::server::App;

pub async fn document(State(app): State<Arc<App>>) -> Json<Value> {
    let answer = |text: &str| json!({"responses": {"200": {"description": text}}});
    let body = |text: &str, required: &[&str]| {
        let schema = json!({"type": "object", "required": required});
        json!({
            "requestBody": {"required": true, "content": {"application/json": {"schema": schema}}},
            "responses": {
                "200": {"description": text},
                "400": {"description": "a value is missing, malformed or out of range"},
                "404": {"description": "the model is not served"},
                "503": {"description": "no worker is available"},
            },
        })
    };
    let paths = &app.settings.paths;
    let mut routes = serde_json::Map::new();
    for (path, method, operation) in [
        (&paths.models, "get", answer("the models that are served")),
        (&paths.chat, "post", body("a chat completion or its event stream", &["model", "messages"])),
        (&paths.completions, "post", body("a text completion or its event stream", &["model", "prompt"])),
        (&paths.health, "get", answer("ready, with the visible instances")),
        (&paths.live, "get", answer("alive")),
        (&paths.metrics, "get", answer("Prometheus text")),
    ] {
        routes.insert(path.clone(), json!({method: operation}));
    }
    Json(json!({
        "openapi": "3.1.0",
        "info": {"title": "Dynamo frontend", "version": env!("CARGO_PKG_VERSION")},
        "paths": routes,
    }))
}
