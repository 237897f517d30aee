//! Server-sent event framing (runtime.md 4.4): data, annotations, errors, keep-alive, end.
//! Must not decide when a stream ends; it only makes bytes.

use bytes::Bytes;
use serde::Serialize;

use super::errors::ApiError;

pub const DONE: &str = "data: [DONE]\n\n";
/// A comment line that clients ignore and proxies see as traffic.
pub const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// A chunk. One that cannot be written as JSON becomes an error event; no chunk type of ours can.
pub fn data(chunk: &impl Serialize) -> Bytes {
    match serde_json::to_string(chunk) {
        Ok(json) => Bytes::from(format!("data: {json}\n\n")),
        Err(cause) => error(&ApiError::generation(format!("the answer cannot be written as JSON: {cause}"))),
    }
}

/// A requested annotation: the value travels in a comment.
pub fn annotation(name: &str, value: &impl Serialize) -> Bytes {
    let text = serde_json::to_string(value).unwrap_or_default();
    Bytes::from(format!("event: {name}\n: {text}\n\n"))
}

/// A failure in mid-stream: comment for clients of the reference, data object for all others. No `[DONE]` follows.
pub fn error(error: &ApiError) -> Bytes {
    let comment = error.message.replace(['\r', '\n'], " ");
    let body = serde_json::json!({ "error": error.body() });
    Bytes::from(format!("event: error\n: {comment}\ndata: {body}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_annotations_and_errors_have_their_exact_bytes() {
        assert_eq!(data(&serde_json::json!({"a": 1})), "data: {\"a\":1}\n\n");
        assert_eq!(annotation("request_id", &"x-1"), "event: request_id\n: \"x-1\"\n\n");
        let failed = ApiError::generation("line one\nline two");
        assert_eq!(
            error(&failed),
            "event: error\n: Failed to generate completions: line one line two\n\
             data: {\"error\":{\"code\":500,\"message\":\"Failed to generate completions: line one\\nline two\",\
             \"type\":\"Internal Server Error\"}}\n\n"
        );
        assert_eq!(DONE, "data: [DONE]\n\n");
        assert_eq!(KEEP_ALIVE, ": keep-alive\n\n");
    }
}
