//! The controller of DynamoComponentDeployments on the plain path (`workload.md` section 4.2): one Deployment and one
//! Service each. Five steps: dereference, validate, render, apply, status.

mod apply;
mod cause;
mod dereference;
pub(crate) mod models;
mod status;

pub(crate) use self::status::NOT_READY;

use std::sync::Arc;

use dynamo_api::{labels, v1alpha1::DynamoComponentDeployment};
use dynamo_kubekit::{
    apply::{ApplyError, Class},
    backoff::jittered,
    cache::Roster,
    client::chain,
    finalizer, key_of,
};
use dynamo_render::{
    component::{BuildError, build_objects},
    validate::{self, ValidatedComponent},
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::controller::Action;

use crate::{
    context::Context,
    copied::credentials,
    failure::{Failure, RESYNC, is_reported, plan_retry},
    metrics::observe,
};

/// The kind: how this controller is named in metrics and log lines.
pub(crate) const CONTROLLER: &str = "DynamoComponentDeployment";

/// Why a component could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Render(#[from] BuildError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("failed to give pods the credentials of NATS and etcd")]
    Credentials(#[source] credentials::Error),
    #[error(
        "no matches for kind \"VirtualService\" in version \"networking.istio.io/v1beta1\": install Istio, or take \
         useVirtualService out"
    )]
    NoIstio,
    #[error("cannot report the status of the component")]
    Status(#[source] ApplyError),
}

impl Failure for Error {
    fn class(&self) -> Class {
        match self {
            Self::Render(_) | Self::NoIstio => Class::Invalid,
            Self::Apply(cause) | Self::Status(cause) => cause.class(),
            Self::Credentials(cause) => cause.class(),
        }
    }

    fn category(&self) -> &'static str {
        match self {
            Self::Render(_) => "render",
            Self::NoIstio => "no_istio",
            Self::Apply(cause) | Self::Status(cause) => cause.category(),
            Self::Credentials(cause) => cause.category(),
        }
    }
}

/// One pass over one component.
///
/// # Errors
/// See [`Error`]; what a person should see is in the status already when it returns.
pub async fn reconcile(
    entry: Arc<Roster<DynamoComponentDeployment>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    observe(&ctx.metrics, CONTROLLER, key_of(&*entry), pass(&entry, &ctx)).await
}

async fn pass(entry: &Roster<DynamoComponentDeployment>, ctx: &Context) -> Result<Action, Error> {
    let (namespace, name) = key_of(entry);
    let Some(dcd) = ctx.caches.components.get(&namespace, &name) else {
        ctx.unsaid_of_components.settle(&(namespace, name));
        return Ok(Action::await_change());
    };
    if dcd.metadata.deletion_timestamp.is_some() {
        finalizer::release(&ctx.client, &*dcd, labels::FINALIZER).await?;
        return Ok(Action::await_change());
    }
    let component = match validate::component(&dcd, &ctx.policy()) {
        Ok(component) => component,
        Err(errors) => {
            status::report(ctx, &dcd, status::Outcome::Invalid(&errors)).await?;
            ctx.failures.components.reset(&(namespace, name));
            return Ok(Action::requeue(jittered(RESYNC)));
        }
    };
    match make(ctx, &dcd, &component).await {
        Ok(deployment) => {
            let cause = cause::of(&deployment, &ctx.caches.pods.troubled(&namespace, &name));
            let unsaid =
                status::report(ctx, &dcd, status::Outcome::Applied(&deployment, cause.as_ref())).await?;
            ctx.failures.components.reset(&(namespace, name));
            Ok(Action::requeue(unsaid.unwrap_or_else(|| jittered(RESYNC))))
        }
        Err(error) => {
            if is_reported(&ctx.failures.components, &(namespace, name), &error) {
                status::report(ctx, &dcd, status::Outcome::Failed(&chain(&error))).await?;
            }
            Err(error)
        }
    }
}

/// The last three steps before the status. Credentials come first: without them nothing of what runs is changed.
async fn make(
    ctx: &Context,
    dcd: &DynamoComponentDeployment,
    component: &ValidatedComponent<'_>,
) -> Result<Arc<Deployment>, Error> {
    let namespace = dcd.metadata.namespace.as_deref().unwrap_or_default();
    let credentials = ctx.caches.credentials.ensure(&ctx.client, namespace).await;
    let facts = dereference::dereference(ctx, dcd, credentials.map_err(Error::Credentials)?);
    apply::apply(ctx, dcd, build_objects(component, &ctx.config, &facts)?).await
}

/// When to try again; called once per failed pass.
pub fn error_policy(
    entry: Arc<Roster<DynamoComponentDeployment>>,
    error: &Error,
    ctx: Arc<Context>,
) -> Action {
    plan_retry(&ctx, &ctx.failures.components, CONTROLLER, &*entry, error)
}
