//! The admission server of the process: its certificate, its knowledge, its end (`operator-process.md` section 6).
//! It runs on every replica, leader or not. Judging and certificates have modules of their own.

use std::{sync::Arc, time::Duration};

use dynamo_render::OperatorConfig;
use kube::Client;
use tokio::sync::watch;
use tracing::info;

use super::{Error, cluster};
use crate::{
    certs::{CertificateMetrics, FileKeeper, FileSettings, Keeper, Names, Readiness, Serving, Settings},
    flags::{CertificateSource, Flags, NamespacedName, WebhookFlags},
    optional_apis::OptionalApis,
    scope::Scope,
    server::Condition,
    webhook::{Knowledge, Limits, WebhookMetrics, router, server},
};

/// How often the files of a mounted Secret are read.
const POLL: Duration = Duration::from_secs(10);
/// How long reviews are taken after the end was asked for: the API servers still call until the Service has followed.
const WITHDRAWAL: Duration = Duration::from_secs(5);

/// Everything that serving admission needs from the process.
pub(super) struct Admission {
    pub(super) flags: WebhookFlags,
    /// Not fenced: certificates belong to all replicas.
    pub(super) client: Client,
    pub(super) knowledge: Knowledge,
    pub(super) metrics: WebhookMetrics,
    pub(super) certificates: CertificateMetrics,
    pub(super) http2: bool,
    pub(super) ready: Condition,
}

/// What the judge knows, from the flags and from what the process watches.
pub(super) fn knowledge(flags: &Flags, scope: Scope, apis: watch::Receiver<OptionalApis>) -> Knowledge {
    let trusted = flags
        .trusted_service_accounts
        .iter()
        .map(|NamespacedName { namespace, name }| format!("system:serviceaccount:{namespace}:{name}"));
    Knowledge {
        config: OperatorConfig::clone(&flags.render),
        version: flags.version.to_string(),
        restricted: flags.restricted_namespace.is_some(),
        trusted: trusted.collect(),
        excluded: Box::new(move |namespace| scope.excludes(namespace)),
        optional_apis: Box::new(move || *apis.borrow()),
    }
}

/// Serves reviews until `stopping`, and a while longer. The listener takes no connection before admission is ready for
/// the first time, since a failed handshake looks like a broken webhook; early callers wait in its backlog.
///
/// # Errors
/// When the address cannot be bound or a task of the certificates ends.
pub(super) async fn serve(admission: Admission, mut stopping: watch::Receiver<bool>) -> Result<(), Error> {
    let Admission { flags, client, knowledge, metrics, certificates, http2, ready } = admission;
    let serving = Serving::new(certificates);
    let config = server::tls_config(Arc::new(serving.resolver()), http2).map_err(Error::Tls)?;
    let limits = Limits { deadline: flags.deadline(), ..Limits::default() };
    let readiness = serving.readiness();
    let keeping = keep(&flags, client, serving)?;
    let listener = server::bind(&flags.address).await?;
    info!(address = flags.address, "admission listens");
    let (mut unserved, mut first) = (stopping.clone(), readiness.clone());
    let withdrawn = async move {
        // An error means that the process is going away, which is a stop, too.
        let _ = stopping.wait_for(|stop| *stop).await;
        tokio::time::sleep(WITHDRAWAL).await;
    };
    let serving = async move {
        let is_ready = tokio::select! {
            is_ready = first_ready(&mut first) => is_ready,
            // Nobody was served, so nobody needs time to look elsewhere.
            _ = unserved.wait_for(|stop| *stop) => return,
        };
        if !is_ready {
            // The keeper has ended, which ends the process below.
            return std::future::pending().await;
        }
        info!("admission takes reviews");
        server::serve_tls(listener, router(knowledge, metrics, limits), Arc::new(config), withdrawn).await;
    };
    tokio::select! {
        () = serving => Ok(()),
        () = keeping => Err(Error::Task("the keeper of the webhook certificates".to_owned())),
        () = report(readiness, ready) => Err(Error::Task("the state of the webhook certificates".to_owned())),
    }
}

/// The task that provides the certificate, by the mode of the flags.
fn keep(
    flags: &WebhookFlags,
    client: Client,
    serving: Serving,
) -> Result<futures::future::BoxFuture<'static, ()>, Error> {
    let configurations = flags.registrations.clone();
    let namespace = flags.namespace.clone().or_else(cluster::own_namespace);
    let names = |namespace: String| Names {
        service: flags.service.clone().unwrap_or_default(),
        namespace,
        cluster_domain: cluster::domain(),
    };
    Ok(match &flags.certificate {
        CertificateSource::Files { folder } => {
            let names = names(namespace.unwrap_or_default());
            let settings = FileSettings { directory: folder.into(), names, configurations, poll: POLL };
            Box::pin(FileKeeper::new(client, settings, serving).run())
        }
        CertificateSource::Operator(certificate) => {
            let namespace = namespace.ok_or(Error::NoWebhookNamespace)?;
            let settings = Settings {
                namespace: namespace.clone(),
                secret: certificate.secret.clone(),
                configurations: configurations.ok_or(Error::NoRegistrations)?,
                names: names(namespace),
                leaf_days: certificate.days,
                settle: certificate.bundle_settle,
            };
            Box::pin(Keeper::new(client, settings, serving).run())
        }
    })
}

/// Waits until admission can work; false when it never will.
async fn first_ready(readiness: &mut Readiness) -> bool {
    while readiness.reason().is_some() {
        if readiness.changed().await.is_err() {
            return false;
        }
    }
    true
}

/// Carries the state of the certificates to `/readyz`, with its reason.
async fn report(mut readiness: Readiness, ready: Condition) {
    loop {
        ready.report(readiness.reason());
        if readiness.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

    use super::*;
    use crate::server;

    #[tokio::test]
    async fn without_a_certificate_callers_wait_and_the_end_is_prompt() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let probes = server::Readiness::default();
        let admission = Admission {
            flags: WebhookFlags {
                address: address.to_string(),
                timeout: Duration::from_secs(10),
                service: None,
                namespace: None,
                registrations: None,
                certificate: CertificateSource::Files { folder: "no-such-folder".to_owned() },
            },
            client: Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap(),
            knowledge: Knowledge {
                config: OperatorConfig::default(),
                version: "1.0.0".to_owned(),
                restricted: false,
                trusted: Vec::new(),
                excluded: Box::new(|_| false),
                optional_apis: Box::new(OptionalApis::default),
            },
            metrics: WebhookMetrics::default(),
            certificates: CertificateMetrics::default(),
            http2: false,
            ready: probes.condition("certificate", "not there"),
        };
        let (stop, stopping) = watch::channel(false);
        let process = tokio::spawn(serve(admission, stopping));
        let mut early = loop {
            assert!(!process.is_finished());
            match TcpStream::connect(address).await {
                Ok(socket) => break socket,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        // A connection that is taken and begins no handshake is hung up on after 5 s.
        assert!(timeout(Duration::from_secs(6), early.read_u8()).await.is_err(), "it waits in the backlog");
        assert_eq!(probes.missing().len(), 1);
        stop.send_replace(true);
        timeout(WITHDRAWAL, process).await.expect("there is nobody to wait for").unwrap().unwrap();
        early.read_u8().await.expect_err("the listener is closed");
    }
}
