//! From the flags to everything that runs: clients, listeners, watches, scope, admission, controllers.
//! Nothing here waits for the API server but the first look at its optional APIs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dynamo_api::v1alpha1::State;
use dynamo_kubekit::{cache::Cache, client};
use dynamo_render::{OperatorConfig, credentials::Purpose};
use futures::{
    FutureExt,
    future::{LocalBoxFuture, OptionFuture},
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, Config};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    Error, Tasks,
    admission::{self, Admission},
    cluster, environment,
    leadership::{Election, lead},
    listeners::listen,
};
use crate::{
    certs::CertificateMetrics,
    context::{Caches, Context},
    copied::keygen::Keygen,
    flags::{CredentialFlags, Flags, NamespacedName},
    kai_queues,
    metrics::{Metrics, Resources, Source},
    optional_apis::{self, OptionalApis, Probe},
    scope::{Claim, Exclusions, Scope},
    server::Readiness,
    webhook::WebhookMetrics,
    wiring::{self, Wiring},
};

/// Families that only the admission server counts.
#[derive(Default)]
pub(super) struct AdmissionMetrics {
    pub(super) webhook: WebhookMetrics,
    pub(super) certificates: CertificateMetrics,
}

/// Starts everything and returns what must run to its end: controllers while this process leads, and admission.
pub(super) async fn start(
    mut flags: Flags,
    tasks: &mut Tasks,
    stopping: watch::Receiver<bool>,
) -> Result<LocalBoxFuture<'static, Result<(), Error>>, Error> {
    environment::apply(&mut flags.render)?;
    let config = cluster::load(flags.kubeconfig.as_deref()).await?;
    let restricted = flags.restricted_namespace.clone();
    let OperatorConfig {
        nats_address,
        etcd_address,
        model_express_url,
        prometheus_endpoint,
        discovery_backend,
        ..
    } = &flags.render;
    info!(
        version = %flags.version, namespace = restricted.as_deref().unwrap_or("all"),
        nats = nats_address, etcd = etcd_address, model_express = model_express_url,
        prometheus = prometheus_endpoint, discovery = discovery_backend.as_str(), "starting"
    );
    if let Some(given) = &flags.version_refused {
        warn!(given, used = %flags.version, "--operator-version is no version");
    }
    let metrics = Metrics::default();
    let admission_metrics = AdmissionMetrics::default();
    let ready = Readiness::default();
    // Leases and certificates are written by a client of their own: by the Leases the right to write is had, and the
    // certificates belong to all replicas. So does the question who reads metrics.
    let plain = client::build(&config, Arc::clone(&metrics.api)).map_err(Error::Client)?;
    listen(&flags, &plain, &metrics, &admission_metrics, &ready, tasks)?;
    let caches_filled = ready.condition("caches", "the caches are not filled yet");
    let certificate = flags
        .webhooks
        .is_some()
        .then(|| ready.condition("webhook certificate", "the certificates were not looked at yet"));

    let election = flags.leader_election.as_ref();
    let election =
        election.map(|election| Election::new(&plain, election, metrics.leader.clone())).transpose()?;
    let (scope, claim) = scope_of(&flags, &plain, election.as_ref());
    let client = fenced(&config, &metrics, &scope)?;

    let timing = optional_apis::Timing::default();
    let (probe, apis) = Probe::start(plain.clone(), metrics.optional_apis.clone(), timing).await?;
    tasks.spawn(probe.run().map(Ok));

    let settings = wiring::Settings {
        namespace: restricted,
        roles: flags.roles.clone(),
        key: flags.mpi_ssh_secret.clone(),
        credentials: credentials(&flags.credentials)?,
        checkpoints: flags.render.checkpoint.is_some(),
        has_gateway: flags.render.ingress.virtual_service_gateway.is_some(),
        concurrency: flags.reconcile_concurrency,
    };
    let mut wiring = wiring::connect(&client, &settings, &apis, &metrics.reconcile);
    for feed in std::mem::take(&mut wiring.feeds) {
        tasks.spawn(feed.map(Ok));
    }
    tasks.spawn(wiring.wake_at_apis(apis.clone()).map(Ok));
    let claims = watch_claims(&scope, &wiring, tasks);

    let reviews = flags.webhooks.clone().zip(certificate).map(|(webhooks, certificate)| {
        let admission = Admission {
            flags: webhooks,
            client: plain,
            knowledge: admission::knowledge(&flags, scope.clone(), apis.clone()),
            metrics: admission_metrics.webhook,
            certificates: admission_metrics.certificates,
            http2: flags.http2,
            ready: certificate,
        };
        admission::serve(admission, stopping.clone())
    });
    let upkeep = upkeep(&flags, &client, &wiring.caches, &apis, timing.every);
    let counting = count(metrics.resources.clone(), wiring.caches.clone(), scope.clone());
    let context = Context::new(client, &wiring, flags.render, metrics.reconcile, scope, apis);
    let work = async move {
        let context = Arc::new(context);
        let mut stopped = stopping.clone();
        tokio::select! {
            filled = filled(claims, &context.caches) => filled?,
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
        }
        caches_filled.set(true);
        info!("caches filled");
        let controllers = wiring.controllers(context, stopping.clone());
        let leading = async {
            tokio::select! {
                () = controllers => {}
                () = upkeep => {}
            }
        };
        tokio::select! {
            ended = lead(election, claim, leading, stopping) => ended,
            () = counting => Err(Error::Task("the count of objects".to_owned())),
        }
    };
    Ok(async move {
        let reviews = async move {
            match reviews {
                Some(reviews) => reviews.await,
                None => Ok(()),
            }
        };
        tokio::try_join!(work, reviews).map(drop)
    }
    .boxed_local())
}

/// What the leader looks after beside its controllers; it does not end before them.
fn upkeep(
    flags: &Flags,
    client: &Client,
    caches: &Caches,
    apis: &watch::Receiver<OptionalApis>,
    every: Duration,
) -> impl Future<Output = ()> + use<> {
    let keygen = flags.mpi_ssh_keygen.then(|| Keygen::new(client.clone(), &caches.keys).run());
    // A restricted operator has no rights on what is of the cluster.
    let queues = flags.restricted_namespace.is_none();
    let queues = queues.then(|| kai_queues::keep(client.clone(), apis.clone(), every));
    let forever = std::future::pending::<()>();
    async move {
        tokio::join!(OptionFuture::from(keygen), OptionFuture::from(queues), forever);
    }
}

/// What this process may write, and its own claim when it is restricted to a namespace.
fn scope_of(flags: &Flags, client: &Client, election: Option<&Election>) -> (Scope, Option<Claim>) {
    let settings = flags.scope;
    let term = election.map(|election| election.candidate.term());
    match flags.restricted_namespace.as_deref() {
        Some(namespace) => {
            let claim = Claim::new(client.clone(), namespace, &flags.version, settings);
            (Scope::restricted(claim.ticket(), term), Some(claim))
        }
        None => (Scope::cluster_wide(Exclusions::new(client.clone(), settings), term), None),
    }
}

/// The Secrets that pods are given, where they are.
fn credentials(flags: &CredentialFlags) -> Result<BTreeMap<Purpose, NamespacedName>, Error> {
    if flags.names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let namespace = flags.namespace.clone().or_else(cluster::own_namespace);
    let namespace = namespace.ok_or(Error::NoCredentialsNamespace)?;
    let sources = flags.names.iter().map(|(purpose, name)| {
        (*purpose, NamespacedName { namespace: namespace.clone(), name: name.clone() })
    });
    Ok(sources.collect())
}

fn fenced(config: &Config, metrics: &Metrics, scope: &Scope) -> Result<Client, Error> {
    client::build_fenced(config, Arc::clone(&metrics.api), Arc::new(scope.clone())).map_err(Error::Client)
}

/// Watches the claims of restricted operators; what a claim hid is woken at its end.
fn watch_claims(scope: &Scope, wiring: &Wiring, tasks: &mut Tasks) -> Option<Cache<Lease>> {
    let exclusions = scope.exclusions()?;
    let (feed, cache) = exclusions.feed();
    let wake = wiring.waker();
    let expiry = exclusions.clone().run(wake);
    tasks.spawn(feed.map(Ok));
    tasks.spawn(expiry.map(Ok));
    Some(cache)
}

/// One at a time: of two that wait for one cache, kube-rs wakes the later.
async fn filled(claims: Option<Cache<Lease>>, caches: &Caches) -> Result<(), Error> {
    let filled = async {
        if let Some(claims) = claims {
            claims.wait_until_ready().await?;
        }
        caches.wait_until_ready().await
    };
    filled.await.map_err(|_| Error::Task("a watch before its first list".to_owned()))
}

/// Counts the objects that are this operator's, for ever. The caches must be filled.
async fn count(resources: Resources, caches: Caches, scope: Scope) {
    let Caches { graphs, components, requests, adapters, models, checkpoints, .. } = caches;
    let sources = vec![
        Source::new("DynamoGraphDeployment", graphs, State::state),
        Source::new("DynamoComponentDeployment", components, State::state),
        Source::new("DynamoGraphDeploymentRequest", requests, State::state),
        Source::new("DynamoGraphDeploymentScalingAdapter", adapters, State::state),
        Source::new("DynamoModel", models, State::state),
        Source::new("DynamoCheckpoint", checkpoints, State::state),
    ];
    resources.run(sources, move |namespace| scope.excludes(namespace), Resources::EVERY).await;
}
