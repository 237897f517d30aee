//! The controller of DynamoGraphDeploymentScalingAdapters (`workload.md` section 14): the replicas that an autoscaler
//! asks for are written into the graph, and what runs is told. Nothing else of the graph is touched.

mod status;

use std::sync::Arc;

use dynamo_api::v1alpha1::{DynamoGraphDeployment, DynamoGraphDeploymentScalingAdapter, SharedSpec};
use dynamo_kubekit::{
    apply::{ApplyError, Class},
    backoff::jittered,
    cache::{Cache, Feed, Roster, controller_of, reference},
    client::chain,
    key_of,
};
use dynamo_render::adapter::is_enabled;
use kube::{Api, Resource, runtime::controller::Action};
use serde_json::json;

use crate::{
    context::{Context, failed},
    failure::{Failure, RESYNC, is_reported, plan_retry},
    metrics::observe,
    wiring::Trigger,
    writes,
};

/// The kind: how this controller is named in metrics and log lines.
pub(crate) const CONTROLLER: &str = "DynamoGraphDeploymentScalingAdapter";

/// Why a service could not be scaled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("DynamoGraphDeployment {namespace}/{name} of spec.dgdRef.name does not exist")]
    NoGraph { namespace: String, name: String },
    #[error("DynamoGraphDeployment {graph} has no service {service} of spec.dgdRef.serviceName")]
    NoService { graph: String, service: String },
    #[error("cannot scale service {service}")]
    Scale { service: String, source: ApplyError },
    #[error("cannot report the status of the adapter")]
    Status(#[source] ApplyError),
}

impl Failure for Error {
    fn class(&self) -> Class {
        match self {
            // The watch of graphs tells when they are there.
            Self::NoGraph { .. } | Self::NoService { .. } => Class::Waiting,
            Self::Scale { source, .. } | Self::Status(source) => source.class(),
        }
    }

    fn category(&self) -> &'static str {
        match self {
            Self::NoGraph { .. } | Self::NoService { .. } => "waiting",
            Self::Scale { source, .. } | Self::Status(source) => source.category(),
        }
    }
}

/// One pass over one adapter.
///
/// # Errors
/// See [`Error`].
pub async fn reconcile(
    entry: Arc<Roster<DynamoGraphDeploymentScalingAdapter>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    observe(&ctx.metrics, CONTROLLER, key_of(&*entry), pass(&entry, &ctx)).await
}

async fn pass(entry: &Roster<DynamoGraphDeploymentScalingAdapter>, ctx: &Context) -> Result<Action, Error> {
    let (namespace, name) = key_of(entry);
    let Some(adapter) = ctx.caches.adapters.get(&namespace, &name) else { return Ok(Action::await_change()) };
    if adapter.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let target = &adapter.spec.dgd_ref;
    let graph = ctx.caches.graphs.get(&namespace, &target.name);
    // The adapter of a graph that is gone says nothing about its successor.
    let is_its = |graph: &DynamoGraphDeployment| {
        controller_of(&*adapter).is_none_or(|owner| Some(&owner.uid) == graph.metadata.uid.as_ref())
    };
    let graph = graph
        .filter(|graph| graph.metadata.deletion_timestamp.is_none() && is_its(graph))
        .ok_or_else(|| Error::NoGraph { namespace: namespace.clone(), name: target.name.clone() })?;
    let service = graph.spec.services.get(&target.service_name).ok_or_else(|| Error::NoService {
        graph: target.name.clone(),
        service: target.service_name.clone(),
    })?;
    let scaled = scale(ctx, &adapter, &graph, service).await;
    let key = (namespace, name);
    if let Err(error) = &scaled
        && is_reported(&ctx.failures.adapters, &key, error)
    {
        let text = chain(error);
        if ctx.failures.adapters.is_news(key.clone(), &text) {
            ctx.warn(&adapter.object_ref(&()), "UpdateFailed", &text).await;
        }
    }
    status::report(ctx, &adapter, &graph, scaled?).await.map_err(Error::Status)?;
    ctx.failures.adapters.reset(&key);
    Ok(Action::requeue(jittered(RESYNC)))
}

/// Writes the adapter's replicas into the graph where they differ; returns whether it did. The write is bound to the
/// version that was looked at: of two writers the slower one looks again.
async fn scale(
    ctx: &Context,
    adapter: &DynamoGraphDeploymentScalingAdapter,
    graph: &DynamoGraphDeployment,
    service: &SharedSpec,
) -> Result<bool, Error> {
    let name = &adapter.spec.dgd_ref.service_name;
    let present = service.replicas.unwrap_or(1);
    // One that the graph made and no longer wants is on its way out; who switched it off sets the replicas.
    let is_wanted = controller_of(adapter).is_none() || is_enabled(service);
    let Some(wanted) = adapter.spec.replicas.filter(|wanted| is_wanted && *wanted != present) else {
        return Ok(false);
    };
    let (namespace, graph_name) = key_of(graph);
    let change = json!({
        "metadata": {"uid": graph.metadata.uid, "resourceVersion": graph.metadata.resource_version},
        "spec": {"services": {name: {"replicas": wanted}}},
    });
    let api = Api::<DynamoGraphDeployment>::namespaced(ctx.client.clone(), &namespace);
    let written = writes::merge(&api, &graph_name, &change)
        .await
        .map_err(failed("scale", graph))
        .map_err(|source| Error::Scale { service: name.clone(), source })?;
    ctx.caches.graphs.note_written(written);
    let text = format!("service {name} of graph {graph_name} scaled from {present} to {wanted} replicas");
    ctx.tell(&adapter.object_ref(&()), "Scaled", &text).await;
    Ok(true)
}

/// When to try again; called once per failed pass.
pub fn error_policy(
    entry: Arc<Roster<DynamoGraphDeploymentScalingAdapter>>,
    error: &Error,
    ctx: Arc<Context>,
) -> Action {
    plan_retry(&ctx, &ctx.failures.adapters, CONTROLLER, &*entry, error)
}

/// Wakes the adapters of a graph when it changes, status included: they tell what runs.
pub(crate) fn wake_at_graphs(
    graphs: &mut Feed<DynamoGraphDeployment>,
    adapters: Cache<DynamoGraphDeploymentScalingAdapter>,
    trigger: Trigger<DynamoGraphDeploymentScalingAdapter>,
) {
    graphs.on_change(move |change| {
        let (namespace, name) = key_of(&**change.object());
        for adapter in adapters.in_namespace(&namespace) {
            if adapter.spec.dgd_ref.name == name {
                trigger.send(reference(&*adapter));
            }
        }
    });
}
