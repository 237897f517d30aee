//! Writes what a component owns, the workload before its address, and takes away what it no longer wants, such as
//! the extra Services of the reference. Nothing is decided here.

use std::{collections::BTreeSet, sync::Arc};

use dynamo_api::v1alpha1::DynamoComponentDeployment;
use dynamo_kubekit::{apply::ApplyError, prune::prune};
use dynamo_render::component::ComponentObjects;
use k8s_openapi::api::apps::v1::Deployment;

use crate::context::{Context, owner_of};

pub(super) async fn apply(
    ctx: &Context,
    dcd: &DynamoComponentDeployment,
    objects: ComponentObjects,
) -> Result<Arc<Deployment>, ApplyError> {
    let owner = owner_of(dcd);
    // Every field is taken here, so that a new one does not compile until it is applied.
    let ComponentObjects {
        deployment,
        debug_deployment: _,
        services,
        model_service: _,
        ingress: _,
        virtual_service: _,
    } = objects;
    let deployments: BTreeSet<String> = deployment.metadata.name.iter().cloned().collect();
    let names: BTreeSet<String> =
        services.iter().filter_map(|service| service.metadata.name.clone()).collect();
    let applied = ctx.applier.apply(&ctx.caches.deployments, deployment, &owner).await?;
    for service in services {
        ctx.applier.apply(&ctx.caches.services, service, &owner).await?;
    }
    prune(&ctx.client, &ctx.caches.deployments, &owner.uid, &deployments, &ctx.metrics).await?;
    prune(&ctx.client, &ctx.caches.services, &owner.uid, &names, &ctx.metrics).await?;
    Ok(applied.object)
}
