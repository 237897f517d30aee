//! The status of an adapter: what runs of its service, and how an autoscaler finds its pods (`api.md` section 8).
//! One write at most, and only when something differs.

use dynamo_api::{
    labels,
    v1alpha1::{
        DynamoGraphDeployment, DynamoGraphDeploymentScalingAdapter, DynamoGraphDeploymentScalingAdapterStatus,
    },
};
use dynamo_kubekit::{apply::ApplyError, status};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::context::{Context, now};

pub(super) async fn report(
    ctx: &Context,
    adapter: &DynamoGraphDeploymentScalingAdapter,
    graph: &DynamoGraphDeployment,
    has_scaled: bool,
) -> Result<(), ApplyError> {
    let before = adapter.status.clone().unwrap_or_default();
    let after = compute(&before, adapter, graph, has_scaled.then(now));
    if after == before {
        return Ok(());
    }
    status::replace(&ctx.client, &ctx.caches.adapters, adapter, &after).await
}

fn compute(
    before: &DynamoGraphDeploymentScalingAdapterStatus,
    adapter: &DynamoGraphDeploymentScalingAdapter,
    graph: &DynamoGraphDeployment,
    scaled_at: Option<Time>,
) -> DynamoGraphDeploymentScalingAdapterStatus {
    let target = &adapter.spec.dgd_ref;
    let running = graph.status.as_ref().and_then(|status| status.services.get(&target.service_name));
    DynamoGraphDeploymentScalingAdapterStatus {
        replicas: Some(running.map_or(0, |running| running.replicas)),
        selector: Some(format!(
            "{}={},{}={}",
            labels::GRAPH_NAME,
            target.name,
            labels::COMPONENT,
            target.service_name
        )),
        last_scale_time: scaled_at.or_else(|| before.last_scale_time.clone()),
    }
}
