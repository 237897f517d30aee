//! As much of a kubelet as the API server asks for the log of a pod: a TLS server that answers every request with the
//! same text.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams},
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

use crate::world::World;

pub struct Kubelet {
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    /// Answers every request with `log`.
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
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), stream, log));
            }
        });
        Self { port, task }
    }

    /// Makes this the kubelet of `node`.
    pub async fn serve(&self, world: &World, node: &str) {
        let addresses = json!([{"type": "InternalIP", "address": "127.0.0.1"}]);
        let endpoints = json!({"kubeletEndpoint": {"Port": self.port}});
        let status = json!({"status": {"addresses": addresses, "daemonEndpoints": endpoints}});
        let api: Api<Node> = Api::all(world.client.clone());
        api.patch_status(node, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }
}

/// One request, one answer.
async fn answer(acceptor: TlsAcceptor, stream: TcpStream, log: &'static str) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let length = log.len();
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{log}");
    // An API server that went away needs no answer.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
