//! Writes what a component owns, the workload before its addresses and these before the ways in, and takes away what it
//! no longer wants, such as the extra Services of the reference. Nothing is decided here.

use std::{collections::BTreeSet, sync::Arc};

use dynamo_api::v1alpha1::DynamoComponentDeployment;
use dynamo_kubekit::{key_of, prune::prune};
use dynamo_render::component::ComponentObjects;
use k8s_openapi::api::apps::v1::Deployment;

use super::Error;
use crate::context::{Context, owner_of};

/// Returns the Deployment as the API server has it.
pub(super) async fn apply(
    ctx: &Context,
    dcd: &DynamoComponentDeployment,
    objects: ComponentObjects,
) -> Result<Arc<Deployment>, Error> {
    let owner = owner_of(dcd);
    let caches = &ctx.caches;
    // Every field is taken here, so that a new one does not compile until it is applied.
    let ComponentObjects { deployment, debug_deployment, services, model_service, ingress, virtual_service } =
        objects;
    let applied = ctx.applier.apply(&caches.deployments, deployment, &owner).await?.object;
    let mut deployments = BTreeSet::from([key_of(&*applied).1]);
    if let Some(debug) = debug_deployment {
        deployments.insert(key_of(&debug).1);
        ctx.applier.apply(&caches.deployments, debug, &owner).await?;
    }
    ctx.apply_all(&caches.services, services, &owner).await?;
    ctx.apply_all(&caches.model_services, model_service, &owner).await?;
    ctx.apply_all(&caches.ingresses, ingress, &owner).await?;
    if virtual_service.is_some() && !ctx.apis.borrow().istio {
        return Err(Error::NoIstio);
    }
    ctx.apply_all(&caches.virtual_services, virtual_service, &owner).await?;
    prune(&ctx.client, &caches.deployments, &owner.uid, &deployments, &ctx.metrics).await?;
    Ok(applied)
}
