//! A stand-in for the kubelet of one node: the API server asks it for logs as it asks a real one, over TLS. It has one
//! recorded log for each name of a container and writes down what it was asked.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Binding, Node, Pod};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// Paths and queries that were asked for, such as `/containerLogs/ns/pod/main?tailLines=5`.
pub type Asked = Arc<Mutex<Vec<String>>>;

/// Starts it as node `name`; a log that is followed gets `text` and stays open.
pub async fn start(client: &Client, name: &str, text: &'static str) -> Asked {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let node: Node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    let nodes = Api::<Node>::all(client.clone());
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    let asked = Asked::default();
    tokio::spawn(serve(listener, acceptor(), text, Arc::clone(&asked)));
    asked
}

fn acceptor() -> TlsAcceptor {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, text: &'static str, asked: Asked) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, asked) = (acceptor.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let follows = path.contains("follow=true");
            asked.lock().unwrap().push(path);
            let start = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(format!("{start}{text}").as_bytes()).await;
            let _ = stream.flush().await;
            if follows {
                std::future::pending::<()>().await;
            }
            let _ = stream.shutdown().await;
        });
    }
}

/// Puts a pod on the node.
pub async fn bind(client: &Client, namespace: &str, pod: &str, node: &str) {
    let binding: Binding =
        serde_json::from_value(json!({"metadata": {"name": pod}, "target": {"kind": "Node", "name": node}}))
            .unwrap();
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let _: k8s_openapi::apimachinery::pkg::apis::meta::v1::Status =
        pods.create_subresource("binding", pod, &PostParams::default(), &binding).await.unwrap();
}
