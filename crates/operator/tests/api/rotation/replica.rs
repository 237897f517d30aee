//! A replica in process: the keeper and the admission server with its real TLS, as the program runs them.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    http::{HeaderValue, header::CONNECTION},
    middleware::map_response,
    response::Response,
};
use dynamo_operator::{
    certs::{CertificateMetrics, Configurations, Keeper, Names, Readiness, Resolver, Serving, Settings},
    optional_apis::OptionalApis,
    webhook::{Knowledge, Limits, WebhookMetrics, router, server},
};
use dynamo_render::config::OperatorConfig;
use dynamo_testkit::{Balancer, Plane, eventually};
use kube::{
    Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{sync::watch, task::JoinHandle};

use super::fuse::Fuse;

/// What the replicas share.
pub struct Site {
    pub namespace: String,
    pub configurations: Configurations,
    /// Reviews answered by all replicas.
    pub reviews: Arc<AtomicUsize>,
    kubeconfig: PathBuf,
    secret: String,
    service: String,
}

impl Site {
    pub fn new(plane: &Plane, namespace: &str, secret: &str, service: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            configurations: Configurations {
                validating: format!("{namespace}-validating"),
                mutating: format!("{namespace}-mutating"),
            },
            reviews: Arc::default(),
            kubeconfig: plane.operator_kubeconfig(),
            secret: secret.to_owned(),
            service: service.to_owned(),
        }
    }

    pub fn names(&self) -> Names {
        Names {
            service: self.service.clone(),
            namespace: self.namespace.clone(),
            cluster_domain: "cluster.local".to_owned(),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            namespace: self.namespace.clone(),
            secret: self.secret.clone(),
            configurations: self.configurations.clone(),
            names: self.names(),
            leaf_days: 365,
            settle: Duration::from_secs(1),
        }
    }
}

pub struct Replica {
    pub fuse: Fuse,
    address: SocketAddr,
    resolver: Resolver,
    readiness: Readiness,
    keeper: JoinHandle<()>,
    server: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Replica {
    /// Starts keeper and server and joins the balancer, which sends reviews when the replica is ready.
    pub async fn start(site: &Site, balancer: &Balancer, fuse: Fuse) -> Self {
        let kubeconfig = Kubeconfig::read_from(&site.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = ClientBuilder::try_from(config).unwrap().with_layer(&fuse).build();
        let serving = Serving::new(CertificateMetrics::default());
        let (resolver, readiness) = (serving.resolver(), serving.readiness());
        let keeper = tokio::spawn(Keeper::new(client, site.settings(), serving).run());
        Self::serve(site, balancer, resolver, readiness, keeper, fuse).await
    }

    /// Starts a server alone, for certificates that `keeper` keeps.
    pub async fn serve(
        site: &Site,
        balancer: &Balancer,
        resolver: Resolver,
        readiness: Readiness,
        keeper: JoinHandle<()>,
        fuse: Fuse,
    ) -> Self {
        let knowledge = Knowledge {
            config: OperatorConfig::default(),
            version: "0.9.0".to_owned(),
            restricted: false,
            trusted: Vec::new(),
            excluded: Box::new(|_| false),
            optional_apis: Box::new(OptionalApis::default),
        };
        let reviews = Arc::clone(&site.reviews);
        let count_and_close = move |mut answer: Response| {
            reviews.fetch_add(1, Ordering::Relaxed);
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            std::future::ready(answer)
        };
        let router = router(knowledge, WebhookMetrics::default(), Limits::default())
            .layer(map_response(count_and_close));
        let listener = server::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Arc::new(server::tls_config(Arc::new(resolver.clone()), false).unwrap());
        let (stop, mut stopping) = watch::channel(false);
        let shutdown = async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let server = tokio::spawn(server::serve_tls(listener, router, tls, shutdown));
        let ready = readiness.clone();
        balancer.add(address, move || ready.reason().is_none());
        Self { fuse, address, resolver, readiness, keeper, server, stop }
    }

    pub async fn ready(&self) {
        eventually("a ready replica", || async { self.readiness.reason().map_or(Ok(()), Err) }).await;
    }

    pub fn reason(&self) -> Option<String> {
        self.readiness.reason()
    }

    /// Whether handshakes get the first certificate of a PEM text.
    pub fn serves(&self, pem: &str) -> bool {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let expected = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        self.resolver.current().is_some_and(|pair| pair.cert[0] == expected)
    }

    /// Ends the keeper alone, as a crash of its task does; the server goes on with what it has.
    pub fn abort_keeper(&self) {
        self.keeper.abort();
    }

    /// An orderly end: no new connections, those that are open end, then the server does.
    pub async fn stop(&mut self, balancer: &Balancer) {
        balancer.drain(self.address).await;
        self.keeper.abort();
        self.stop.send_replace(true);
        let _ = (&mut self.server).await;
    }
}
