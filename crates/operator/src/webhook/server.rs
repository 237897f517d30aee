//! HTTPS listeners of the process: TLS, bounds on connections, an orderly end (`operator-process.md` section 6).
//! Knows nothing of what is served; the certificate comes from outside and may change at any time.

use std::{collections::HashMap, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use rustls::{ServerConfig, server::ResolvesServerCert};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{Id, JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

/// Where admission is served.
pub const DEFAULT_ADDRESS: &str = "0.0.0.0:9443";

/// Connections at once. One more is closed at once: its caller can try another replica, while one that waits in the
/// backlog looks like a slow webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub connections: usize,
    /// From one address, so that one pod cannot keep the others out.
    pub per_peer: usize,
}

impl Default for Bounds {
    /// Callers are few (API servers or their proxies). One of them may open twice as many connections as reviews are
    /// judged at once: a burst is then told to try again, which a closed connection does not say.
    fn default() -> Self {
        Self { connections: 512, per_peer: 128 }
    }
}

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Time for the head of a request, and so the longest idle time. Clients written in Go leave after 90 s; the one that
/// ends first must be the client, or it sends a request into a closing connection.
const HEAD_LIMIT: Duration = Duration::from_secs(100);
/// How long requests that run at the end may take: more than any deadline of a review at its default.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
const STREAMS: u32 = 100;
/// What the head of a request may have; a token of a service account is a kilobyte or two.
const HEAD_BYTES: usize = 64 * 1024;
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: choose an address and port of this host that are free")]
pub struct BindError {
    address: String,
    source: io::Error,
}

/// Opens a listener, such as on [`DEFAULT_ADDRESS`]. Connections wait until [`serve_tls`] takes them.
///
/// # Errors
/// When the address is taken or not of this host.
pub async fn bind(address: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address: address.to_owned(), source })
}

/// TLS 1.2 and 1.3 without client certificates; `certificates` is asked at each handshake. Only HTTP/1.1 is offered
/// unless `http2` (`--enable-http2`).
///
/// # Errors
/// When the cryptography has neither version of the protocol.
pub fn tls_config(
    certificates: Arc<dyn ResolvesServerCert>,
    http2: bool,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    let protocols: &[&[u8]] = if http2 { &[HTTP_2, HTTP_1] } else { &[HTTP_1] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Serves `router` on `listener` until `shutdown`, then finishes the requests that run, within 10 s.
/// Dropping the future ends everything at once.
pub async fn serve_tls(
    listener: TcpListener,
    router: Router,
    config: Arc<ServerConfig>,
    shutdown: impl Future<Output = ()> + Send,
) {
    serve_bounded(listener, router, config, Bounds::default(), shutdown).await;
}

/// [`serve_tls`] with other bounds than the usual ones.
pub async fn serve_bounded(
    listener: TcpListener,
    router: Router,
    config: Arc<ServerConfig>,
    bounds: Bounds,
    shutdown: impl Future<Output = ()> + Send,
) {
    let acceptor = TlsAcceptor::from(config);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut peers = Peers { bounds, open: HashMap::new() };
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next_with_id() => {
                peers.forget(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((_, peer)) if !peers.have_room(peer.ip()) => {
                debug!(%peer, "closed: too many connections are open");
            }
            Ok((socket, peer)) => {
                let connection = Connection { socket, watcher: graceful.watcher() };
                let task = connections.spawn(connection.serve(acceptor.clone(), router.clone()));
                peers.open.insert(task.id(), peer.ip());
            }
            Err(error) => {
                warn!(%error, "cannot take a connection");
                // Out of descriptors, most likely: trying again at once would spin.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if timeout(DRAIN_LIMIT, graceful.shutdown()).await.is_err() {
        warn!("requests still in work after {} s are cut off", DRAIN_LIMIT.as_secs());
    }
}

/// Who holds the open connections.
struct Peers {
    bounds: Bounds,
    open: HashMap<Id, IpAddr>,
}

impl Peers {
    fn have_room(&self, peer: IpAddr) -> bool {
        let own = self.open.values().filter(|other| **other == peer).count();
        own < self.bounds.per_peer && self.open.len() < self.bounds.connections
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.open.remove(&id);
    }
}

struct Connection {
    socket: TcpStream,
    watcher: Watcher,
}

impl Connection {
    async fn serve(self, acceptor: TlsAcceptor, router: Router) {
        // Without this an answer may wait for the acknowledgement of the one before.
        if let Err(error) = self.socket.set_nodelay(true) {
            debug!(%error, "TCP_NODELAY was refused");
        }
        let stream = match timeout(HANDSHAKE_LIMIT, acceptor.accept(self.socket)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(%error, "no TLS connection"),
            Err(_) => return debug!("no TLS connection within {} s", HANDSHAKE_LIMIT.as_secs()),
        };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_buf_size(HEAD_BYTES);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES as u32);
        let http = if is_http2 { http.http2_only() } else { http.http1_only() };
        let service = TowerToHyperService::new(router);
        let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = self.watcher.watch(connection).await {
            debug!(error = %error, "connection ended early");
        }
    }
}
