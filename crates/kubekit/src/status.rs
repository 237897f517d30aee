//! One write of a whole status, bound to the object it was computed for.
//! The caller compares first: this module always writes.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde::Serialize;
use serde_json::json;

use crate::{Object, apply::ApplyError, cache::Cache};

/// Replaces the status of `object`. Nothing is written when the object is gone or its name belongs to another one by now.
///
/// # Errors
/// [`ApplyError::Api`].
pub async fn replace<K: Object>(
    client: &Client,
    cache: &Cache<K>,
    object: &K,
    status: &impl Serialize,
) -> Result<(), ApplyError> {
    let (namespace, name) = crate::key_of(object);
    let failed = |source| ApplyError::Api {
        verb: "write the status of",
        kind: K::kind(&()).into_owned(),
        namespace: namespace.clone(),
        name: name.clone(),
        source: Box::new(source),
    };
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": object.meta().uid},
        {"op": "add", "path": "/status", "value": status},
    ]);
    let patch = serde_json::from_value(patch)
        .map(Patch::<()>::Json)
        .map_err(|error| failed(kube::Error::SerdeError(error)))?;
    let api = Api::<K>::namespaced(client.clone(), &namespace);
    let mut written = match api.patch_status(&name, &PatchParams::default(), &patch).await {
        Ok(written) => written,
        // The object ended during the pass; its successor, if any, gets a pass of its own.
        Err(kube::Error::Api(status)) if status.code == 404 || test_failed(&status) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    written.meta_mut().managed_fields = None;
    cache.note_written(written);
    Ok(())
}

/// The `test` operation of a JSON patch did not hold.
fn test_failed(status: &kube::core::Status) -> bool {
    status.code == 422 && status.message.contains("testing value") && status.message.contains("failed")
}
