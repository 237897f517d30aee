//! Watched objects as the caches keep them: name, version and what a view derives from the rest.
//! The rest is dropped as soon as it is read: of Secrets nothing is kept, logged or written back from here.

use std::{borrow::Cow, marker::PhantomData};

use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, api::ObjectMeta};
use serde::{Deserialize, Deserializer, Serialize};

/// A watched `K`, reduced to `V`.
#[derive(Debug, Clone, Serialize)]
pub struct Viewed<K, V> {
    /// Name, namespace, UID and version; annotations may hold a copy of the content and are dropped with it.
    metadata: ObjectMeta,
    #[serde(skip)]
    pub view: V,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource, V: From<K>> From<K> for Viewed<K, V> {
    fn from(object: K) -> Self {
        let whole = object.meta();
        let metadata = ObjectMeta {
            name: whole.name.clone(),
            namespace: whole.namespace.clone(),
            uid: whole.uid.clone(),
            resource_version: whole.resource_version.clone(),
            ..ObjectMeta::default()
        };
        Self { metadata, view: V::from(object), kind: PhantomData }
    }
}

impl<'de, K: Resource + Deserialize<'de>, V: From<K>> Deserialize<'de> for Viewed<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        K::deserialize(deserializer).map(Self::from)
    }
}

impl<K: Resource<DynamicType = ()>, V> Resource for Viewed<K, V> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
