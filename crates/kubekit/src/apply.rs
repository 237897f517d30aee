//! The one place that writes objects: ownership guard, comparison on owned fields, server-side apply.
//! It never adopts what belongs to somebody else and never writes when nothing differs.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::Value;
use tracing::info;

use crate::{
    Object, adopt,
    cache::{Cache, controller_of},
    diff,
    fence::refusal,
    metrics::ReconcileMetrics,
};

/// Annotation with the hash of what was last applied: it tells that a field was taken out of the desired object,
/// which a comparison with the live object cannot see. The reference keeps its own hash under the same key
/// (`workload.md` section 5).
pub const LAST_APPLIED_HASH: &str = "nvidia.com/last-applied-hash";

/// A resource version that no live object has: an apply that carries it can create but never change.
const CREATE_ONLY: &str = "1";

/// What an apply did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Updated,
    Unchanged,
}

/// The object as the API server has it now, and what was done.
#[derive(Debug, Clone)]
pub struct Applied<K> {
    pub object: Arc<K>,
    pub outcome: Outcome,
}

/// Why an object could not be applied or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The name is taken by an object that this owner does not control. Nothing was changed.
    #[error(
        "{kind} {namespace}/{name} already exists and {holder}; it is left untouched: delete or rename it, or rename \
         the graph or service"
    )]
    Foreign { kind: String, namespace: String, name: String, holder: String },
    /// The object still goes away; its successor is made when it is gone.
    #[error("{kind} {namespace}/{name} is being deleted; it is made again when it is gone")]
    Terminating { kind: String, namespace: String, name: String },
    /// The API server did not take the request.
    #[error("cannot {verb} {kind} {namespace}/{name}")]
    Api { verb: &'static str, kind: String, namespace: String, name: String, source: Box<kube::Error> },
    /// The object cannot be written as JSON.
    #[error("cannot encode {kind} {name}")]
    Encode { kind: String, name: String, source: serde_json::Error },
}

/// What happens next after an error (`style.md` section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nothing helps until somebody changes an object.
    Invalid,
    /// Something else must happen first; a watch tells when.
    Waiting,
    /// Trying again may help.
    Transient,
    /// Somebody else writes here now, or nobody may yet: nothing is wrong and nothing is to be reported.
    NotOurs,
}

impl ApplyError {
    /// What happens next.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Foreign { .. } | Self::Encode { .. } => Class::Invalid,
            Self::Terminating { .. } => Class::Waiting,
            Self::Api { source, .. } if refusal(&**source).is_some() => Class::NotOurs,
            Self::Api { source, .. } => match &**source {
                // Of a conflict the newer version is on its way to the cache.
                kube::Error::Api(status) if status.code == 409 || namespace_ends(status) => Class::Waiting,
                kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 413 | 422) => {
                    Class::Invalid
                }
                _ => Class::Transient,
            },
        }
    }

    /// A short fixed word for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match (self, self.class()) {
            (Self::Foreign { .. }, _) => "foreign_object",
            (Self::Terminating { .. }, _) | (Self::Api { .. }, Class::Waiting) => "waiting",
            (Self::Encode { .. }, _) => "encode",
            (Self::Api { .. }, Class::NotOurs) => "not_ours",
            (Self::Api { .. }, Class::Invalid) => "api_refused",
            (Self::Api { .. }, _) => "api_unavailable",
        }
    }
}

/// The refusal that every creation meets in a namespace that is being deleted, together with its graphs.
fn namespace_ends(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// Applies objects on behalf of owners under one field manager.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    manager: &'static str,
    metrics: ReconcileMetrics,
}

impl std::fmt::Debug for Applier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applier").field("manager", &self.manager).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct Target<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl Target<'_> {
    fn api(&self, verb: &'static str) -> impl FnOnce(kube::Error) -> ApplyError {
        let (kind, namespace, name) = (self.kind.to_owned(), self.namespace.to_owned(), self.name.to_owned());
        move |source| ApplyError::Api { verb, kind, namespace, name, source: Box::new(source) }
    }

    fn foreign(&self, holder: String) -> ApplyError {
        ApplyError::Foreign {
            kind: self.kind.to_owned(),
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            holder,
        }
    }

    fn terminating(&self) -> ApplyError {
        ApplyError::Terminating {
            kind: self.kind.to_owned(),
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
        }
    }
}

impl Applier {
    /// `manager` names the controller in `managedFields`; it must not change between versions or replicas.
    #[must_use]
    pub fn new(client: Client, manager: &'static str, metrics: ReconcileMetrics) -> Self {
        Self { client, manager, metrics }
    }

    /// The client that the writes go through.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes the API server hold `desired`, controlled by `owner`. Owner references that `desired` brings are further
    /// owners: each of them renders the same object, and the one that controls it goes on doing so.
    ///
    /// Guarantees: an object that another owner (or nobody) controls is not touched, unless it was orphaned; an object
    /// whose owned fields already match costs no request; the write is bound to the UID that was looked at.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn apply<K: Object>(
        &self,
        cache: &Cache<K>,
        desired: K,
        owner: &OwnerReference,
    ) -> Result<Applied<K>, ApplyError> {
        self.apply_seeded(cache, desired, owner, &[]).await
    }

    /// Likewise, for an object with fields that are ours at its creation only, such as the replicas that an autoscaler
    /// sets from then on. `desired` has their live values; `seeded` are their JSON pointers.
    ///
    /// Guarantee: what somebody else writes into such a field meanwhile is not overwritten.
    ///
    /// # Errors
    /// See [`ApplyError`]; a change in the meantime is one of the class Waiting.
    pub async fn apply_seeded<K: Object>(
        &self,
        cache: &Cache<K>,
        mut desired: K,
        owner: &OwnerReference,
        seeded: &[&str],
    ) -> Result<Applied<K>, ApplyError> {
        let kind = K::kind(&()).into_owned();
        let (namespace, name) = crate::key_of(&desired);
        let target = Target { kind: &kind, namespace: &namespace, name: &name };
        let encode = |source| ApplyError::Encode { kind: kind.clone(), name: name.clone(), source };

        let known = cache.get(&namespace, &name);
        let owners = Owners::new(owner, desired.meta_mut().owner_references.take());
        desired.meta_mut().owner_references = Some(owners.references(known.as_deref()));
        let mut hashed = serde_json::to_value(&desired).map_err(encode)?;
        seeded.iter().for_each(|pointer| diff::blank(&mut hashed, pointer));
        let hash = diff::content_hash(&hashed);
        desired
            .meta_mut()
            .annotations
            .get_or_insert_default()
            .insert(LAST_APPLIED_HASH.to_owned(), hash.clone());
        let mut body = serde_json::to_value(&desired).map_err(encode)?;

        let live = match known {
            Some(live) => live,
            None => match self.create(cache, &target, &body).await? {
                Some(created) => {
                    self.metrics.applied(&kind, "created");
                    info!(%kind, %namespace, %name, "created");
                    return Ok(Applied { object: created, outcome: Outcome::Created });
                }
                // The name is taken although the watch does not show it: it is either foreign or newer than our view.
                None => Arc::new(self.api::<K>(&namespace).get(&name).await.map_err(target.api("read"))?),
            },
        };
        owners.check(&target, &*live, &desired)?;
        if live.meta().deletion_timestamp.is_some() {
            return Err(target.terminating());
        }
        let same_hash =
            live.meta().annotations.as_ref().and_then(|a| a.get(LAST_APPLIED_HASH)) == Some(&hash);
        let difference = diff::first_difference(&body, &serde_json::to_value(&*live).map_err(encode)?);
        if same_hash && difference.is_none() {
            self.metrics.applied(&kind, "unchanged");
            return Ok(Applied { object: live, outcome: Outcome::Unchanged });
        }
        if adopt::is_due(&*live) {
            let taken = adopt::take_over::<K>(&self.client, &namespace, &name, self.manager).await;
            taken.map_err(target.api("take over"))?;
        }
        if !seeded.is_empty() {
            body["metadata"]["resourceVersion"] = live.meta().resource_version.clone().into();
        }
        let object = self.update(cache, &target, body, live.meta().uid.as_deref()).await?;
        self.metrics.applied(&kind, "updated");
        info!(%kind, %namespace, %name, first = difference.as_deref().unwrap_or("fields taken out"), "updated");
        Ok(Applied { object, outcome: Outcome::Updated })
    }

    fn api<K: Object>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// `None` when the name is taken.
    async fn create<K: Object>(
        &self,
        cache: &Cache<K>,
        target: &Target<'_>,
        body: &Value,
    ) -> Result<Option<Arc<K>>, ApplyError> {
        let mut body = body.clone();
        body["metadata"]["resourceVersion"] = CREATE_ONLY.into();
        match self.patch(target, &body).await {
            Ok(created) => Ok(Some(cache.note_written(created))),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(source) => Err(target.api("create")(source)),
        }
    }

    async fn update<K: Object>(
        &self,
        cache: &Cache<K>,
        target: &Target<'_>,
        mut body: Value,
        uid: Option<&str>,
    ) -> Result<Arc<K>, ApplyError> {
        body["metadata"]["uid"] = uid.into();
        let updated = self.patch(target, &body).await.map_err(target.api("update"))?;
        Ok(cache.note_written(updated))
    }

    async fn patch<K: Object>(&self, target: &Target<'_>, body: &Value) -> Result<K, kube::Error> {
        let params = PatchParams::apply(self.manager).force();
        let mut object: K =
            self.api(target.namespace).patch(target.name, &params, &Patch::Apply(body)).await?;
        object.meta_mut().managed_fields = None;
        Ok(object)
    }
}

/// The owner references that an object gets which is applied on behalf of `own`: `further` are those that it brings,
/// `live` is the object as it is.
pub fn owner_references<K: Object>(
    own: &OwnerReference,
    further: Option<Vec<OwnerReference>>,
    live: Option<&K>,
) -> Vec<OwnerReference> {
    Owners::new(own, further).references(live)
}

/// Who may write an object.
struct Owners {
    own: OwnerReference,
    /// Empty for an object of one owner.
    further: Vec<OwnerReference>,
}

impl Owners {
    fn new(own: &OwnerReference, further: Option<Vec<OwnerReference>>) -> Self {
        let mut further = further.unwrap_or_default();
        further.retain(|other| other.uid != own.uid);
        Self { own: own.clone(), further }
    }

    fn all(&self) -> impl Iterator<Item = &OwnerReference> {
        self.further.iter().chain([&self.own])
    }

    fn include(&self, uid: &str) -> bool {
        self.all().any(|owner| owner.uid == uid)
    }

    /// The same references whichever of the owners asks: who controls the live object, else the first by name.
    fn references<K: Object>(&self, live: Option<&K>) -> Vec<OwnerReference> {
        let mut all: Vec<OwnerReference> = self.all().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let holder = live.and_then(controller_of).map(|holder| holder.uid.clone());
        let controller = holder.filter(|uid| self.include(uid)).or_else(|| Some(all.first()?.uid.clone()));
        for owner in &mut all {
            owner.controller = (Some(&owner.uid) == controller.as_ref()).then_some(true);
        }
        all
    }

    fn check<K: Object>(&self, target: &Target<'_>, live: &K, desired: &K) -> Result<(), ApplyError> {
        match controller_of(live) {
            Some(holder) if self.include(&holder.uid) => Ok(()),
            _ if live.meta().owner_references.iter().flatten().any(|owner| self.include(&owner.uid)) => {
                Ok(())
            }
            // Left by a parent of the same name that is gone: the garbage collector is about to take it.
            Some(holder) if holder.kind == self.own.kind && holder.name == self.own.name => {
                Err(target.terminating())
            }
            Some(holder) => Err(target.foreign(format!("belongs to {} {}", holder.kind, holder.name))),
            None if is_orphan_of(live, desired) => Ok(()),
            None => Err(target.foreign("is controlled by nobody".to_owned())),
        }
    }
}

/// Whether an object was made by an operator and has no owner any more.
pub fn is_orphan<K: kube::Resource>(object: &K) -> bool {
    let meta = object.meta();
    meta.owner_references.iter().flatten().next().is_none()
        && meta.annotations.as_ref().is_some_and(|all| all.contains_key(LAST_APPLIED_HASH))
}

/// Whether an object was made by an operator for a parent of the same name, and left behind when that was deleted
/// without its children (`kubectl delete --cascade=orphan`): it has no owner at all, our annotation, and the labels
/// that it would get now.
fn is_orphan_of<K: Object>(live: &K, desired: &K) -> bool {
    let has = |map: Option<&BTreeMap<String, String>>, key: &str| map.and_then(|map| map.get(key)).cloned();
    let labels = desired.meta().labels.iter().flatten();
    is_orphan(live)
        && desired.meta().labels.as_ref().is_some_and(|labels| !labels.is_empty())
        && labels
            .into_iter()
            .all(|(key, value)| has(live.meta().labels.as_ref(), key).as_ref() == Some(value))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;

    fn owner(name: &str) -> OwnerReference {
        OwnerReference {
            kind: "Parent".into(),
            name: name.into(),
            uid: name.into(),
            ..OwnerReference::default()
        }
    }

    fn controller(references: &[OwnerReference]) -> Vec<&str> {
        references.iter().filter(|r| r.controller == Some(true)).map(|r| r.name.as_str()).collect()
    }

    #[test]
    fn every_owner_of_a_shared_object_renders_the_same_references() {
        let of_a = Owners::new(&owner("a"), Some(vec![owner("b")]));
        let of_b = Owners::new(&owner("b"), Some(vec![owner("a")]));
        assert_eq!(of_a.references::<Service>(None), of_b.references::<Service>(None));
        assert_eq!(controller(&of_b.references::<Service>(None)), ["a"]);
        let mut live = Service::default();
        live.metadata.owner_references = Some(vec![OwnerReference { controller: Some(true), ..owner("b") }]);
        assert_eq!(controller(&of_a.references(Some(&live))), ["b"], "who controls it goes on doing so");
        live.metadata.owner_references =
            Some(vec![OwnerReference { controller: Some(true), ..owner("gone") }]);
        assert_eq!(controller(&of_b.references(Some(&live))), ["a"]);
    }

    #[test]
    fn only_what_was_left_behind_by_a_parent_of_that_name_is_taken_up_again() {
        let target = Target { kind: "Service", namespace: "ns", name: "s" };
        let mut desired = Service::default();
        desired.metadata.labels = Some([("graph".to_owned(), "g".to_owned())].into());
        let mut live = desired.clone();
        let owners = Owners::new(&owner("g"), None);
        assert!(owners.check(&target, &live, &desired).is_err(), "no annotation: somebody else's");
        live.metadata.annotations = Some([(LAST_APPLIED_HASH.to_owned(), "x".to_owned())].into());
        assert!(owners.check(&target, &live, &desired).is_ok());
        live.metadata.labels = Some([("graph".to_owned(), "other".to_owned())].into());
        assert!(owners.check(&target, &live, &desired).is_err());
        live.metadata.labels.clone_from(&desired.metadata.labels);
        live.metadata.owner_references = Some(vec![owner("somebody")]);
        assert!(owners.check(&target, &live, &desired).is_err());
    }
}
