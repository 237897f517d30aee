//! What the rest of a component's namespace says about its pods. Reads of caches only.

use dynamo_api::v1alpha1::DynamoComponentDeployment;
use dynamo_render::{Facts, credentials::Credentials, observed};

use crate::{context::Context, observed::Namespace};

pub(super) fn dereference(ctx: &Context, dcd: &DynamoComponentDeployment, credentials: Credentials) -> Facts {
    let name = dcd.metadata.namespace.as_deref().unwrap_or_default();
    observed::component_facts(&Namespace { caches: &ctx.caches, name }, dcd, credentials)
}
