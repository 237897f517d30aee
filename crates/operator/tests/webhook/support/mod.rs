//! An admission server on a port of its own, a client that speaks its TLS, and the reviews they exchange.
//! Shared with the benchmark.

pub mod client;
pub mod reviews;

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use dynamo_operator::{
    optional_apis::OptionalApis,
    webhook::{Knowledge, Limits, WebhookMetrics, router, server},
};
use dynamo_render::config::OperatorConfig;
use prometheus_client::{encoding::text::encode, registry::Registry};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::{sync::watch, task::JoinHandle};

/// The name in the certificates of the tests.
pub const HOST: &str = "webhook.test";
pub const OPERATOR: &str = "system:serviceaccount:dynamo-system:dynamo-operator";

/// What a cluster-wide operator in `dynamo-system` knows; the namespace `excluded` is not its own.
pub fn knowledge() -> Knowledge {
    Knowledge {
        config: OperatorConfig::default(),
        version: "0.9.0".to_owned(),
        restricted: false,
        trusted: vec![OPERATOR.to_owned()],
        excluded: Box::new(|namespace| namespace == "excluded"),
        optional_apis: Box::new(OptionalApis::default),
    }
}

/// The router of an admission server and what it counts.
pub struct Served {
    pub router: Router,
    registry: Registry,
}

impl Served {
    pub fn new(knowledge: Knowledge, limits: Limits) -> Self {
        let metrics = WebhookMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        Self { router: router(knowledge, metrics, limits), registry }
    }

    /// The lines of `/metrics`.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics are text");
        text
    }
}

/// A certificate for [`HOST`] that signs itself.
#[derive(Clone)]
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub key: Arc<CertifiedKey>,
}

impl Identity {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("certificate");
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let key =
            CertifiedKey::from_der(vec![certificate.clone()], key, &ring::default_provider()).expect("key");
        Self { certificate, key: Arc::new(key) }
    }

    pub fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.key)))
    }
}

/// A listening server; it ends with this value.
pub struct Server {
    pub address: SocketAddr,
    pub identity: Identity,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(router: Router, http2: bool) -> Self {
        Self::bounded(router, http2, server::Bounds::default()).await
    }

    pub async fn bounded(router: Router, http2: bool, bounds: server::Bounds) -> Self {
        let identity = Identity::new();
        let config = server::tls_config(identity.resolver(), http2).expect("TLS");
        let listener = server::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        let (stop, mut stopping) = watch::channel(false);
        let shutdown = async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let task = tokio::spawn(server::serve_bounded(listener, router, Arc::new(config), bounds, shutdown));
        Self { address, identity, stop, task }
    }

    /// Begins the orderly end; the value resolves when the last request is answered.
    pub fn stop(&mut self) -> &mut JoinHandle<()> {
        self.stop.send_replace(true);
        &mut self.task
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
