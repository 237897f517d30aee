//! Rules of a restart request (`operator-process.md` section 7).
//! Whether services can be restarted is no question here.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_api::v1alpha1::{RestartSpec, RestartStrategyType, SharedSpec};

use super::{Rule, Verdict};

const ORDER: &str = "spec.restart.strategy.order";

pub(super) fn check(restart: &RestartSpec, services: &BTreeMap<String, SharedSpec>, verdict: &mut Verdict) {
    if restart.id.is_empty() {
        let words = "is required: any text, a new one for each restart";
        verdict.missing(Rule::RestartIdMissing, "spec.restart.id", words);
    }
    let Some(strategy) = restart.strategy.as_ref().filter(|strategy| !strategy.order.is_empty()) else {
        return;
    };
    if strategy.type_ == RestartStrategyType::Parallel {
        let words = "cannot be specified when strategy is parallel: take it out or use Sequential";
        verdict.missing(Rule::RestartOrderParallel, ORDER, words);
        return;
    }
    let mut unique = BTreeSet::new();
    let repeated: BTreeSet<&str> =
        strategy.order.iter().map(String::as_str).filter(|name| !unique.insert(*name)).collect();
    if !repeated.is_empty() {
        let names = repeated.into_iter().collect::<Vec<_>>().join(", ");
        let words = format!("must be unique: {names} is there more than once");
        verdict.missing(Rule::RestartOrderRepeated, ORDER, &words);
    }
    if unique.len() != services.len() {
        let words = format!(
            "must have the same number of unique services as the deployment: {} of {}",
            unique.len(),
            services.len()
        );
        verdict.missing(Rule::RestartOrderLength, ORDER, &words);
    }
    for name in unique.into_iter().filter(|name| !services.contains_key(*name)) {
        let text = format!("{ORDER} contains unknown service: {name}");
        verdict.say(Rule::RestartOrderUnknown, ORDER, Some(name.to_owned()), text);
    }
}
