//! Annotations that steer discovery and the roll-out of a Deployment (`api.md` section 12).
//! Other annotations are the user's own.

use std::collections::BTreeMap;

use dynamo_api::{labels::annotations, v1alpha1::SharedSpec};

use super::{Kind, Rule, Verdict, component::Place};
use crate::config::DiscoveryBackend;

/// The discovery backend among some annotations.
pub(super) fn check_discovery(field: &str, all: &BTreeMap<String, String>, verdict: &mut Verdict) {
    let known = [DiscoveryBackend::Kubernetes.as_str(), DiscoveryBackend::Etcd.as_str()];
    let key = annotations::DISCOVERY_BACKEND;
    if let Some(value) = all.get(key).filter(|value| !known.contains(&value.as_str())) {
        let words = format!("must be {} or {}", known[0], known[1]);
        verdict.invalid(Rule::DiscoveryBackendUnknown, format!("{field}[{key}]"), value, &words);
    }
}

/// The annotations of a service or a component; those of its pods win, as in the Deployment.
pub(super) fn check(place: &Place<'_>, spec: &SharedSpec, verdict: &mut Verdict) {
    let field = place.field;
    if place.kind == Kind::Graph {
        check_discovery(&format!("{field}.annotations"), &spec.annotations, verdict);
    }
    let of_pods = spec.extra_pod_metadata.as_ref().map(|extra| &extra.annotations);
    let find = |key: &str| match of_pods.and_then(|all| all.get(key)) {
        Some(value) => Some((format!("{field}.extraPodMetadata.annotations[{key}]"), value.as_str())),
        None => Some((format!("{field}.annotations[{key}]"), spec.annotations.get(key)?.as_str())),
    };
    match find(annotations::DEPLOYMENT_STRATEGY) {
        Some((_, "Recreate")) => return,
        None | Some((_, "RollingUpdate")) => {}
        Some((field, other)) => {
            let words = "is taken as RollingUpdate: write RollingUpdate or Recreate";
            verdict.invalid(Rule::DeploymentStrategyUnknown, field, other, words);
        }
    }
    let budgets = [annotations::MAX_SURGE, annotations::MAX_UNAVAILABLE].map(find);
    let mut zeros = 0;
    for (at, budget) in budgets.iter().enumerate() {
        let Some((field, text)) = budget else { continue };
        match parse_budget(text) {
            Some(0) => zeros += 1,
            // More than all pods cannot be unavailable.
            Some(number) if at == 0 || !text.ends_with('%') || number <= 100 => {}
            _ => {
                let words = "must be a whole number or a percentage, such as 1 or 25%";
                verdict.invalid(Rule::RollingBudgetInvalid, field, text, words);
            }
        }
    }
    if let ([_, Some((field, text))], 2) = (&budgets, zeros) {
        let words = "max-surge and max-unavailable must not both be 0: no pod could ever be replaced";
        verdict.invalid(Rule::RollingBudgetZero, field, text, words);
    }
}

fn parse_budget(text: &str) -> Option<i32> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
