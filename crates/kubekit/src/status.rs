//! One write of a whole status, bound to the object it was computed for.
//! The caller compares first: this module always writes.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde::Serialize;
use serde_json::json;

use crate::{Object, apply::ApplyError, cache::Cache};

/// Replaces the status of `object`. The write fails when the name belongs to another object by now.
///
/// # Errors
/// [`ApplyError::Api`]; an object that is gone is reported as that, too.
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
    let mut written = Api::<K>::namespaced(client.clone(), &namespace)
        .patch_status(&name, &PatchParams::default(), &patch)
        .await
        .map_err(failed)?;
    written.meta_mut().managed_fields = None;
    cache.note_written(written);
    Ok(())
}
