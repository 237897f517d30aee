//! Rules of the endpoint picker, a component of type `epp` (`operator-process.md` section 7).
//! `eppConfig` of other components is not judged.

use dynamo_api::v1alpha1::{EppConfig, SharedSpec};

use super::{Kind, Rule, Verdict, component::Place};
use crate::component::ComponentType;

pub(super) fn check(place: &Place<'_>, spec: &SharedSpec, verdict: &mut Verdict) {
    if ComponentType::of(spec) != ComponentType::Epp {
        return;
    }
    let field = place.field;
    if place.kind == Kind::Graph && place.policy.inference_pools == Some(false) {
        let text = format!(
            "{field}: cannot deploy EPP component: the InferencePool API group (inference.networking.k8s.io) is not \
             available in the cluster: install the Gateway API Inference Extension first"
        );
        verdict.say(Rule::EppApiMissing, field, None, text);
    }
    if let Some(nodes) = spec.multinode.as_ref().filter(|nodes| nodes.node_count > 1) {
        let field = format!("{field}.multinode");
        let text = format!("{field}: EPP component cannot be multinode: take multinode out");
        verdict.say(Rule::EppMultinode, field, Some(nodes.node_count.to_string()), text);
    }
    if let Some(replicas) = spec.replicas.filter(|replicas| *replicas != 1 && *replicas >= 0) {
        let field = format!("{field}.replicas");
        let text = format!(
            "{field}: EPP component must have exactly 1 replica (found {replicas} replicas): set 1 or leave it out"
        );
        verdict.say(Rule::EppReplicas, field, Some(replicas.to_string()), text);
    }
    let field = format!("{field}.eppConfig");
    match &spec.epp_config {
        None => verdict.missing(Rule::EppConfigMissing, field, "is required for EPP components"),
        Some(config) => check_config(&field, config, verdict),
    }
}

fn check_config(field: &str, config: &EppConfig, verdict: &mut Verdict) {
    match (&config.config_map_ref, &config.config) {
        (None, None) => {
            let text = format!("{field}: either configMapRef or config must be specified");
            verdict.say(Rule::EppConfigEmpty, field, None, text);
        }
        (Some(_), Some(_)) => {
            let text = format!("{field}: configMapRef and config are mutually exclusive: take one out");
            verdict.say(Rule::EppConfigTwice, field, None, text);
        }
        (Some(reference), None) if reference.name.is_empty() => {
            let field = format!("{field}.configMapRef.name");
            verdict.missing(Rule::EppConfigMapNameMissing, field, "is required: the name of the ConfigMap");
        }
        _ => {}
    }
}
