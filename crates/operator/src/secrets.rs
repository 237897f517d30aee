//! Secrets as the caches keep them: name, version and what a view derives from the content.
//! The content itself is dropped as soon as it is read; it is never kept, logged or written back from here.

use std::borrow::Cow;

use k8s_openapi::{NamespaceResourceScope, api::core::v1::Secret};
use kube::{Resource, api::ObjectMeta};
use serde::{Deserialize, Deserializer, Serialize};

/// A watched Secret, reduced to `V`.
#[derive(Debug, Clone, Serialize)]
pub struct Viewed<V> {
    /// Name, namespace, UID and version; annotations may hold a copy of the content and are dropped with it.
    metadata: ObjectMeta,
    #[serde(skip)]
    pub view: V,
}

impl<V: From<Secret>> From<Secret> for Viewed<V> {
    fn from(mut secret: Secret) -> Self {
        let whole = &mut secret.metadata;
        let metadata = ObjectMeta {
            name: whole.name.clone(),
            namespace: whole.namespace.clone(),
            uid: whole.uid.clone(),
            resource_version: whole.resource_version.clone(),
            ..ObjectMeta::default()
        };
        Self { metadata, view: V::from(secret) }
    }
}

impl<'de, V: From<Secret>> Deserialize<'de> for Viewed<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Secret::deserialize(deserializer).map(Self::from)
    }
}

impl<V> Resource for Viewed<V> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Secret::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Secret::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        <Secret as Resource>::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Secret::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
