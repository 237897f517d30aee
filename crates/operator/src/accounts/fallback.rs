//! The account for pods that name none (`workload.md` section 6.6): the first of its namespace with the label.
//! Which pods these are is decided in `dynamo-render`.

use dynamo_api::{labels, v1alpha1::DynamoComponentDeployment};
use dynamo_kubekit::{
    cache::{Cache, Change, Feed},
    key_of,
};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Client, runtime::watcher};

use crate::wiring::Trigger;

/// Name of the labelled account of a namespace that comes first.
#[must_use]
pub fn first(accounts: &Cache<ServiceAccount>, namespace: &str) -> Option<String> {
    accounts.in_namespace(namespace).first().map(|account| key_of(&**account).1)
}

/// The watch of labelled accounts; the components of a namespace are woken when another account comes first there.
pub(crate) fn watch(
    client: &Client,
    namespace: Option<&str>,
    components: Cache<DynamoComponentDeployment>,
    trigger: Trigger<DynamoComponentDeployment>,
) -> Feed<ServiceAccount> {
    let config = watcher::Config::default().labels(&format!("{}=true", labels::COMPONENT_POD));
    let mut feed = Feed::<ServiceAccount>::new(client.clone(), namespace, config);
    let accounts = feed.cache();
    feed.on_change(move |change| {
        let (namespace, name) = key_of(&**change.object());
        let first = first(&accounts, &namespace);
        let another = match change {
            Change::Applied { before, .. } => before.is_none() && first == Some(name),
            Change::Gone(_) => first.is_none_or(|first| name < first),
        };
        if another {
            trigger.send_namespace(&components, &namespace);
        }
    });
    feed
}
