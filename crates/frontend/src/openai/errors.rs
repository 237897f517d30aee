//! Errors of the HTTP interface: status and the JSON body of runtime.md 4.2.
//! Must not carry internals that a client cannot act on.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An error that a client gets to see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {message}")]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
}

/// `{"message","type","code"}`, type being the reason phrase of the status.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct ErrorBody {
    pub message: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub code: u16,
}

impl ApiError {
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A value outside its range (runtime.md 4.3).
    #[must_use]
    pub fn validation(message: impl std::fmt::Display) -> Self {
        Self::bad_request(format!("Validation: {message}"))
    }

    #[must_use]
    pub fn model_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Model not found")
    }

    #[must_use]
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// A backend failure without a status of its own.
    #[must_use]
    pub fn generation(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("Failed to generate completions: {message}"))
    }

    /// The error a worker reported: a 4xx code found in its JSON text is passed on (runtime.md 4.2).
    #[must_use]
    pub fn from_worker(text: &str) -> Self {
        let parsed = serde_json::from_str::<serde_json::Value>(text).ok();
        let field = |name: &str| parsed.as_ref().and_then(|value| value.get(name));
        let status = field("code")
            .or_else(|| field("status"))
            .and_then(serde_json::Value::as_u64)
            .and_then(|code| u16::try_from(code).ok())
            .and_then(|code| StatusCode::from_u16(code).ok());
        let message = field("message").and_then(serde_json::Value::as_str).unwrap_or(text);
        match status {
            Some(status) if status.is_client_error() || status.is_server_error() => {
                Self::new(status, message)
            }
            _ => Self::generation(message),
        }
    }

    #[must_use]
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            message: self.message.clone(),
            kind: self.status.canonical_reason().unwrap_or("Unknown").to_owned(),
            code: self.status.as_u16(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_message_reason_phrase_and_code() {
        let text = serde_json::to_string(&ApiError::model_not_found().body()).unwrap();
        assert_eq!(text, r#"{"message":"Model not found","type":"Not Found","code":404}"#);
    }

    #[test]
    fn worker_errors_keep_their_client_status_and_others_become_500() {
        let passed = ApiError::from_worker(r#"{"message":"too long","code":400}"#);
        assert_eq!((passed.status, passed.message.as_str()), (StatusCode::BAD_REQUEST, "too long"));
        let other = ApiError::from_worker("engine died");
        assert_eq!(other.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(other.message, "Failed to generate completions: engine died");
    }
}
