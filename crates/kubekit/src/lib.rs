//! Shared machinery over kube-rs: caches fed by one watch per kind, guarded apply, prune, conditions, backoff, the
//! leader lease, and the fence before every write. It knows nothing of graphs: no type of the platform's API appears
//! here.

mod adopt;
pub mod apply;
pub mod backoff;
pub mod cache;
pub mod client;
pub mod conditions;
pub mod debounce;
pub mod diff;
pub mod fence;
pub mod finalizer;
pub mod lease;
pub mod metrics;
pub mod pods;
pub mod prune;
pub mod status;
mod transport;

/// What every namespaced object this machinery handles can do.
pub trait Object:
    kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + serde::Serialize
    + serde::de::DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Object for K where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Namespace and name of an object, the form in which messages and keys name it.
#[must_use]
pub fn key_of<K: kube::Resource>(object: &K) -> (String, String) {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}
