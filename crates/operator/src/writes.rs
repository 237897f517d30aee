//! Single writes, beside the applier of kubekit: objects that are made once and then left to others, and changes of
//! objects that belong to others.

use std::fmt::Debug;

use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::context::FIELD_MANAGER;

/// Parameters of a creation by the operator.
pub(crate) fn creation() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// Parameters of a change by the operator, other than an apply.
pub(crate) fn change() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// Makes `object` and returns it without its managed fields; `None` when somebody was faster and the name is taken.
///
/// # Errors
/// Every other refusal.
pub(crate) async fn create<K>(api: &Api<K>, object: &K) -> kube::Result<Option<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize,
{
    match api.create(&creation(), object).await {
        Ok(made) => Ok(Some(without_managed_fields(made))),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Changes the object `name` by a merge patch, and returns it without its managed fields.
///
/// # Errors
/// Every refusal, a conflict with the version that the patch names among them.
pub(crate) async fn merge<K>(
    api: &Api<K>,
    name: &str,
    patch: &(impl Serialize + Debug + Sync),
) -> kube::Result<K>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    api.patch(name, &change(), &Patch::Merge(patch)).await.map(without_managed_fields)
}

/// They are most of an object, and nothing here reads them.
pub(crate) fn without_managed_fields<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}
