//! A client with the habits of the API server: TLS, HTTP/1.1 kept alive, JSON.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, crypto::ring};
use serde_json::Value;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{HOST, Identity};

pub type Body = BoxBody<Bytes, Infallible>;

/// A configuration that trusts `identity` alone.
pub fn config(
    identity: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(identity.certificate.clone()).expect("root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// A TLS connection.
pub async fn dial(address: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    secure(TcpStream::connect(address).await?, config).await
}

/// TLS over a connection.
pub async fn secure(socket: TcpStream, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    socket.set_nodelay(true)?;
    let name = HOST.try_into().expect("server name");
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

/// The version and the protocol that a connection came to.
pub fn agreed(stream: &TlsStream<TcpStream>) -> (Option<ProtocolVersion>, Option<String>) {
    let connection = stream.get_ref().1;
    let protocol = connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    (connection.protocol_version(), protocol)
}

/// A kept-alive connection.
pub struct Client(SendRequest<Body>);

/// Status, value of `Retry-After`, body.
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: Bytes,
}

impl Answer {
    /// The response within the review.
    pub fn response(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        let mut review: Value = serde_json::from_slice(&self.body).expect("JSON");
        review["response"].take()
    }
}

impl Client {
    pub async fn connect(address: SocketAddr, identity: &Identity) -> std::io::Result<Self> {
        let config = config(identity, rustls::DEFAULT_VERSIONS, &["http/1.1"]);
        Self::over(dial(address, config).await?).await
    }

    pub async fn over(stream: TlsStream<TcpStream>) -> std::io::Result<Self> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a whole body.
    pub async fn post(&mut self, path: &str, body: Bytes) -> hyper::Result<Answer> {
        answer(self.send(path, None, Full::new(body).boxed()).await?).await
    }

    /// Sends a body that arrives piece by piece from the sender that comes with it, its length announced or not.
    pub fn begin(
        &mut self,
        path: &str,
        length: Option<usize>,
    ) -> (mpsc::Sender<Bytes>, impl Future<Output = hyper::Result<Answer>> + use<>) {
        let (pieces, received) = mpsc::channel(1);
        let sent = self.send(path, length, Pieces(received).boxed());
        (pieces, async move { answer(sent.await?).await })
    }

    fn send(
        &mut self,
        path: &str,
        length: Option<usize>,
        body: Body,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let request = Request::post(path).header("host", HOST).header("content-type", "application/json");
        let request = match length {
            Some(length) => request.header("content-length", length),
            None => request,
        };
        self.0.send_request(request.body(body).expect("request"))
    }
}

async fn answer(response: Response<Incoming>) -> hyper::Result<Answer> {
    let status = response.status().as_u16();
    let retry_after =
        response.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Answer { status, retry_after, body })
}

struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
