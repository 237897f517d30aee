//! What a graph may not change once it is there (`operator-process.md` section 7).
//! Judged besides the rules of a new graph, not instead of them.

use std::collections::BTreeMap;

use dynamo_api::{
    labels::annotations,
    v1alpha1::{BackendFramework, DynamoGraphDeployment, SharedSpec},
};

use super::{Requester, Rule, Verdict};

pub(super) fn judge(
    new: &DynamoGraphDeployment,
    old: &DynamoGraphDeployment,
    requester: &Requester<'_>,
    verdict: &mut Verdict,
) {
    check_origin(new, old, verdict);
    judge_backend(new.spec.backend_framework.as_ref(), old.spec.backend_framework.as_ref(), verdict);
    let (new_services, old_services) = (&new.spec.services, &old.spec.services);
    let kept = || new_services.iter().filter_map(|(name, new)| Some((name, new, old_services.get(name)?)));
    for (name, new, old) in kept() {
        if has_several_nodes(new) != has_several_nodes(old) {
            let field = format!("spec.services[{name}]");
            let words = "cannot change node topology (between single-node and multi-node) after creation: make a new \
                         graph";
            verdict.missing(Rule::NodeTopologyImmutable, field, words);
        }
    }
    check_set(new_services, old_services, verdict);
    let namespace = new.metadata.namespace.as_deref().unwrap_or_default();
    if requester.may_scale(namespace) {
        return;
    }
    for (name, new, old) in kept() {
        let (now, before) = (new.replicas.unwrap_or(1), old.replicas.unwrap_or(1));
        let owned = new.scaling_adapter.as_ref().is_some_and(|adapter| adapter.enabled);
        if owned && now != before {
            let field = format!("spec.services[{name}].replicas");
            let text = format!(
                "{field} cannot be modified directly when scaling adapter is enabled: keep {before} here and scale \
                 the DynamoGraphDeploymentScalingAdapter of the service instead"
            );
            verdict.say(Rule::ReplicasOfAdapter, field, Some(now.to_string()), text);
        }
    }
}

/// The backend framework of a graph or a component never changes, not even from none to one.
pub(super) fn judge_backend(
    new: Option<&BackendFramework>,
    old: Option<&BackendFramework>,
    verdict: &mut Verdict,
) {
    if new == old {
        return;
    }
    let field = "spec.backendFramework";
    let say =
        |backend: Option<&BackendFramework>| backend.map_or("none", BackendFramework::as_str).to_owned();
    let text = format!(
        "{field} is immutable and cannot be changed after creation: it was {} and would be {}",
        say(old),
        say(new)
    );
    verdict.say(Rule::BackendImmutable, field, new.map(|new| new.as_str().to_owned()), text);
    let warning = "Changing spec.backendFramework may cause unexpected behavior";
    verdict.warn(Rule::BackendImmutable, field, warning.to_owned());
}

fn has_several_nodes(spec: &SharedSpec) -> bool {
    spec.multinode.as_ref().is_some_and(|nodes| nodes.node_count > 1)
}

fn check_set(new: &BTreeMap<String, SharedSpec>, old: &BTreeMap<String, SharedSpec>, verdict: &mut Verdict) {
    let missing = |from: &BTreeMap<String, SharedSpec>, of: &BTreeMap<String, SharedSpec>| {
        of.keys().filter(|name| !from.contains_key(*name)).cloned().collect::<Vec<_>>().join(" ")
    };
    let changes = [("added", missing(old, new)), ("removed", missing(new, old))];
    let said: Vec<String> = changes
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("services {what}: [{names}]"))
        .collect();
    if !said.is_empty() {
        let changes = said.join(", ");
        let text = format!(
            "spec.services: service topology is immutable and cannot be modified after creation: {changes}"
        );
        verdict.say(Rule::ServicesImmutable, "spec.services", Some(changes), text);
    }
}

fn check_origin(new: &DynamoGraphDeployment, old: &DynamoGraphDeployment, verdict: &mut Verdict) {
    let of = |dgd: &DynamoGraphDeployment| {
        dgd.metadata.annotations.as_ref()?.get(annotations::ORIGIN_VERSION).cloned()
    };
    let (new, old) = (of(new), of(old));
    if old.is_some() && new != old {
        let words = format!(
            "says which operator version made the graph: it was {:?} and should stay",
            old.unwrap_or_default()
        );
        let field = format!("metadata.annotations[{}]", annotations::ORIGIN_VERSION);
        verdict.invalid(Rule::OriginVersionChanged, field, &new.unwrap_or_default(), &words);
    }
}
