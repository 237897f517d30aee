//! Versions and protocols of the connection, certificates, the orderly end.

use std::sync::Arc;

use dynamo_operator::webhook::{Limits, server};
use rustls::{
    ProtocolVersion,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::{
    Identity, Served, Server,
    client::{self, Client},
    knowledge, reviews,
};

async fn served(http2: bool) -> Server {
    Server::start(Served::new(knowledge(), Limits::default()).router, http2).await
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_accepted() {
    let server = served(false).await;
    for (version, agreed) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let config = client::config(&server.identity, &[version], &["http/1.1"]);
        let stream = client::dial(server.address, config).await.unwrap();
        assert_eq!(client::agreed(&stream), (Some(agreed), Some("http/1.1".to_owned())));
        let body = reviews::create(&reviews::object(reviews::GRAPH)).to_string();
        let mut client = Client::over(stream).await.unwrap();
        let answer = client.post(&reviews::validating_path(reviews::GRAPH), body.into()).await.unwrap();
        assert_eq!(answer.response()["allowed"], true);
    }
}

/// The first message of a client whose highest version is `newest`, with suites of TLS 1.1 and 1.2.
fn hello(newest: [u8; 2]) -> Vec<u8> {
    // Curves, their point form, signatures: P-256 with SHA-256.
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    let mut hello = newest.to_vec();
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0, 0, extensions.len() as u8]);
    hello.extend(extensions);
    let mut message = vec![1, 0, 0, hello.len() as u8];
    message.extend(hello);
    let mut record = vec![22, 3, 1, 0, message.len() as u8];
    record.extend(message);
    record
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let server = served(false).await;
    // The answer to TLS 1.2 is a handshake record, that to 1.1 a fatal alert: protocol_version.
    for (newest, kind, alert) in [([3, 3], 22, None), ([3, 2], 21, Some([2, 70]))] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(&hello(newest)).await.unwrap();
        let mut answer = [0; 7];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[0], kind);
        assert!(alert.is_none_or(|alert| answer[5..] == alert), "{answer:?}");
    }
}

#[tokio::test]
async fn http_2_is_offered_only_when_it_is_enabled() {
    let server = served(false).await;
    let both = client::config(&server.identity, rustls::DEFAULT_VERSIONS, &["h2", "http/1.1"]);
    let stream = client::dial(server.address, both).await.unwrap();
    assert_eq!(client::agreed(&stream).1.as_deref(), Some("http/1.1"));
    let only = client::config(&server.identity, rustls::DEFAULT_VERSIONS, &["h2"]);
    client::dial(server.address, only).await.expect_err("no common protocol");

    let server = served(true).await;
    let both = client::config(&server.identity, rustls::DEFAULT_VERSIONS, &["h2", "http/1.1"]);
    let mut stream = client::dial(server.address, both).await.unwrap();
    assert_eq!(client::agreed(&stream).1.as_deref(), Some("h2"));
    // The preface and empty settings; the answer begins with the server's settings: a frame of type 4.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4);
}

/// Serves what it holds at the moment of a handshake.
#[derive(Debug, Default)]
struct Current(std::sync::RwLock<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap().clone()
    }
}

#[tokio::test]
async fn a_new_certificate_counts_from_the_next_handshake_and_none_refuses_it() {
    let current = Arc::new(Current::default());
    let certificates: Arc<dyn ResolvesServerCert> = current.clone();
    let config = Arc::new(server::tls_config(certificates, false).unwrap());
    let listener = server::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Served::new(knowledge(), Limits::default()).router;
    let task = tokio::spawn(server::serve_tls(listener, router, config, std::future::pending()));
    let (first, second) = (Identity::new(), Identity::new());
    assert!(Client::connect(address, &first).await.is_err());
    let mut connected = Vec::new();
    for (at, identity) in [&first, &second].into_iter().enumerate() {
        *current.0.write().unwrap() = Some(Arc::clone(&identity.key));
        connected.push(Client::connect(address, identity).await.unwrap());
        let other = [&second, &first][at];
        assert!(Client::connect(address, other).await.is_err(), "the other certificate is not served");
    }
    let path = reviews::validating_path(reviews::GRAPH);
    for client in &mut connected {
        let body = reviews::create(&reviews::object(reviews::GRAPH)).to_string();
        assert_eq!(client.post(&path, body.into()).await.unwrap().response()["allowed"], true);
    }
    task.abort();
}

#[tokio::test]
async fn plain_http_and_noise_end_their_connection_and_nothing_else() {
    let server = served(false).await;
    for noise in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0; 64], &[22, 3, 1, 255, 255, 1, 2, 3]] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(noise).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"));
    }
    Client::connect(server.address, &server.identity).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_never_begins_the_handshake_is_hung_up_on() {
    let server = served(false).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty());
}

/// A client that comes from `source`, another address of the loopback.
async fn connect_from(source: [u8; 4], server: &Server) -> std::io::Result<Client> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let socket = socket.connect(server.address).await?;
    let config = client::config(&server.identity, rustls::DEFAULT_VERSIONS, &["http/1.1"]);
    Client::over(client::secure(socket, config).await?).await
}

#[tokio::test]
async fn one_address_cannot_take_the_connections_of_the_others() {
    const FIRST: [u8; 4] = [127, 0, 0, 2];
    let bounds = server::Bounds { connections: 5, per_peer: 3 };
    let router = Served::new(knowledge(), Limits::default()).router;
    let server = Server::bounded(router, false, bounds).await;
    let path = reviews::validating_path(reviews::GRAPH);
    let body = reviews::create(&reviews::object(reviews::GRAPH)).to_string();
    let mut greedy = Vec::new();
    for _ in 0..3 {
        greedy.push(connect_from(FIRST, &server).await.unwrap());
    }
    assert!(connect_from(FIRST, &server).await.is_err(), "its share is three");
    let mut others = Vec::new();
    for last in [3, 4] {
        others.push(connect_from([127, 0, 0, last], &server).await.unwrap());
    }
    assert!(connect_from([127, 0, 0, 5], &server).await.is_err(), "all five are taken");
    for client in greedy.iter_mut().chain(&mut others) {
        assert_eq!(client.post(&path, body.clone().into()).await.unwrap().response()["allowed"], true);
    }
    drop(greedy);
    // The server learns of the end a moment later.
    while connect_from(FIRST, &server).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_orderly_end_finishes_the_review_that_runs_and_takes_no_more() {
    // The body rests in the middle for as long as this test needs.
    let limits = Limits { patience: Limits::default().deadline, ..Limits::default() };
    let mut server = Server::start(Served::new(knowledge(), limits).router, false).await;
    let body = reviews::create(&reviews::object(reviews::GRAPH)).to_string();
    let (head, tail) = body.split_at(body.len() / 2);
    let mut idle = Client::connect(server.address, &server.identity).await.unwrap();
    let path = reviews::validating_path(reviews::GRAPH);
    assert_eq!(idle.post(&path, body.clone().into()).await.unwrap().status, 200);
    let mut client = Client::connect(server.address, &server.identity).await.unwrap();
    let (pieces, answer) = client.begin(&path, None);
    let answer = tokio::spawn(answer);
    pieces.send(head.to_owned().into()).await.unwrap();
    pieces.send("".into()).await.unwrap();

    server.stop();
    let mut open = true;
    while open {
        tokio::task::yield_now().await;
        open = TcpStream::connect(server.address).await.is_ok();
    }
    assert!(idle.post(&path, body.clone().into()).await.is_err(), "an idle connection is closed");
    pieces.send(tail.to_owned().into()).await.unwrap();
    drop(pieces);
    assert_eq!(answer.await.unwrap().unwrap().response()["allowed"], true);
    server.stop().await.unwrap();
}
