//! The worker's side: accepts requests, opens the way back and sends the answer (runtime.md 7.1).
//! It must not know what a handler computes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::BytesMut;
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::RequestPlane;
use super::callhome::{self, Call};
use super::nats::{Nats, NatsSettings, header_texts, subject};
use super::request::{Request, RequestError, put_reply};
use super::{ItemFrame, TransportSettings, tune};
use crate::discovery::{EndpointInstance, Transport};
use crate::endpoint::EndpointId;
use crate::identity::own_ip;
use crate::metrics::{ComponentMetrics, ErrorType};
use crate::protocol::Annotated;
use crate::settings;

/// What a handler knows about its caller.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Request id given by the caller.
    pub id: String,
    pub headers: BTreeMap<String, String>,
    /// Cancelled by `stop`, by `kill`, and when the connection to the caller is lost. The handler
    /// should then end its stream soon; after `kill` or a loss the stream is dropped anyway.
    pub cancel: CancellationToken,
    pub(super) killed: CancellationToken,
}

/// Encoded answer frames' bodies; an error marks an item that could not be encoded.
pub(super) type BodyStream = Pin<Box<dyn Stream<Item = Result<Vec<u8>, serde_json::Error>> + Send>>;

type Handler = Arc<dyn Fn(RequestContext, Value) -> BodyStream + Send + Sync>;

#[derive(Clone)]
struct Endpoint {
    handler: Handler,
    metrics: Option<ComponentMetrics>,
}

struct Shared {
    endpoints: RwLock<HashMap<String, Endpoint>>,
    settings: TransportSettings,
    in_flight: watch::Sender<usize>,
}

/// Where requests come in.
enum Entrance {
    Tcp { address: SocketAddr, _accepting: AbortOnDropHandle<()> },
    Nats { nats: Nats, subscriptions: Mutex<HashMap<String, DropGuard>> },
}

/// Serves endpoints on one TCP port or on NATS subjects; dropping it closes the port and the subscriptions.
pub struct RequestPlaneServer {
    shared: Arc<Shared>,
    entrance: Entrance,
}

impl std::fmt::Debug for RequestPlaneServer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entrance = match &self.entrance {
            Entrance::Tcp { address, .. } => address.to_string(),
            Entrance::Nats { nats, .. } => nats.server(),
        };
        out.debug_struct("RequestPlaneServer").field("entrance", &entrance).finish_non_exhaustive()
    }
}

/// Why an endpoint cannot receive requests yet.
#[derive(Debug, thiserror::Error)]
#[error("NATS at {server}: {reason}")]
pub struct OpenError {
    server: String,
    reason: String,
}

impl RequestPlaneServer {
    /// Listens on `host`; port 0 is any free port. With an unspecified host the own address is
    /// advertised instead.
    pub async fn bind(host: IpAddr, port: u16) -> io::Result<Self> {
        Self::bind_with(host, port, TransportSettings::from_environment()).await
    }

    /// TCP: host and port from `DYN_TCP_RPC_HOST` and `DYN_TCP_RPC_PORT`, own address and any free port. NATS: the
    /// server of `NATS_SERVER`, connected with the first endpoint.
    pub async fn from_environment(plane: RequestPlane) -> io::Result<Self> {
        if plane == RequestPlane::Nats {
            let nats = Nats::new(NatsSettings::from_environment());
            let entrance = Entrance::Nats { nats, subscriptions: Mutex::default() };
            return Ok(Self { shared: Shared::new(TransportSettings::from_environment()), entrance });
        }
        let host = settings::text("DYN_TCP_RPC_HOST").and_then(|text| text.parse().ok());
        Self::bind(host.unwrap_or_else(own_ip), settings::parsed("DYN_TCP_RPC_PORT", 0)).await
    }

    pub async fn bind_with(host: IpAddr, port: u16, settings: TransportSettings) -> io::Result<Self> {
        let listener = TcpListener::bind((host, port)).await?;
        let mut address = listener.local_addr()?;
        if address.ip().is_unspecified() {
            address.set_ip(own_ip());
        }
        let shared = Shared::new(settings);
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, shared.clone())));
        Ok(Self { shared, entrance: Entrance::Tcp { address, _accepting: accepting } })
    }

    /// The discovery record of an endpoint served here.
    pub fn instance(&self, id: &EndpointId, instance_id: u64) -> EndpointInstance {
        let transport = match &self.entrance {
            Entrance::Tcp { address, .. } => Transport::Tcp(format!("{address}/{}", id.path(instance_id))),
            Entrance::Nats { .. } => Transport::NatsTcp(subject(id, instance_id)),
        };
        EndpointInstance { id: id.clone(), instance_id, transport }
    }

    /// Lets requests for a served endpoint come in; to be called before its record is published, and again
    /// when it failed. A TCP server receives them from the start.
    pub async fn open(&self, id: &EndpointId, instance_id: u64) -> Result<(), OpenError> {
        let Entrance::Nats { nats, subscriptions } = &self.entrance else { return Ok(()) };
        let path = id.path(instance_id);
        if subscriptions.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&path) {
            return Ok(());
        }
        let messages = nats.subscribe(&subject(id, instance_id)).await;
        let messages = messages.map_err(|reason| OpenError { server: nats.server(), reason })?;
        let stop = CancellationToken::new();
        let work = receive(messages, nats.clone(), path.clone(), self.shared.clone(), stop.clone());
        tokio::spawn(work);
        subscriptions.lock().unwrap_or_else(PoisonError::into_inner).insert(path, stop.drop_guard());
        Ok(())
    }

    /// Serves `path` (`<hex id>/<endpoint>`); a second call for the same path replaces the first.
    pub fn serve_endpoint<T, S>(
        &self,
        path: &str,
        metrics: Option<ComponentMetrics>,
        handler: impl Fn(RequestContext, Value) -> S + Send + Sync + 'static,
    ) where
        T: Serialize + Send + 'static,
        S: Stream<Item = Annotated<T>> + Send + 'static,
    {
        let errors = metrics.clone();
        let handler: Handler = Arc::new(move |context, request| {
            let errors = errors.clone();
            let items = handler(context, request).map(move |item| {
                if let Some(metrics) = errors.as_ref().filter(|_| item.error_message().is_some()) {
                    metrics.error(ErrorType::Generate);
                }
                serde_json::to_vec(&ItemFrame { data: Some(item), complete_final: false })
            });
            Box::pin(items)
        });
        let mut endpoints = self.shared.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        endpoints.insert(path.to_owned(), Endpoint { handler, metrics });
    }

    /// Answers `Unknown endpoint` for the path from now on; requests in work go on.
    pub fn remove_endpoint(&self, path: &str) {
        self.shared.endpoints.write().unwrap_or_else(PoisonError::into_inner).remove(path);
        if let Entrance::Nats { subscriptions, .. } = &self.entrance {
            subscriptions.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        }
    }

    /// Stops accepting requests on every path.
    pub fn refuse_new(&self) {
        self.shared.endpoints.write().unwrap_or_else(PoisonError::into_inner).clear();
        if let Entrance::Nats { subscriptions, .. } = &self.entrance {
            subscriptions.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Number of accepted requests whose answers are not finished.
    pub fn in_flight(&self) -> usize {
        *self.shared.in_flight.borrow()
    }

    /// Waits until no request is in work or the time is over; the number left.
    pub async fn drain(&self, limit: Duration) -> usize {
        let mut in_flight = self.shared.in_flight.subscribe();
        let empty = in_flight.wait_for(|count| *count == 0);
        match tokio::time::timeout(limit, empty).await {
            Ok(_) => 0,
            Err(_) => self.in_flight(),
        }
    }
}

impl Shared {
    fn new(settings: TransportSettings) -> Arc<Self> {
        Arc::new(Self { endpoints: RwLock::default(), settings, in_flight: watch::Sender::new(0) })
    }
}

/// Counts one request as in work until it is dropped.
struct InFlight {
    shared: Arc<Shared>,
}

impl InFlight {
    fn enter(shared: &Arc<Shared>) -> Option<Self> {
        let limit = shared.settings.max_in_flight;
        let entered = shared.in_flight.send_if_modified(|count| {
            let free = *count < limit;
            *count += usize::from(free);
            free
        });
        entered.then(|| Self { shared: shared.clone() })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.in_flight.send_modify(|count| *count = count.saturating_sub(1));
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Ends with this task, and every connection with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let shared = shared.clone();
                    connections.spawn(async move {
                        if let Err(error) = serve_connection(socket, shared).await {
                            tracing::debug!("connection of {peer} ended: {error}");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Reads requests until the peer closes; each answer runs in a task of its own, so a caller may send
/// the next request as soon as it has the reply.
async fn serve_connection(socket: TcpStream, shared: Arc<Shared>) -> Result<(), RequestError> {
    tune(&socket);
    let (input, mut output) = socket.into_split();
    let mut input = BufReader::new(input);
    let limit = shared.settings.max_message_size;
    loop {
        let request = match Request::read(&mut input, limit).await {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) => {
                let mut reply = BytesMut::new();
                put_reply(&error.to_string(), &mut reply);
                output.write_all(&reply).await?;
                return Err(error);
            }
        };
        let accepted = admit(&request, &shared);
        let mut reply = BytesMut::new();
        put_reply(accepted.as_ref().err().map_or("", String::as_str), &mut reply);
        output.write_all(&reply).await?;
        if let Ok(work) = accepted {
            tokio::spawn(work);
        }
    }
}

/// Takes requests from a subject until told to stop; those that are on their way then get a reply as well.
async fn receive(
    mut messages: async_nats::Subscriber,
    nats: Nats,
    path: String,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let mut stopped = false;
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = stop.cancelled(), if !stopped => {
                stopped = true;
                if let Err(error) = messages.drain().await {
                    tracing::debug!("{path}: the subscription cannot be ended in order: {error}");
                    return;
                }
                continue;
            }
        };
        let Some(message) = message else { return };
        let headers = header_texts(message.headers.as_ref());
        let accepted = admit(&Request { path: path.clone(), headers, payload: message.payload }, &shared);
        if let Some(reply) = message.reply {
            nats.reply(reply, accepted.as_ref().err().cloned()).await;
        }
        if let Ok(work) = accepted {
            tokio::spawn(work);
        }
    }
}

/// Decides on a request before the reply; the returned future answers it.
fn admit(
    request: &Request,
    shared: &Arc<Shared>,
) -> Result<impl Future<Output = ()> + Send + 'static, String> {
    let path = request.path.clone();
    let endpoint = {
        let endpoints = shared.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        endpoints.get(&path).cloned().ok_or_else(|| format!("Unknown endpoint: {path}"))?
    };
    let call = Call::parse(&request.payload, shared.settings.max_message_size).map_err(|error| {
        if let Some(metrics) = &endpoint.metrics {
            metrics.error(ErrorType::InvalidMessage);
        }
        format!("Read error: {error}")
    })?;
    let in_flight = InFlight::enter(shared).ok_or_else(|| {
        format!("Server overloaded: {} requests are in work", shared.settings.max_in_flight)
    })?;
    let (headers, settings) = (request.headers.clone(), shared.settings.clone());
    let guard = endpoint.metrics.as_ref().map(|metrics| metrics.begin(request.payload.len()));
    Ok(async move {
        let _counted = (in_flight, guard);
        let Endpoint { handler, metrics } = endpoint;
        let outcome = callhome::answer(call, headers, &settings, metrics.as_ref(), |context, request| {
            handler(context, request)
        });
        if let Err(error) = outcome.await {
            tracing::debug!("answer on {path} not delivered: {error}");
        }
    })
}
