//! The controller of DynamoGraphDeployments on the plain path (`workload.md` section 4): one component deployment per
//! service and the account of its pods. Five steps: dereference, validate, render, apply, status.

mod apply;
pub(crate) mod claims;
mod dereference;
mod status;

use std::sync::Arc;

use dynamo_api::{labels, v1alpha1::DynamoGraphDeployment};
use dynamo_kubekit::{
    apply::{ApplyError, Class},
    backoff::jittered,
    cache::Roster,
    client::chain,
    finalizer, key_of,
};
use dynamo_render::{
    graph::build_objects,
    validate::{self, ValidatedGraph},
};
use kube::runtime::controller::Action;

use crate::{
    accounts::GrantError,
    context::Context,
    copied::{self, credentials},
    failure::{Failure, RESYNC, is_reported, plan_retry},
    metrics::observe,
};

/// The kind: how this controller is named in metrics and log lines.
pub(crate) const CONTROLLER: &str = "DynamoGraphDeployment";

/// Why a graph could not be reconciled, by the part that failed. The texts are those of `workload.md` section 12.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to ensure {purpose} RBAC")]
    Grant { purpose: &'static str, source: GrantError },
    #[error("failed to reconcile top-level PVCs")]
    Claims(#[source] claims::ClaimError),
    #[error("failed to reconcile checkpoints")]
    Checkpoints(#[source] ApplyError),
    #[error("failed to reconcile scaling adapters")]
    Adapters(#[source] ApplyError),
    #[error("failed to reconcile EPP resources")]
    Picker(#[source] ApplyError),
    #[error("failed to reconcile EPP resources: failed to sync EPP InferencePool")]
    Pool(#[source] ApplyError),
    #[error(
        "failed to reconcile EPP resources: failed to sync EPP InferencePool: no matches for kind \"InferencePool\" in \
         version \"inference.networking.k8s.io/v1\""
    )]
    NoPools,
    #[error("failed to replicate MPI secret")]
    Key(#[source] copied::Error),
    #[error("failed to give pods the credentials of NATS and etcd")]
    Credentials(#[source] credentials::Error),
    #[error("failed to reconcile K8s discovery resources")]
    Discovery(#[source] ApplyError),
    #[error("failed to reconcile Dynamo components deployments")]
    Components(#[source] ApplyError),
    #[error("failed to reconcile Dynamo components deployments: no multinode orchestrator available")]
    NoOrchestrator,
    #[error("cannot report the status of the graph")]
    Status(#[source] ApplyError),
    #[error("failed to handle the finalizer")]
    Finalizer(#[source] ApplyError),
}

impl Failure for Error {
    fn class(&self) -> Class {
        match self {
            Self::Adapters(cause)
            | Self::Checkpoints(cause)
            | Self::Picker(cause)
            | Self::Pool(cause)
            | Self::Discovery(cause)
            | Self::Components(cause)
            | Self::Status(cause)
            | Self::Finalizer(cause) => cause.class(),
            Self::Grant { source, .. } => source.class(),
            Self::Claims(cause) => cause.class(),
            Self::Key(cause) => cause.class(),
            Self::Credentials(cause) => cause.class(),
            Self::NoOrchestrator | Self::NoPools => Class::Invalid,
        }
    }

    fn category(&self) -> &'static str {
        match self {
            Self::Adapters(cause)
            | Self::Checkpoints(cause)
            | Self::Picker(cause)
            | Self::Pool(cause)
            | Self::Discovery(cause)
            | Self::Components(cause)
            | Self::Status(cause)
            | Self::Finalizer(cause) => cause.category(),
            Self::Grant { source, .. } => source.category(),
            Self::Claims(cause) => cause.category(),
            Self::NoPools => "no_inference_pools",
            Self::Key(cause) => cause.category(),
            Self::Credentials(cause) => cause.category(),
            Self::NoOrchestrator => "no_orchestrator",
        }
    }
}

/// One pass over one graph.
///
/// # Errors
/// See [`Error`]; what a person should see is in the status already when it returns.
pub async fn reconcile(
    entry: Arc<Roster<DynamoGraphDeployment>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    observe(&ctx.metrics, CONTROLLER, key_of(&*entry), pass(&entry, &ctx)).await
}

async fn pass(entry: &Roster<DynamoGraphDeployment>, ctx: &Context) -> Result<Action, Error> {
    let (namespace, name) = key_of(entry);
    let Some(dgd) = ctx.caches.graphs.get(&namespace, &name) else {
        ctx.unsaid_of_graphs.settle(&(namespace, name));
        return Ok(Action::await_change());
    };
    if dgd.metadata.deletion_timestamp.is_some() {
        finalizer::release(&ctx.client, &*dgd, labels::FINALIZER).await.map_err(Error::Finalizer)?;
        return Ok(Action::await_change());
    }
    let graph = match validate::graph(&dgd, &ctx.policy()) {
        Ok(graph) => graph,
        Err(errors) => {
            status::report(ctx, &dgd, status::Outcome::Invalid(&errors)).await?;
            ctx.failures.graphs.reset(&(namespace, name));
            return Ok(Action::requeue(jittered(RESYNC)));
        }
    };
    match make(ctx, &dgd, &graph).await {
        Ok(applied) => {
            let unsaid = status::report(ctx, &dgd, status::Outcome::Applied(&applied)).await?;
            ctx.failures.graphs.reset(&(namespace, name));
            Ok(Action::requeue(unsaid.unwrap_or_else(|| jittered(RESYNC))))
        }
        Err(error) => {
            if is_reported(&ctx.failures.graphs, &(namespace, name), &error) {
                status::report(ctx, &dgd, status::Outcome::Failed(&chain(&error))).await?;
            }
            Err(error)
        }
    }
}

/// The last three steps before the status. Credentials come first: without them nothing of what runs is changed.
async fn make(
    ctx: &Context,
    dgd: &DynamoGraphDeployment,
    graph: &ValidatedGraph<'_>,
) -> Result<apply::Applied, Error> {
    let namespace = dgd.metadata.namespace.as_deref().unwrap_or_default();
    let credentials = ctx.caches.credentials.ensure(&ctx.client, namespace).await;
    let facts = dereference::dereference(ctx, dgd, credentials.map_err(Error::Credentials)?);
    let objects = build_objects(graph, &ctx.config, &facts);
    let needs_orchestrator = graph.services.values().any(|service| service.multinode.is_some());
    apply::apply(ctx, dgd, objects, needs_orchestrator).await
}

/// When to try again; called once per failed pass.
pub fn error_policy(entry: Arc<Roster<DynamoGraphDeployment>>, error: &Error, ctx: Arc<Context>) -> Action {
    plan_retry(&ctx, &ctx.failures.graphs, CONTROLLER, &*entry, error)
}
