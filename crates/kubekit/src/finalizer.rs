//! Takes a finalizer off an object that is being deleted.
//! Nothing here adds one: what owner references clean up needs no operator to be alive.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{Object, apply::ApplyError};

/// Removes `finalizer` when the object is terminating and has it; otherwise does nothing.
///
/// # Errors
/// [`ApplyError::Api`]; an object that is gone or changed meanwhile is a success, its next event comes.
pub async fn release<K: Object>(client: &Client, object: &K, finalizer: &str) -> Result<(), ApplyError> {
    let meta = object.meta();
    let finalizers = meta.finalizers.as_deref().unwrap_or_default();
    if meta.deletion_timestamp.is_none() || !finalizers.iter().any(|entry| entry == finalizer) {
        return Ok(());
    }
    let (namespace, name) = crate::key_of(object);
    let kept: Vec<&String> = finalizers.iter().filter(|entry| *entry != finalizer).collect();
    let patch = json!({"metadata": {"resourceVersion": meta.resource_version, "finalizers": kept}});
    let answer = Api::<K>::namespaced(client.clone(), &namespace)
        .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(source) => Err(ApplyError::Api {
            verb: "release the finalizer of",
            kind: K::kind(&()).into_owned(),
            namespace,
            name,
            source: Box::new(source),
        }),
    }
}
