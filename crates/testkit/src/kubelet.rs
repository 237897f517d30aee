//! As much of a kubelet as the API server asks for the logs of pods: over TLS, with one recorded log for all of them. It
//! writes down what it was asked.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Binding, Node, Pod};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

type Asked = Arc<Mutex<Vec<String>>>;

/// Ends when it is dropped.
#[derive(Debug)]
pub struct Kubelet {
    port: u16,
    asked: Asked,
    task: JoinHandle<()>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    /// Answers every request with `log`; one that follows stays open then.
    pub async fn start(log: &'static str) -> Self {
        let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Asked::default();
        let noted = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), stream, log, Arc::clone(&noted)));
            }
        });
        Self { port, asked, task }
    }

    /// Makes this the kubelet of a node that exists.
    pub async fn serve(&self, client: &Client, node: &str) {
        let addresses = json!([{"type": "InternalIP", "address": "127.0.0.1"}]);
        let endpoints = json!({"kubeletEndpoint": {"Port": self.port}});
        let status = json!({"status": {"addresses": addresses, "daemonEndpoints": endpoints}});
        let nodes: Api<Node> = Api::all(client.clone());
        nodes.patch_status(node, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    /// Path and query of the last request, such as `/containerLogs/ns/pod/main?tailLines=5`.
    pub fn last_asked(&self) -> String {
        self.asked.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

/// One request, one answer.
async fn answer(acceptor: TlsAcceptor, stream: TcpStream, log: &'static str, asked: Asked) {
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
    // An API server that went away needs no answer.
    let _ = stream.write_all(format!("{start}{log}").as_bytes()).await;
    let _ = stream.flush().await;
    if follows {
        std::future::pending::<()>().await;
    }
    let _ = stream.shutdown().await;
}

/// Puts a pod on a node, as a scheduler does.
pub async fn bind(client: &Client, namespace: &str, pod: &str, node: &str) {
    let binding: Binding =
        serde_json::from_value(json!({"metadata": {"name": pod}, "target": {"kind": "Node", "name": node}}))
            .unwrap();
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let _: k8s_openapi::apimachinery::pkg::apis::meta::v1::Status =
        pods.create_subresource("binding", pod, &PostParams::default(), &binding).await.unwrap();
}
