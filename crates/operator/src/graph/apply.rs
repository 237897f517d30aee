//! Writes what a graph owns, accounts before the components whose pods use them, and takes away what it no longer
//! wants. Nothing is decided here.

use std::{collections::BTreeMap, sync::Arc};

use dynamo_api::v1alpha1::{
    DynamoComponentDeployment, DynamoGraphDeployment, RestartStatus, ServiceCheckpointStatus,
};
use dynamo_kubekit::apply::ApplyError;
use dynamo_render::{
    graph::{DiscoveryObjects, GraphObjects},
    picker::PickerObjects,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::{Error, claims};
use crate::{
    checkpoint,
    context::{Context, owner_of},
    copied::mpi,
};

/// What a pass came to.
#[derive(Debug)]
pub(super) struct Applied {
    /// The children as the API server has them.
    pub(super) components: Vec<Arc<DynamoComponentDeployment>>,
    pub(super) restart: Option<RestartStatus>,
    /// By service.
    pub(super) checkpoints: BTreeMap<String, ServiceCheckpointStatus>,
}

pub(super) async fn apply(
    ctx: &Context,
    dgd: &DynamoGraphDeployment,
    objects: GraphObjects,
    needs_orchestrator: bool,
) -> Result<Applied, Error> {
    let owner = owner_of(dgd);
    // Every field is taken here, so that a new one does not compile until it is applied.
    let GraphObjects {
        claims,
        checkpoints,
        adapters,
        discovery,
        picker,
        components,
        restart,
        checkpoint_uses,
    } = objects;
    let namespace = dgd.metadata.namespace.as_deref().unwrap_or_default();
    for grant in ctx.caches.grants.needed_by(dgd) {
        let purpose = grant.purpose.name;
        grant.ensure(&ctx.client, namespace).await.map_err(|source| Error::Grant { purpose, source })?;
    }
    claims::ensure(ctx, dgd, claims).await.map_err(Error::Claims)?;
    checkpoint::ensure(ctx, checkpoints).await.map_err(Error::Checkpoints)?;
    // Their replicas are whoever's who scales, once they exist.
    let adapters = ctx.apply_all_seeded(&ctx.caches.adapters, adapters, &owner, &["/spec/replicas"]).await;
    adapters.map_err(Error::Adapters)?;
    apply_discovery(ctx, &owner, discovery).await.map_err(Error::Discovery)?;
    apply_picker(ctx, &owner, picker).await?;
    if mpi::is_needed(dgd) {
        ctx.caches.keys.ensure(&ctx.client, namespace).await.map_err(Error::Key)?;
    }
    if needs_orchestrator {
        return Err(Error::NoOrchestrator);
    }
    let components = ctx.apply_all(&ctx.caches.components, components, &owner).await;
    let components = components.map_err(Error::Components)?;
    Ok(Applied { components, restart, checkpoints: checkpoint_uses })
}

/// The picker's configuration before its pool: a pool without one would have nobody to ask.
async fn apply_picker(
    ctx: &Context,
    owner: &OwnerReference,
    picker: Option<PickerObjects>,
) -> Result<(), Error> {
    let (config, pool) = match picker {
        Some(PickerObjects { config, pool }) => (config, Some(pool)),
        None => (None, None),
    };
    ctx.apply_all(&ctx.caches.picker_configs, config, owner).await.map_err(Error::Picker)?;
    if pool.is_some() && !ctx.apis.borrow().inference_pools {
        return Err(Error::NoPools);
    }
    ctx.apply_all(&ctx.caches.pools, pool, owner).await.map_err(Error::Pool)?;
    Ok(())
}

async fn apply_discovery(
    ctx: &Context,
    owner: &OwnerReference,
    discovery: Option<DiscoveryObjects>,
) -> Result<(), ApplyError> {
    let (account, role, binding) = match discovery {
        Some(DiscoveryObjects { account, role, binding }) => (Some(account), Some(role), Some(binding)),
        None => (None, None, None),
    };
    ctx.apply_all(&ctx.caches.accounts, account, owner).await?;
    ctx.apply_all(&ctx.caches.roles, role, owner).await?;
    ctx.apply_all(&ctx.caches.bindings, binding, owner).await?;
    Ok(())
}
