//! The children of a graph as they are, and as the operator would make them: each by a dry run in the operator's name.
//! Children that are not wanted any more are those that it would take away.

use std::collections::BTreeSet;

use dynamo_render::observed::is_child;
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    apply::{api, is_right_missing, overlay},
    changes::{self, Change},
};
use crate::{
    cluster::{Cluster, Error as ClusterError},
    error::Error,
    pages,
    world::Live,
};

/// Field manager of everything that the operator applies.
const OPERATOR: &str = dynamo_operator::context::FIELD_MANAGER;
/// Requests at a time.
const AT_ONCE: usize = 8;
/// Kinds of which a graph or a component has children that it may lose. A cluster may lack the last two.
const KINDS: [(&str, &str); 11] = [
    ("nvidia.com/v1alpha1", "DynamoComponentDeployment"),
    ("nvidia.com/v1alpha1", "DynamoGraphDeploymentScalingAdapter"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("networking.k8s.io/v1", "Ingress"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("networking.istio.io/v1beta1", "VirtualService"),
    ("inference.networking.k8s.io/v1", "InferencePool"),
];

pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    pub(super) notes: Vec<String>,
}

/// `uid` is that of the object at the root, if it is there.
///
/// # Errors
/// The cluster does not answer, or refuses an object.
pub(super) async fn compare(
    cluster: &Cluster,
    namespace: &str,
    uid: Option<&str>,
    wanted: &[Value],
    live: &Live,
) -> Result<Found, Error> {
    let mut found = Found { changes: Vec::new(), notes: Vec::new() };
    let compared: Vec<(Option<Change>, Option<String>)> = stream::iter(wanted)
        .map(|object| compare_one(cluster, namespace, object))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    for (change, note) in compared {
        found.changes.extend(change);
        found.notes.extend(note.filter(|note| !found.notes.contains(note)));
    }
    if let Some(uid) = uid {
        let removed = removed(cluster, namespace, uid, wanted, live).await?;
        found.changes.extend(removed.changes);
        found.notes.extend(removed.notes);
    }
    Ok(found)
}

async fn compare_one(
    cluster: &Cluster,
    namespace: &str,
    wanted: &Value,
) -> Result<(Option<Change>, Option<String>), Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&wanted["kind"]), text(&wanted["metadata"]["name"]));
    let what = |verb: &str| format!("{verb} {kind} {namespace}/{name}");
    let api = api(cluster, namespace, wanted);
    let live = match api.get_opt(&name).await {
        Ok(Some(live)) => live,
        Ok(None) => return Ok((changes::compare(&kind, None, Some(wanted)), None)),
        Err(kube::Error::Api(status)) if is_right_missing(&status) => {
            let note = format!("without the right to read {kind} objects, changes of them are not seen");
            return Ok((None, Some(note)));
        }
        Err(error) => return Err(ClusterError::of(what("read"), &error).into()),
    };
    let live = value(&live);
    if is_kept(&kind) {
        return Ok((None, None));
    }
    let params = PatchParams { dry_run: true, ..PatchParams::apply(OPERATOR).force() };
    let (after, note) = match api.patch(&name, &params, &Patch::Apply(wanted)).await {
        Ok(after) => (value(&after), None),
        Err(kube::Error::Api(status)) if is_right_missing(&status) => {
            let note = format!(
                "without the right to patch {kind} objects, fields that would be taken out of them are not seen"
            );
            (overlay(&live, wanted), Some(note))
        }
        Err(error) => return Err(ClusterError::of(what("apply (as a dry run)"), &error).into()),
    };
    Ok((changes::compare(&kind, Some(&live), Some(&after)), note))
}

/// Kinds that the operator makes and never changes.
fn is_kept(kind: &str) -> bool {
    matches!(kind, "PersistentVolumeClaim" | "DynamoCheckpoint" | "Job")
}

fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// Children of the root and of its components that are not wanted.
async fn removed(
    cluster: &Cluster,
    namespace: &str,
    uid: &str,
    wanted: &[Value],
    live: &Live,
) -> Result<Found, Error> {
    let root = dynamo_api::v1alpha1::DynamoGraphDeployment {
        metadata: kube::api::ObjectMeta { uid: Some(uid.to_owned()), ..Default::default() },
        ..Default::default()
    };
    let components = live.components.iter().filter(|component| is_child(&***component, &root));
    let mut owners: BTreeSet<String> = components.filter_map(|component| component.uid()).collect();
    owners.insert(uid.to_owned());
    let is_wanted = |kind: &str, name: &str| {
        wanted.iter().any(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    };
    let mut found = Found { changes: Vec::new(), notes: Vec::new() };
    for (version, kind) in KINDS {
        let api = api(cluster, namespace, &json!({"apiVersion": version, "kind": kind}));
        let objects = match pages::all(&api, ListParams::default()).await {
            Ok(objects) => objects,
            // The cluster does not serve the kind, so it has none.
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(kube::Error::Api(status)) if is_right_missing(&status) => {
                found.notes.push(format!(
                    "without the right to list {kind} objects, those that would be removed are not seen"
                ));
                continue;
            }
            Err(error) => {
                return Err(ClusterError::of(format!("list {kind} objects in {namespace}"), &error).into());
            }
        };
        for mut object in objects {
            let controller = object.owner_references().iter().find(|owner| owner.controller == Some(true));
            if controller.is_some_and(|owner| owners.contains(&owner.uid))
                && !is_wanted(kind, &object.name_any())
            {
                // Lists do not repeat it.
                object.types =
                    Some(kube::api::TypeMeta { api_version: version.to_owned(), kind: kind.to_owned() });
                found.changes.extend(changes::compare(kind, Some(&value(&object)), None));
            }
        }
    }
    Ok(found)
}
