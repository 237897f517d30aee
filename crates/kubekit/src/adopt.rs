//! Takes over what the reference's operator wrote: its ownership of fields becomes ours, once per object.
//! Without it every field it ever set would stay for good, because server-side apply removes only fields that nobody
//! else owns.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tracing::info;

use crate::Object;

/// Field manager of the reference's operator: the name of its program.
const REFERENCE: &str = "manager";
/// Annotation that only the reference writes (`workload.md` section 5). It is owned by the fields taken over, so the
/// first apply takes it away and with it the reason to come here again.
const REFERENCE_MARK: &str = "nvidia.com/last-applied-generation";

/// Whether the reference wrote the object and nobody has taken it over.
pub(crate) fn is_due<K: Object>(live: &K) -> bool {
    live.meta().annotations.as_ref().is_some_and(|all| all.contains_key(REFERENCE_MARK))
}

/// Makes `manager` the owner, by apply, of what the reference owns by update.
///
/// # Errors
/// Those of the API server; a conflict means that the object changed meanwhile.
pub(crate) async fn take_over<K: Object>(
    client: &Client,
    namespace: &str,
    name: &str,
    manager: &str,
) -> Result<(), kube::Error> {
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let live = api.get(name).await?;
    let entries = live.meta().managed_fields.clone().unwrap_or_default();
    let Some(entries) = renamed(entries, manager) else { return Ok(()) };
    let patch =
        json!({"metadata": {"resourceVersion": live.meta().resource_version, "managedFields": entries}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    info!(kind = %K::kind(&()), namespace, name, "taken over from the reference's operator");
    Ok(())
}

/// The entries with the reference's turned into ours; `None` when there is nothing to turn.
fn renamed(mut entries: Vec<ManagedFieldsEntry>, manager: &str) -> Option<Vec<ManagedFieldsEntry>> {
    let is = |entry: &ManagedFieldsEntry, name: &str, operation: &str| {
        entry.manager.as_deref() == Some(name)
            && entry.operation.as_deref() == Some(operation)
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    };
    if entries.iter().any(|entry| is(entry, manager, "Apply")) {
        // Two entries of one manager are not allowed: give up the shared ownership instead.
        let before = entries.len();
        entries.retain(|entry| !is(entry, REFERENCE, "Update"));
        return (entries.len() < before).then_some(entries);
    }
    let entry = entries.iter_mut().find(|entry| is(entry, REFERENCE, "Update"))?;
    entry.manager = Some(manager.to_owned());
    entry.operation = Some("Apply".to_owned());
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, subresource: Option<&str>) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some(operation.into()),
            subresource: subresource.map(Into::into),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn only_the_references_own_fields_change_hands_and_never_twice() {
        let status = entry(REFERENCE, "Update", Some("status"));
        let kubelet = entry("kube-controller-manager", "Update", None);
        let before = vec![kubelet.clone(), status.clone(), entry(REFERENCE, "Update", None)];
        let after = renamed(before, "ours").unwrap();
        assert_eq!(after, [kubelet.clone(), status.clone(), entry("ours", "Apply", None)]);
        assert_eq!(renamed(after.clone(), "ours"), None);
        let shared = [after.clone(), vec![entry(REFERENCE, "Update", None)]].concat();
        assert_eq!(renamed(shared, "ours"), Some(after));
    }
}
