//! A small HTTP/1.1 client that shows exactly what came over the wire.
//! Must not retry or reuse connections.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(20);

/// Waits at most the limit of these tests.
pub(super) async fn timed<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("in time")
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The JSON of all `data:` lines, without `[DONE]`.
    pub(super) fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|text| *text != "[DONE]").map(|text| serde_json::from_str(text).expect("JSON")).collect()
    }

    pub(super) fn streamed_text(&self) -> String {
        let part = |event: &Value| {
            let choice = &event["choices"][0];
            choice["delta"]["content"].as_str().or_else(|| choice["text"].as_str()).map(str::to_owned)
        };
        self.events().iter().filter_map(part).collect()
    }
}

pub(super) async fn open(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the frontend listens");
    let text = body.map(Value::to_string).unwrap_or_default();
    let method = if body.is_some() { "POST" } else { "GET" };
    let extra: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: frontend\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{extra}\r\n{text}",
        text.len()
    );
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    stream
}

pub(super) async fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    timed(stream.read_to_end(&mut bytes)).await.expect("readable");
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8_lossy(&bytes[..split]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let rest = &bytes[split + 4..];
    let body = if head.contains("transfer-encoding: chunked") { unchunked(rest) } else { rest.to_vec() };
    Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..line]), 16).expect("a chunk size");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
    body
}

pub(super) async fn get(address: SocketAddr, path: &str) -> Answer {
    read(open(address, path, &[], None).await).await
}

pub(super) async fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    read(open(address, path, &[], Some(body)).await).await
}

pub(super) async fn chat(address: SocketAddr, body: &Value) -> Answer {
    post(address, "/v1/chat/completions", body).await
}
