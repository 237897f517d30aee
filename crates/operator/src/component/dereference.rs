//! What the rest of a component's namespace says about its pods. Reads of caches only.

use dynamo_api::v1alpha1::DynamoComponentDeployment;
use dynamo_kubekit::key_of;
use dynamo_render::{Facts, credentials::Credentials};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PodSpec};

use super::models;
use crate::{accounts::fallback, checkpoint, context::Context, registry};

pub(super) fn dereference(ctx: &Context, dcd: &DynamoComponentDeployment, credentials: Credentials) -> Facts {
    let (namespace, name) = key_of(dcd);
    let mut pull_secrets = registry::pull_secrets(&ctx.caches.registries, &namespace);
    let mut component_account = fallback::first(&ctx.caches.pod_accounts, &namespace);
    if let Some(live) = ctx.caches.deployments.get(&namespace, &name) {
        // Likewise their account, as long as it is one of those that are meant for them.
        let account = pod(&live).and_then(|pod| pod.service_account_name.clone());
        let is_labelled = |name: &String| ctx.caches.pod_accounts.get(&namespace, name).is_some();
        component_account = account.filter(is_labelled).or(component_account);
        // Pods that run keep their order, whoever chose it: another order of the same Secrets would replace them all.
        let order = pull_secret_names(&live);
        for names in pull_secrets.values_mut() {
            names.sort_by_key(|name| order.iter().position(|known| known == name).unwrap_or(usize::MAX));
        }
    }
    Facts {
        pull_secrets,
        component_account,
        model_sharers: models::sharers(&ctx.caches.components, dcd),
        checkpoint: dcd
            .spec
            .shared
            .checkpoint
            .as_ref()
            .and_then(|asked| checkpoint::found(ctx, &namespace, asked)),
        credentials,
    }
}

fn pod(deployment: &Deployment) -> Option<&PodSpec> {
    deployment.spec.as_ref()?.template.spec.as_ref()
}

fn pull_secret_names(deployment: &Deployment) -> Vec<&str> {
    let secrets = pod(deployment).and_then(|pod| pod.image_pull_secrets.as_deref()).unwrap_or_default();
    secrets.iter().map(|secret| secret.name.as_str()).collect()
}
