//! The variable `DYN_DEPLOYMENT_CONFIG` of a graph's services: it can be read, and its amounts are quantities.
//! What it makes of a service is judged like any service, by the rules elsewhere.

use std::{borrow::Cow, collections::BTreeSet};

use dynamo_api::v1alpha1::{DynamoGraphDeployment, ResourceItem, SharedSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Rule, Verdict, resources};
use crate::{
    component::ComponentType,
    deployment_config::{self, ConfigError, VARIABLE},
    parts::resources::DEFAULT_GPU,
};

/// A service with what its configuration says of it; the service as it is when there is none, or none to use.
pub(super) fn service<'a>(
    graph: &DynamoGraphDeployment,
    service: &str,
    spec: &'a SharedSpec,
    told: &mut BTreeSet<String>,
    verdict: &mut Verdict,
) -> Cow<'a, SharedSpec> {
    // Its own entry wins over the graph's.
    let is_own = spec.envs.iter().any(|variable| variable.name == VARIABLE);
    let (field, envs) = match is_own {
        true => (format!("spec.services[{service}].envs"), &spec.envs),
        false => ("spec.envs".to_owned(), &graph.spec.envs),
    };
    let words = match deployment_config::read(service, ComponentType::of(spec), envs) {
        Ok(None) => return Cow::Borrowed(spec),
        Ok(Some(config)) => match config.resources.as_ref().and_then(wrong_amount) {
            None => {
                let mut configured = spec.clone();
                config.apply(&mut configured);
                return Cow::Owned(configured);
            }
            Some(words) => format!("{VARIABLE}: entry {service}: {words}"),
        },
        Err(error @ ConfigError::Shape(..)) => format!("{VARIABLE}: entry {service}: {error}"),
        Err(error) => format!("{VARIABLE} {error}"),
    };
    // One variable of the graph is told once, not once for each service.
    let text = format!("{field}: {words}");
    if told.insert(text.clone()) {
        verdict.say(Rule::DeploymentConfigInvalid, field, None, text);
    }
    Cow::Borrowed(spec)
}

/// The first amount that no container can have, without its text.
fn wrong_amount(item: &ResourceItem) -> Option<String> {
    let own =
        [("cpu", "cpu", &item.cpu), ("memory", "memory", &item.memory), ("gpu", DEFAULT_GPU, &item.gpu)];
    let own = own.into_iter().filter_map(|(key, name, text)| Some((key, name, text.as_ref()?)));
    let custom = item.custom.iter().map(|(name, text)| ("custom", name.as_str(), text));
    own.chain(custom).find_map(|(key, name, text)| {
        let mut verdict = Verdict::default();
        resources::check_one(key, name, &Quantity(text.clone()), &mut verdict);
        let rule = verdict.errors.0.first()?.rule;
        let words = rule.spec().words;
        Some(format!(
            "ServiceArgs.resources.{key} {words}: write amounts such as \"2\", \"500m\" or \"64Gi\""
        ))
    })
}
