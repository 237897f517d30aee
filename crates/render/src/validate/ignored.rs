//! Fields that the schema accepts and this version does not act on (`docs/design/deviations.md`, N-004).
//! A user must hear of them: a field that silently does nothing is worse than one that is refused.

use dynamo_api::v1alpha1::{DynamoGraphDeployment, SharedSpec};

/// Paths of what a graph asks for in vain, in the order of the fields.
#[must_use]
pub fn ignored(dgd: &DynamoGraphDeployment) -> Vec<String> {
    let mut paths = Vec::new();
    if dgd.spec.pvcs.iter().any(|claim| claim.create) {
        paths.push("spec.pvcs[].create".to_owned());
    }
    if dgd.spec.restart.is_some() {
        paths.push("spec.restart".to_owned());
    }
    for (service, spec) in &dgd.spec.services {
        paths.extend(of_service(spec).into_iter().map(|field| format!("spec.services[{service}].{field}")));
    }
    paths
}

fn of_service(spec: &SharedSpec) -> Vec<&'static str> {
    [("scalingAdapter", spec.scaling_adapter.as_ref().is_some_and(|adapter| adapter.enabled))]
        .into_iter()
        .filter_map(|(field, asked)| asked.then_some(field))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_asked_for_in_vain_is_named_and_nothing_else() {
        let graph = json!({"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment",
        "metadata": {"name": "g"}, "spec": {
            "restart": {"id": "1"},
            "pvcs": [{"name": "a", "create": true}],
            "services": {
                "Frontend": {"componentType": "frontend", "scalingAdapter": {"enabled": true}},
                "Planner": {"componentType": "planner"},
                "Worker": {"componentType": "worker", "scalingAdapter": {"enabled": false}},
            }}});
        let graph = serde_json::from_value(graph).unwrap();
        assert_eq!(
            ignored(&graph),
            ["spec.pvcs[].create", "spec.restart", "spec.services[Frontend].scalingAdapter"]
        );
    }
}
