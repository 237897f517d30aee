//! Promises of the request plane over loopback, between this program's two sides and against peers
//! written out byte by byte.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::discovery::{EndpointInstance, Transport};
use crate::endpoint::EndpointId;
use crate::protocol::Annotated;
use crate::shutdown::{ShutdownSettings, drain_worker};
use crate::{Discovery, Registration};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn quick() -> TransportSettings {
    TransportSettings {
        request_timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(2),
        call_home_timeout: Duration::from_secs(5),
        ..TransportSettings::default()
    }
}

fn id() -> EndpointId {
    EndpointId::new("ns", "backend", "generate")
}

/// A server whose handler answers with the numbers below `count`.
async fn counting_server(settings: TransportSettings) -> (RequestPlaneServer, EndpointInstance) {
    let server = RequestPlaneServer::bind_with(HERE, 0, settings).await.unwrap();
    server.serve_endpoint(&id().path(7), None, |_, request: Value| {
        let count = request["count"].as_u64().unwrap_or(0);
        futures::stream::iter((0..count).map(Annotated::data))
    });
    let instance = server.instance(&id(), 7);
    (server, instance)
}

/// A server whose handler never ends by itself; counts how often its work was dropped.
async fn endless_server() -> (RequestPlaneServer, EndpointInstance, Arc<AtomicUsize>) {
    struct Ended(Arc<AtomicUsize>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let server = RequestPlaneServer::bind_with(HERE, 0, quick()).await.unwrap();
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = ended.clone();
    server.serve_endpoint(&id().path(7), None, move |context: RequestContext, _| {
        let ended = Ended(counter.clone());
        let first = futures::stream::iter([Annotated::data(json!("first"))]);
        let last = futures::stream::once(async move {
            context.cancel.cancelled().await;
            let _ended = ended;
            Annotated::data(json!("stopped"))
        });
        first.chain(last)
    });
    let instance = server.instance(&id(), 7);
    (server, instance, ended)
}

fn address(instance: &EndpointInstance) -> std::net::SocketAddr {
    let Transport::Tcp(text) = &instance.transport else { panic!("{instance:?}") };
    text.split('/').next().unwrap().parse().unwrap()
}

async fn client() -> PushClient {
    PushClient::start(HERE, quick()).await.unwrap()
}

async fn call(client: &PushClient, instance: &EndpointInstance, count: u64) -> Result<Vec<u64>, CallError> {
    let request = json!({ "count": count });
    let stream: ResponseStream<u64> = client.call(instance, &request, CallContext::new("r")).await?;
    Ok(stream.map(|item| item.unwrap().data.unwrap()).collect().await)
}

#[tokio::test]
async fn many_concurrent_answers_arrive_whole_and_in_order() {
    let (server, instance) = counting_server(quick()).await;
    let client = client().await;
    let calls = (0..200_u64).map(|count| {
        let (client, instance) = (client.clone(), instance.clone());
        async move { (count, call(&client, &instance, count).await.unwrap()) }
    });
    for (count, items) in futures::future::join_all(calls).await {
        assert_eq!(items, (0..count).collect::<Vec<_>>());
    }
    assert_eq!(server.drain(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_endpoint_may_be_retried_elsewhere() {
    let client = client().await;
    let (_server, mut instance) = counting_server(quick()).await;
    instance.transport = Transport::Tcp(format!("{}/9/generate", address(&instance)));
    let error = call(&client, &instance, 1).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("Unknown endpoint: 9/generate"), "{error}");

    let free = TcpListener::bind((HERE, 0)).await.unwrap().local_addr().unwrap();
    instance.transport = Transport::Tcp(format!("{free}/7/generate"));
    let error = call(&client, &instance, 1).await.unwrap_err();
    assert!(matches!(error, CallError::Connect { .. }) && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn an_overloaded_worker_refuses_before_it_takes_the_request() {
    let settings = TransportSettings { max_in_flight: 0, ..quick() };
    let (_server, instance) = counting_server(settings).await;
    let error = call(&client().await, &instance, 1).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("Server overloaded"), "{error}");
}

#[tokio::test]
async fn a_transport_this_program_does_not_speak_is_named() {
    let transport = Transport::Http("http://h/".to_owned());
    let instance = EndpointInstance { id: id(), instance_id: 7, transport };
    let error = call(&client().await, &instance, 1).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("over http"), "{error}");
}

#[tokio::test]
async fn a_request_above_the_size_limit_is_not_sent() {
    let (_server, instance) = counting_server(quick()).await;
    let settings = TransportSettings { max_message_size: 1000, ..quick() };
    let client = PushClient::start(HERE, settings).await.unwrap();
    let request = json!({"text": "x".repeat(2000)});
    let outcome: Result<ResponseStream<u64>, _> =
        client.call(&instance, &request, CallContext::new("r")).await;
    assert!(matches!(outcome, Err(CallError::TooLarge { limit: 1000, .. })));
}

#[tokio::test]
async fn stop_lets_the_handler_finish_its_answer() {
    let (_server, instance, _) = endless_server().await;
    let client = client().await;
    let mut stream: ResponseStream<String> =
        client.call(&instance, &json!({}), CallContext::new("r")).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().data.unwrap(), "first");
    stream.stop();
    assert_eq!(stream.next().await.unwrap().unwrap().data.unwrap(), "stopped");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn dropping_the_answer_ends_the_work() {
    let (server, instance, ended) = endless_server().await;
    let client = client().await;
    let stream: ResponseStream<String> =
        client.call(&instance, &json!({}), CallContext::new("r")).await.unwrap();
    drop(stream);
    assert_eq!(server.drain(Duration::from_secs(10)).await, 0);
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

/// Reads one frame of the request plane and returns where the answer must go.
async fn accept_by_hand(listener: &TcpListener) -> (TcpStream, Value, Value) {
    let (mut socket, _) = listener.accept().await.unwrap();
    let request = super::request::Request::read(&mut socket, 1 << 20).await.unwrap().unwrap();
    assert_eq!(request.path, "7/generate");
    let size = |at: usize| u64::from_be_bytes(request.payload[at..at + 8].try_into().unwrap()) as usize;
    let (header, body) = (size(0), size(8));
    assert_eq!(request.payload.len(), 24 + header + body);
    let header_json: Value = serde_json::from_slice(&request.payload[24..24 + header]).unwrap();
    assert_eq!(header_json["request_type"], "single_in");
    assert_eq!(header_json["response_type"], "many_out");
    assert_eq!(header_json["connection_info"]["transport"], "tcp_server");
    let info = serde_json::from_str(header_json["connection_info"]["info"].as_str().unwrap()).unwrap();
    let body = serde_json::from_slice(&request.payload[24 + header..]).unwrap();
    socket.write_all(&[0, 0, 0, 0]).await.unwrap();
    (socket, info, body)
}

fn frame(header: &str, body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((header.len() as u64).to_be_bytes());
    bytes.extend((body.len() as u64).to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(header.as_bytes());
    bytes.extend(body.as_bytes());
    bytes
}

/// A worker written by hand that sends `frames` after the handshake and closes.
async fn worker_by_hand(frames: Vec<Vec<u8>>) -> EndpointInstance {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (_socket, info, _) = accept_by_hand(&listener).await;
        assert_eq!(info["stream_type"], "response");
        let mut home = TcpStream::connect(info["address"].as_str().unwrap()).await.unwrap();
        let handshake = json!({"subject": info["subject"], "stream_type": "response"}).to_string();
        home.write_all(&frame(&handshake, "")).await.unwrap();
        for bytes in frames {
            home.write_all(&bytes).await.unwrap();
        }
    });
    EndpointInstance { id: id(), instance_id: 7, transport: Transport::Tcp(format!("{address}/7/generate")) }
}

#[tokio::test]
async fn the_answer_of_a_worker_written_from_the_contract_is_read() {
    let frames = vec![
        frame(r#"{"error":null}"#, ""),
        frame("", r#"{"data":{"data":5},"complete_final":false}"#),
        frame("", r#"{"complete_final":true}"#),
    ];
    let instance = worker_by_hand(frames).await;
    assert_eq!(call(&client().await, &instance, 1).await.unwrap(), [5]);
}

#[tokio::test]
async fn an_answer_without_the_final_frame_ends_with_a_loss() {
    let frames =
        vec![frame(r#"{"error":null}"#, ""), frame("", r#"{"data":{"data":5},"complete_final":false}"#)];
    let instance = worker_by_hand(frames).await;
    let client = client().await;
    let mut stream: ResponseStream<u64> =
        client.call(&instance, &json!({}), CallContext::new("r")).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().data, Some(5));
    assert!(matches!(stream.next().await, Some(Err(StreamError::StreamLost { .. }))));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_worker_that_reports_an_error_in_the_prologue_is_not_retried() {
    let instance = worker_by_hand(vec![frame(r#"{"error":"no such adapter"}"#, "")]).await;
    let error = call(&client().await, &instance, 1).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("no such adapter"), "{error}");
}

#[tokio::test]
async fn a_worker_that_acknowledges_and_dies_may_be_replaced() {
    let instance = worker_by_hand(vec![]).await;
    let error = call(&client().await, &instance, 1).await.unwrap_err();
    assert!(matches!(error, CallError::NoAnswer { .. }) && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_caller_written_from_the_contract_gets_its_answer() {
    let (_server, instance) = counting_server(quick()).await;
    let home = TcpListener::bind((HERE, 0)).await.unwrap();
    let info = json!({"address": home.local_addr().unwrap().to_string(), "subject": "s-1",
                      "context": "r", "stream_type": "response"});
    let header = json!({"id": "r", "request_type": "single_in", "response_type": "many_out",
                        "connection_info": {"transport": "tcp_server", "info": info.to_string()}});
    let payload = frame(&header.to_string(), r#"{"count":1}"#);
    let mut message = b"\x00\x0a7/generate\x00\x02{}".to_vec();
    message.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    message.extend(payload);
    let mut socket = TcpStream::connect(address(&instance)).await.unwrap();
    socket.write_all(&message).await.unwrap();
    assert_eq!(socket.read_u32().await.unwrap(), 0);

    let (mut answer, _) = home.accept().await.unwrap();
    let mut bytes = Vec::new();
    let mut expected = frame(r#"{"subject":"s-1","stream_type":"response"}"#, "");
    expected.extend(frame(r#"{"error":null}"#, ""));
    expected.extend(frame("", r#"{"data":{"data":0},"complete_final":false}"#));
    expected.extend(frame("", r#"{"complete_final":true}"#));
    answer.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&expected));
}

#[tokio::test]
async fn a_kept_connection_to_a_restarted_worker_is_replaced() {
    let client = client().await;
    let (server, instance) = counting_server(quick()).await;
    assert_eq!(call(&client, &instance, 1).await.unwrap(), [0]);
    let port = address(&instance).port();
    drop(server);
    // The port stays in use until the old listener task is gone.
    let server = loop {
        match RequestPlaneServer::bind_with(HERE, port, quick()).await {
            Ok(server) => break server,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    server.serve_endpoint(&id().path(7), None, |_, _| futures::stream::iter([Annotated::data(9_u64)]));
    assert_eq!(call(&client, &instance, 1).await.unwrap(), [9]);
}

#[tokio::test]
async fn a_graceful_shutdown_loses_no_request() {
    let (server, instance) = counting_server(quick()).await;
    let discovery = Discovery::memory();
    discovery.register(Registration::endpoint(instance.clone())).await.unwrap();
    let mut visible = discovery.watch();
    let client = client().await;
    let caller = tokio::spawn(async move {
        let mut answered = 0_u64;
        while !visible.borrow_and_update().instances.is_empty() {
            assert_eq!(call(&client, &instance, 20).await.unwrap().len(), 20);
            answered += 1;
        }
        // A caller that has not yet seen the removal still sends.
        for _ in 0..5 {
            assert_eq!(call(&client, &instance, 20).await.unwrap().len(), 20);
        }
        answered
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let health = crate::system::SystemHealth::new(&crate::system::SystemSettings::default());
    let settings = ShutdownSettings { propagation: Duration::from_secs(2), timeout: Duration::from_secs(10) };
    assert_eq!(drain_worker(&health, &discovery, &[&server], settings).await, 0);
    assert!(caller.await.unwrap() > 0);
    assert!(!health.is_ready());
}
