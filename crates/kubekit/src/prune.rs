//! Deletes what an owner controls and no longer wants.
//! Only objects that carry the owner's UID are touched, under UID preconditions.

use std::collections::BTreeSet;

use kube::{
    Api, Client,
    api::{DeleteParams, Preconditions},
};
use tracing::info;

use crate::{Object, apply::ApplyError, cache::Cache, metrics::ReconcileMetrics};

/// Deletes every object of kind `K` that `owner_uid` controls and whose name is not in `wanted`. Returns the names
/// of what was asked to go.
///
/// # Errors
/// [`ApplyError::Api`] for the first object that could not be deleted; one that is gone already is a success.
pub async fn prune<K: Object>(
    client: &Client,
    cache: &Cache<K>,
    owner_uid: &str,
    wanted: &BTreeSet<String>,
    metrics: &ReconcileMetrics,
) -> Result<Vec<String>, ApplyError> {
    let kind = K::kind(&());
    let mut pruned = Vec::new();
    for object in cache.owned_by(owner_uid) {
        let (namespace, name) = crate::key_of(&*object);
        // What others own, too, is theirs to keep.
        let is_shared = object.meta().owner_references.as_ref().is_some_and(|owners| owners.len() > 1);
        if wanted.contains(&name) || is_shared || object.meta().deletion_timestamp.is_some() {
            continue;
        }
        let params = DeleteParams::background()
            .preconditions(Preconditions { uid: object.meta().uid.clone(), resource_version: None });
        match Api::<K>::namespaced(client.clone(), &namespace).delete(&name, &params).await {
            Ok(_) => {
                info!(%kind, %namespace, %name, "deleted, no longer wanted");
                metrics.applied(&kind, "deleted");
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(source) => {
                return Err(ApplyError::Api {
                    verb: "delete",
                    kind: kind.into_owned(),
                    namespace,
                    name,
                    source: Box::new(source),
                });
            }
        }
        pruned.push(name);
    }
    Ok(pruned)
}
