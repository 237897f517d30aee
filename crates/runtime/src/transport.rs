//! The request plane, both sides: requests go to the worker over TCP or NATS, answers come back over a connection
//! the worker opens to the caller (runtime.md 7.1). It must not choose between instances.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use crate::settings;

pub use client::{CallContext, CallError, PushClient};
pub use server::{OpenError, RequestContext, RequestPlaneServer};
pub use stream::{ResponseStream, StreamError};

mod callhome;
mod client;
mod frame;
mod nats;
mod pool;
mod request;
mod server;
mod stream;

/// How a worker receives its requests; callers follow its discovery record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestPlane {
    #[default]
    Tcp,
    Nats,
}

impl RequestPlane {
    /// The plane of a `--request-plane` value; the reference's third, `http`, is not offered.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "tcp" => Some(Self::Tcp),
            "nats" => Some(Self::Nats),
            _ => None,
        }
    }
}

/// Limits of the request plane (the TCP variables of runtime.md 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportSettings {
    /// Time for the acknowledgement of a request, `DYN_TCP_REQUEST_TIMEOUT`.
    pub request_timeout: Duration,
    /// Time to open a connection, `DYN_TCP_CONNECT_TIMEOUT`.
    pub connect_timeout: Duration,
    /// Time from the acknowledgement to the worker's connection.
    pub call_home_timeout: Duration,
    /// Connections per worker address, `DYN_TCP_POOL_SIZE`.
    pub pool_size: usize,
    /// Largest message in bytes, `DYN_TCP_MAX_MESSAGE_SIZE`.
    pub max_message_size: usize,
    /// Answer items gathered into one write, `DYN_TCP_CHANNEL_BUFFER`.
    pub channel_buffer: usize,
    /// Requests in work at once, `DYN_TCP_WORKER_POOL_SIZE` plus `DYN_TCP_WORK_QUEUE_SIZE`.
    pub max_in_flight: usize,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            call_home_timeout: Duration::from_secs(30),
            pool_size: 100,
            max_message_size: 32 * 1024 * 1024,
            channel_buffer: 50,
            max_in_flight: 7500,
        }
    }
}

impl TransportSettings {
    pub fn from_environment() -> Self {
        let defaults = Self::default();
        let workers: usize = settings::parsed("DYN_TCP_WORKER_POOL_SIZE", 1500);
        let queue: usize = settings::parsed("DYN_TCP_WORK_QUEUE_SIZE", 6000);
        Self {
            request_timeout: settings::seconds("DYN_TCP_REQUEST_TIMEOUT", 5.0),
            connect_timeout: settings::seconds("DYN_TCP_CONNECT_TIMEOUT", 5.0),
            pool_size: settings::parsed("DYN_TCP_POOL_SIZE", defaults.pool_size).max(1),
            max_message_size: settings::parsed("DYN_TCP_MAX_MESSAGE_SIZE", defaults.max_message_size)
                .max(1024),
            channel_buffer: settings::parsed("DYN_TCP_CHANNEL_BUFFER", defaults.channel_buffer).max(1),
            max_in_flight: workers.saturating_add(queue).max(1),
            ..defaults
        }
    }
}

/// Header of a call: who asks and where the answer goes.
#[derive(Debug, Serialize, Deserialize)]
struct CallHeader {
    #[serde(default)]
    id: String,
    #[serde(default)]
    request_type: String,
    #[serde(default)]
    response_type: String,
    connection_info: ConnectionInfo,
}

#[derive(Debug, Serialize, Deserialize)]
struct ConnectionInfo {
    transport: String,
    /// [`CallHomeInfo`] as JSON text.
    info: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct CallHomeInfo {
    address: String,
    subject: String,
    #[serde(default)]
    context: String,
    #[serde(default)]
    stream_type: String,
}

/// First frame on a call-home connection.
#[derive(Debug, Serialize, Deserialize)]
struct Handshake {
    subject: String,
    stream_type: String,
}

/// Second frame on a call-home connection: null, or why there is no answer.
#[derive(Debug, Serialize, Deserialize)]
struct Prologue {
    error: Option<String>,
}

/// Body frame of an answer.
#[derive(Debug, Serialize, Deserialize)]
struct ItemFrame<T> {
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    data: Option<T>,
    #[serde(default)]
    complete_final: bool,
}

const TCP_TRANSPORT: &str = "tcp_server";
const RESPONSE_STREAM: &str = "response";

/// What the caller tells the worker on the call-home connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    Stop,
    Kill,
    Sentinel,
}

impl Control {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Stop => b"\"stop\"",
            Self::Kill => b"\"kill\"",
            Self::Sentinel => b"\"sentinel\"",
        }
    }

    /// Reads the word with or without JSON quotes, in any case.
    fn parse(header: &[u8]) -> Option<Self> {
        let word = std::str::from_utf8(header).ok()?.trim().trim_matches('"').to_ascii_lowercase();
        match word.as_str() {
            "stop" => Some(Self::Stop),
            "kill" => Some(Self::Kill),
            "sentinel" => Some(Self::Sentinel),
            _ => None,
        }
    }
}

/// Small messages leave at once, and a peer that vanished without a word is noticed in about half a
/// minute. A socket that refuses an option still works.
fn tune(socket: &TcpStream) {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(4);
    let options = socket2::SockRef::from(socket);
    let tuned = socket.set_nodelay(true).and_then(|()| options.set_tcp_keepalive(&keepalive));
    #[cfg(target_os = "linux")]
    let tuned = tuned.and_then(|()| options.set_tcp_user_timeout(Some(Duration::from_secs(30))));
    if let Err(error) = tuned {
        tracing::debug!("socket option refused: {error}");
    }
}

#[cfg(test)]
mod tests;
