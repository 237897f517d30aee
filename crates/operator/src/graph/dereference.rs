//! What the cluster says about a graph before it is rendered. Reads of caches only.

use dynamo_api::v1alpha1::DynamoGraphDeployment;
pub(super) use dynamo_render::observed::is_ready;
use dynamo_render::{GraphFacts, credentials::Credentials, observed};

use crate::{context::Context, observed::Namespace};

pub(super) fn dereference(
    ctx: &Context,
    dgd: &DynamoGraphDeployment,
    credentials: Credentials,
) -> GraphFacts {
    let name = dgd.metadata.namespace.as_deref().unwrap_or_default();
    observed::graph_facts(&Namespace { caches: &ctx.caches, name }, dgd, credentials)
}
