//! Writes what a graph owns, accounts before the components whose pods use them, and takes away what it no longer
//! wants. Nothing is decided here.

use std::{collections::BTreeSet, sync::Arc};

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment};
use dynamo_kubekit::{Object, apply::ApplyError, cache::Cache, prune::prune};
use dynamo_render::graph::{DiscoveryObjects, GraphObjects};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::Error;
use crate::{
    context::{Context, owner_of},
    mpi,
};

/// The children of a graph as the API server has them.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) components: Vec<Arc<DynamoComponentDeployment>>,
}

pub(super) async fn apply(
    ctx: &Context,
    dgd: &DynamoGraphDeployment,
    objects: GraphObjects,
    needs_orchestrator: bool,
) -> Result<Applied, Error> {
    let owner = owner_of(dgd);
    // Every field is taken here, so that a new one does not compile until it is applied.
    let GraphObjects { claims: _, checkpoints: _, adapters: _, discovery, picker: _, components, restart: _ } =
        objects;
    let namespace = dgd.metadata.namespace.as_deref().unwrap_or_default();
    for grant in ctx.caches.grants.needed_by(dgd) {
        let purpose = grant.purpose.name;
        grant.ensure(&ctx.client, namespace).await.map_err(|source| Error::Grant { purpose, source })?;
    }
    apply_discovery(ctx, &owner, discovery).await.map_err(Error::Discovery)?;
    if mpi::is_needed(dgd) {
        ctx.caches.keys.ensure(&ctx.client, namespace).await.map_err(Error::Key)?;
    }
    if needs_orchestrator {
        return Err(Error::NoOrchestrator);
    }
    let mut wanted = BTreeSet::new();
    let mut applied = Vec::with_capacity(components.len());
    for component in components {
        wanted.extend(component.metadata.name.clone());
        let done = ctx.applier.apply(&ctx.caches.components, component, &owner).await;
        applied.push(done.map_err(Error::Components)?.object);
    }
    remove_others(ctx, &ctx.caches.components, &owner, &wanted).await.map_err(Error::Components)?;
    Ok(Applied { components: applied })
}

async fn apply_discovery(
    ctx: &Context,
    owner: &OwnerReference,
    discovery: Option<DiscoveryObjects>,
) -> Result<(), ApplyError> {
    let (mut accounts, mut roles, mut bindings) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    if let Some(DiscoveryObjects { account, role, binding }) = discovery {
        accounts.extend(account.metadata.name.clone());
        roles.extend(role.metadata.name.clone());
        bindings.extend(binding.metadata.name.clone());
        ctx.applier.apply(&ctx.caches.accounts, account, owner).await?;
        ctx.applier.apply(&ctx.caches.roles, role, owner).await?;
        ctx.applier.apply(&ctx.caches.bindings, binding, owner).await?;
    }
    remove_others(ctx, &ctx.caches.bindings, owner, &bindings).await?;
    remove_others(ctx, &ctx.caches.roles, owner, &roles).await?;
    remove_others(ctx, &ctx.caches.accounts, owner, &accounts).await
}

async fn remove_others<K: Object>(
    ctx: &Context,
    cache: &Cache<K>,
    owner: &OwnerReference,
    wanted: &BTreeSet<String>,
) -> Result<(), ApplyError> {
    prune(&ctx.client, cache, &owner.uid, wanted, &ctx.metrics).await.map(drop)
}
