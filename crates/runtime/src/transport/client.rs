//! The caller's side: sends a request to an instance and receives its connection (runtime.md 7.1).
//! It must not choose or retry instances; its errors say whether another may be tried.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::frame::Frame;
use super::nats::{Nats, NatsSettings, SendError};
use super::pool::{ExchangeError, Pool};
use super::request::Request;
use super::stream::{Home, ResponseStream};
use super::{
    CallHeader, CallHomeInfo, ConnectionInfo, RESPONSE_STREAM, TCP_TRANSPORT, TransportSettings, tune,
};
use crate::discovery::{EndpointInstance, Transport};
use crate::identity::own_ip;

/// A stranger who connects must say which answer it brings within this time.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// Names a request on its way.
#[derive(Clone, Debug, Default)]
pub struct CallContext {
    /// Request id, seen by the worker.
    pub id: String,
    pub headers: BTreeMap<String, String>,
}

impl CallContext {
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), headers: BTreeMap::new() }
    }
}

/// Why no answer stream exists. No item of an answer was received in any of these cases.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("worker {address} cannot be reached: {source}")]
    Connect { address: String, source: io::Error },
    #[error("worker {address} refused the request: {message}")]
    Refused { address: String, message: String },
    #[error("worker {address} did not acknowledge the request: {reason}")]
    NoReply { address: String, reason: String },
    #[error("worker {address} accepted the request but did not open its answer: {reason}")]
    NoAnswer { address: String, reason: String },
    #[error("worker {address} reports: {message}")]
    Worker { address: String, message: String },
    #[error(
        "instance {instance} is served over {transport}, which this program does not support; set \
             DYN_REQUEST_PLANE=tcp on its workers"
    )]
    Unsupported { instance: String, transport: &'static str },
    #[error("no worker listens on NATS subject {subject}")]
    NoSubscriber { subject: String },
    #[error("NATS at {server} cannot be reached: {reason}")]
    PlaneDown { server: String, reason: String },
    #[error(
        "the request has {size} bytes, more than the NATS server takes in one message ({limit}); raise its \
         max_payload, or set DYN_REQUEST_PLANE=tcp on the workers"
    )]
    TooLargeForPlane { size: usize, limit: usize },
    #[error("instance {instance} has the unreadable address `{address}`; expected host:port/<id>/<endpoint>")]
    Address { instance: String, address: String },
    #[error("the request cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the request has {size} bytes, more than the limit of {limit} (DYN_TCP_MAX_MESSAGE_SIZE)")]
    TooLarge { size: usize, limit: usize },
}

impl CallError {
    /// Whether the same request may be sent to another instance: the worker did not take it, or
    /// nothing of an answer was received and the worker has been cut off from this caller.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Refused { .. }
            | Self::NoReply { .. }
            | Self::NoAnswer { .. }
            | Self::NoSubscriber { .. }
            | Self::PlaneDown { .. }
            | Self::TooLargeForPlane { .. }
            | Self::Unsupported { .. }
            | Self::Address { .. } => true,
            Self::Worker { .. } | Self::Encode(_) | Self::TooLarge { .. } => false,
        }
    }

    /// Whether the failure speaks against the instance, so that routing should avoid it for a while.
    pub fn blames_instance(&self) -> bool {
        let blameless = matches!(self, Self::PlaneDown { .. } | Self::TooLargeForPlane { .. });
        self.is_retryable() && !blameless
    }
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Home>>>>;

/// Sends requests to instances; clones share connections.
#[derive(Clone)]
pub struct PushClient {
    shared: Arc<Shared>,
}

struct Shared {
    settings: TransportSettings,
    address: SocketAddr,
    pool: Arc<Pool>,
    /// Connected when the first instance is to be called that listens there.
    nats: Nats,
    waiting: Waiting,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl std::fmt::Debug for PushClient {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PushClient").field("call_home", &self.shared.address).finish_non_exhaustive()
    }
}

impl PushClient {
    /// Opens the call-home port on the own address (`POD_IP`, else that of the default route).
    pub async fn from_environment() -> io::Result<Self> {
        Self::start(own_ip(), TransportSettings::from_environment()).await
    }

    /// Opens the call-home port on `ip`, the address workers reach this process at.
    pub async fn start(ip: IpAddr, settings: TransportSettings) -> io::Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let (pool, waiting) = (Arc::new(Pool::new(settings.clone())), Waiting::default());
        let receiving = tokio::spawn(receive(listener, waiting.clone(), settings.max_message_size));
        let swept = pool.clone();
        let sweeping = tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                swept.sweep();
            }
        });
        let tasks = [AbortOnDropHandle::new(receiving), AbortOnDropHandle::new(sweeping)];
        let nats = Nats::new(NatsSettings::from_environment());
        Ok(Self { shared: Arc::new(Shared { settings, address, pool, nats, waiting, _tasks: tasks }) })
    }

    /// Connects to NATS before the first request needs it.
    pub async fn connect_nats(&self) {
        if let Err(reason) = self.shared.nats.client().await {
            let server = self.shared.nats.server();
            tracing::warn!("NATS at {server} cannot be reached: {reason}; trying again with each request");
        }
    }

    /// Sends `request` to `instance`; returns once the worker has opened its answer.
    pub async fn call<R: Serialize + ?Sized, T>(
        &self,
        instance: &EndpointInstance,
        request: &R,
        context: CallContext,
    ) -> Result<ResponseStream<T>, CallError> {
        let subject = Uuid::new_v4().to_string();
        let (id, headers) = (context.id, context.headers);
        let payload = self.payload(&subject, request, id)?;
        let (sender, mut arrival) = oneshot::channel();
        let _expected = Expected::enter(&self.shared.waiting, subject, sender);
        let (address, early) = match &instance.transport {
            Transport::Tcp(text) => (self.send_tcp(instance, text, headers, payload).await?, None),
            Transport::NatsTcp(subject) => {
                // A worker that already answers has taken the request, whether or not its reply arrives.
                let early = tokio::select! {
                    biased;
                    home = &mut arrival => Some(home),
                    sent = self.send_nats(subject, &headers, payload) => sent.map(|()| None)?,
                };
                (subject.as_str(), early)
            }
            Transport::Http(_) => {
                return Err(CallError::Unsupported { instance: instance.key(), transport: "http" });
            }
        };

        let no_answer = |reason: String| CallError::NoAnswer { address: address.to_owned(), reason };
        let limit = self.shared.settings.call_home_timeout;
        let arrived = match early {
            Some(home) => Ok(home),
            None => tokio::time::timeout(limit, arrival).await,
        };
        let mut home = match arrived {
            Ok(Ok(home)) => home,
            Ok(Err(_)) => return Err(no_answer("this process stops receiving answers".to_owned())),
            Err(_) => return Err(no_answer(format!("no connection within {} s", limit.as_secs()))),
        };
        match home.prologue().await {
            Ok(None) => Ok(ResponseStream::new(home)),
            Ok(Some(message)) => Err(CallError::Worker { address: address.to_owned(), message }),
            Err(error) => Err(no_answer(error.to_string())),
        }
    }

    /// Sends to `host:port/<hex id>/<endpoint>`; the address that took it.
    async fn send_tcp<'a>(
        &self,
        instance: &EndpointInstance,
        text: &'a str,
        headers: BTreeMap<String, String>,
        payload: Bytes,
    ) -> Result<&'a str, CallError> {
        let unreadable = || CallError::Address { instance: instance.key(), address: text.to_owned() };
        let (address, path) = text.split_once('/').ok_or_else(unreadable)?;
        let size = payload.len();
        let request = Request { path: path.to_owned(), headers, payload };
        let mut message = BytesMut::new();
        request.put(&mut message).map_err(|_| CallError::TooLarge { size, limit: usize::from(u16::MAX) })?;
        let sent = self.shared.pool.exchange(address, &message).await;
        let failed = |error| {
            let address = address.to_owned();
            match error {
                ExchangeError::Connect(source) => CallError::Connect { address, source },
                ExchangeError::Refused(message) => CallError::Refused { address, message },
                other => CallError::NoReply { address, reason: other.to_string() },
            }
        };
        sent.map(|()| address).map_err(failed)
    }

    async fn send_nats(
        &self,
        subject: &str,
        headers: &BTreeMap<String, String>,
        payload: Bytes,
    ) -> Result<(), CallError> {
        let size = payload.len();
        let nats = &self.shared.nats;
        let sent = nats.send(subject, headers, payload, self.shared.settings.request_timeout).await;
        sent.map_err(|error| {
            let address = subject.to_owned();
            match error {
                SendError::NoSubscriber => CallError::NoSubscriber { subject: address },
                SendError::Down(reason) => CallError::PlaneDown { server: nats.server(), reason },
                SendError::TooLarge { limit } => CallError::TooLargeForPlane { size, limit },
                SendError::Refused(message) => CallError::Refused { address, message },
                SendError::NoReply(reason) => CallError::NoReply { address, reason },
            }
        })
    }

    /// The two-part frame that every way carries.
    fn payload<R: Serialize + ?Sized>(
        &self,
        subject: &str,
        request: &R,
        id: String,
    ) -> Result<Bytes, CallError> {
        let info = CallHomeInfo {
            address: self.shared.address.to_string(),
            subject: subject.to_owned(),
            context: id.clone(),
            stream_type: RESPONSE_STREAM.to_owned(),
        };
        let header = CallHeader {
            id,
            request_type: "single_in".to_owned(),
            response_type: "many_out".to_owned(),
            connection_info: ConnectionInfo {
                transport: TCP_TRANSPORT.to_owned(),
                info: serde_json::to_string(&info)?,
            },
        };
        let frame =
            Frame { header: serde_json::to_vec(&header)?.into(), body: serde_json::to_vec(request)?.into() };
        let mut payload = BytesMut::new();
        frame.put(&mut payload);
        let (size, limit) = (payload.len(), self.shared.settings.max_message_size);
        if size > limit {
            return Err(CallError::TooLarge { size, limit });
        }
        Ok(payload.freeze())
    }
}

/// Expects an answer until dropped.
struct Expected<'a> {
    waiting: &'a Waiting,
    subject: String,
}

impl<'a> Expected<'a> {
    fn enter(waiting: &'a Waiting, subject: String, sender: oneshot::Sender<Home>) -> Self {
        waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(subject.clone(), sender);
        Self { waiting, subject }
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.subject);
    }
}

async fn receive(listener: TcpListener, waiting: Waiting, limit: usize) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let waiting = waiting.clone();
                tokio::spawn(async move {
                    let greeting = greet(socket, &waiting, limit);
                    match tokio::time::timeout(HANDSHAKE_LIMIT, greeting).await {
                        Ok(Ok(())) => {}
                        Ok(Err(reason)) => tracing::debug!("answer from {peer} not taken: {reason}"),
                        Err(_) => tracing::debug!("answer from {peer} not taken: no handshake"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!("an answer connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn greet(socket: TcpStream, waiting: &Waiting, limit: usize) -> Result<(), String> {
    tune(&socket);
    let mut home = Home::new(socket, limit);
    let subject = home.handshake().await.map_err(|error| error.to_string())?;
    let expected = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&subject);
    let expected = expected.ok_or_else(|| format!("nobody waits for {subject}"))?;
    expected.send(home).map_err(|_| "the caller has given up".to_owned())
}
