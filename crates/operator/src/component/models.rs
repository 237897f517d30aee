//! Components that serve one model share its Service (`workload.md` section 9): who they are, and who is woken when that
//! changes. The Service itself is rendered elsewhere.

use dynamo_api::{labels, v1alpha1::DynamoComponentDeployment};
use dynamo_kubekit::{
    cache::{Change, Feed, reference},
    key_of,
};
use dynamo_render::{names::model_hash, observed::served_model as model};
use k8s_openapi::api::core::v1::Service;
use kube::Resource;

use crate::wiring::Trigger;

/// Wakes the components that serve a model when its Service changes, and when another one begins or ceases to serve it.
pub(crate) fn wake_sharers(
    components: &mut Feed<DynamoComponentDeployment>,
    services: &mut Feed<Service>,
    trigger: &Trigger<DynamoComponentDeployment>,
) {
    let wake = {
        let (cache, trigger) = (components.cache(), trigger.clone());
        move |namespace: &str, is_concerned: &dyn Fn(&str) -> bool| {
            for dcd in cache.in_namespace(namespace) {
                if model(&dcd).is_some_and(is_concerned) {
                    trigger.send(reference(&*dcd));
                }
            }
        }
    };
    let wake_by_service = wake.clone();
    services.on_change(move |change| {
        let service = &**change.object();
        if let Some(hash) = service.meta().labels.as_ref().and_then(|all| all.get(labels::BASE_MODEL_HASH)) {
            wake_by_service(&key_of(service).0, &|name| model_hash(name) == *hash);
        }
    });
    components.on_change(move |change| {
        let (now, before) = match change {
            Change::Applied { now, before } => (model(now), before.as_deref().and_then(model)),
            Change::Gone(last) => (None, model(last)),
        };
        if now != before {
            let namespace = key_of(&**change.object()).0;
            wake(&namespace, &|name| [now, before].contains(&Some(name)));
        }
    });
}
