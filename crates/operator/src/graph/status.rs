//! The status of a graph, computed from what its components report (`workload.md` section 12).
//! One write at most, and only when something differs.

use std::time::Duration;

use dynamo_api::{
    conditions::{FALSE, TRUE, reason, state, types},
    v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentStatus},
};
use dynamo_kubekit::{
    conditions::{self, Wanted},
    key_of, status,
};
use dynamo_render::FieldErrors;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Resource;

use super::{Error, apply::Applied, dereference::is_ready};
use crate::{
    component::NOT_READY,
    context::{Context, now},
};

/// What a pass came to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'a> {
    Invalid(&'a FieldErrors),
    Failed(&'a str),
    Applied(&'a Applied),
}

/// Returns after what time to come back for a change that is held back.
pub(super) async fn report(
    ctx: &Context,
    dgd: &DynamoGraphDeployment,
    outcome: Outcome<'_>,
) -> Result<Option<Duration>, Error> {
    let before = dgd.status.clone().unwrap_or_default();
    let after = compute(&before, dgd.metadata.generation, outcome, now());
    if after == before {
        ctx.unsaid_of_graphs.settle(&key_of(dgd));
        return Ok(None);
    }
    if matches!(outcome, Outcome::Applied(_))
        && !is_news(&before, &after)
        && let Some(left) = ctx.unsaid_of_graphs.wait(key_of(dgd))
    {
        return Ok(Some(left));
    }
    ctx.unsaid_of_graphs.settle(&key_of(dgd));
    let message = |status: &DynamoGraphDeploymentStatus| ready(&status.conditions).map(|c| c.message.clone());
    if let Outcome::Invalid(_) = outcome
        && message(&before) != message(&after)
    {
        let text = message(&after).unwrap_or_default();
        ctx.warn(&dgd.object_ref(&()), reason::VALIDATION_FAILED, &text).await;
    }
    status::replace(&ctx.client, &ctx.caches.graphs, dgd, &after).await.map_err(Error::Status)?;
    Ok(None)
}

/// Whether a change says more than other counts and another service that is ready by now.
fn is_news(before: &DynamoGraphDeploymentStatus, after: &DynamoGraphDeploymentStatus) -> bool {
    let told = |status: &DynamoGraphDeploymentStatus| {
        ready(&status.conditions).map(|c| (c.status.clone(), c.reason.clone(), c.observed_generation))
    };
    before.state != after.state
        || before.restart != after.restart
        || before.checkpoints != after.checkpoints
        || told(before) != told(after)
}

fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == types::READY)
}

fn compute(
    before: &DynamoGraphDeploymentStatus,
    generation: Option<i64>,
    outcome: Outcome<'_>,
    now: Time,
) -> DynamoGraphDeploymentStatus {
    let mut after = before.clone();
    let (new_state, status, reason, message) = match outcome {
        Outcome::Invalid(errors) => {
            (state::FAILED, FALSE, reason::VALIDATION_FAILED, format!("Validation failed: {errors}"))
        }
        Outcome::Failed(chain) => (state::FAILED, FALSE, reason::RECONCILE_FAILED, chain.to_owned()),
        Outcome::Applied(Applied { components, restart, checkpoints }) => {
            after.restart.clone_from(restart);
            after.checkpoints.clone_from(checkpoints);
            after.services = components.iter().filter_map(|dcd| service_entry(dcd)).collect();
            let waiting: Vec<String> = components.iter().filter_map(|dcd| not_ready(dcd)).collect();
            if waiting.is_empty() {
                (state::SUCCESSFUL, TRUE, reason::ALL_READY, "All resources are ready".to_owned())
            } else {
                let message = format!("Resources not ready: {}", waiting.join("; "));
                let has_failed = components.iter().filter_map(|dcd| cause(dcd)).any(|(_, failed)| failed);
                (
                    if has_failed { state::FAILED } else { state::PENDING },
                    FALSE,
                    reason::SOME_NOT_READY,
                    message,
                )
            }
        }
    };
    after.state = Some(new_state.to_owned());
    let wanted = Wanted { type_: types::READY, status, reason, message };
    conditions::set(&mut after.conditions, wanted, generation, now);
    after
}

fn service_entry(
    dcd: &DynamoComponentDeployment,
) -> Option<(String, dynamo_api::v1alpha1::ServiceReplicaStatus)> {
    let service = dcd.status.as_ref()?.service.clone()?;
    Some((dcd.spec.shared.service_name.clone()?, service))
}

/// Why a component is not ready; `None` when it is, on its newest generation.
fn not_ready(dcd: &DynamoComponentDeployment) -> Option<String> {
    let name = dcd.metadata.name.as_deref().unwrap_or_default();
    if is_ready(dcd) {
        return None;
    }
    let mut why = format!("{name}: Component deployment not ready - Available condition not true");
    if let Some((cause, _)) = cause(dcd) {
        why.push_str(&format!(" ({cause})"));
    }
    Some(why)
}

/// What a component says about its newest generation beyond plain waiting, and whether waiting is not enough.
fn cause(dcd: &DynamoComponentDeployment) -> Option<(&str, bool)> {
    let conditions = dcd.status.as_ref()?.conditions.iter();
    let of_newest = conditions.filter(|condition| condition.observed_generation >= dcd.metadata.generation);
    let mut unmet = of_newest.filter(|condition| condition.status == FALSE);
    unmet.find_map(|condition| match (condition.type_.as_str(), condition.reason.as_str()) {
        (types::VALID, _) | (types::AVAILABLE, reason::RECONCILING) => {
            Some((condition.message.as_str(), true))
        }
        (types::AVAILABLE, reason) => {
            let cause = condition.message.strip_prefix(NOT_READY)?.strip_prefix(": ")?;
            Some((cause, reason == reason::DEPLOYMENT_FAILED))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dynamo_api::v1alpha1::{ComponentKind, DynamoComponentDeploymentStatus, ServiceReplicaStatus};

    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    fn component(available: &str, observed: i64) -> Arc<DynamoComponentDeployment> {
        let mut dcd = DynamoComponentDeployment::default();
        dcd.metadata.name = Some("g-worker".into());
        dcd.metadata.generation = Some(2);
        dcd.spec.shared.service_name = Some("Worker".into());
        let mut conditions = Vec::new();
        let status = if available == "True" { TRUE } else { FALSE };
        let wanted = Wanted {
            type_: types::AVAILABLE,
            status,
            reason: reason::DEPLOYMENT_READY,
            message: String::new(),
        };
        conditions::set(&mut conditions, wanted, Some(observed), at(0));
        dcd.status = Some(DynamoComponentDeploymentStatus {
            observed_generation: Some(observed),
            conditions,
            service: Some(ServiceReplicaStatus {
                component_kind: ComponentKind::Deployment,
                component_name: "g-worker".into(),
                ..ServiceReplicaStatus::default()
            }),
            ..DynamoComponentDeploymentStatus::default()
        });
        Arc::new(dcd)
    }

    fn pass(components: &[Arc<DynamoComponentDeployment>]) -> Applied {
        Applied { components: components.to_vec(), restart: None, checkpoints: <_>::default() }
    }

    fn applied(components: &[Arc<DynamoComponentDeployment>]) -> DynamoGraphDeploymentStatus {
        let before = DynamoGraphDeploymentStatus::default();
        compute(&before, Some(1), Outcome::Applied(&pass(components)), at(1))
    }

    #[test]
    fn a_graph_is_ready_only_on_the_newest_generation_of_every_component() {
        assert_eq!(applied(&[component("True", 2)]).state.as_deref(), Some("successful"));
        let stale = applied(&[component("True", 1)]);
        assert_eq!(stale.state.as_deref(), Some("pending"));
        assert_eq!(
            stale.conditions[0].message,
            "Resources not ready: g-worker: Component deployment not ready - Available condition not true"
        );
        assert!(stale.services.contains_key("Worker"));
    }

    #[test]
    fn a_cause_is_passed_on_and_fails_the_graph_only_when_waiting_is_useless_on_the_newest_generation() {
        let told = |why: &'static str, observed: i64| {
            let mut dcd = (*component("False", observed)).clone();
            let available = &mut dcd.status.as_mut().unwrap().conditions[0];
            available.reason = why.to_owned();
            available.message = format!("{NOT_READY}: pod p: no room");
            let status = applied(&[Arc::new(dcd)]);
            (status.state.unwrap(), status.conditions[0].message.ends_with("not true (pod p: no room)"))
        };
        assert_eq!(told(reason::DEPLOYMENT_NOT_READY, 2), (state::PENDING.to_owned(), true));
        assert_eq!(told(reason::DEPLOYMENT_FAILED, 2), (state::FAILED.to_owned(), true));
        assert_eq!(told(reason::DEPLOYMENT_FAILED, 1), (state::PENDING.to_owned(), false));
    }

    #[test]
    fn a_failed_pass_keeps_the_services_it_last_knew() {
        let known = applied(&[component("True", 2)]);
        let failed = compute(&known, Some(2), Outcome::Failed("boom"), at(2));
        assert_eq!(failed.state.as_deref(), Some("failed"));
        assert_eq!(failed.services, known.services);
    }

    #[test]
    fn the_same_pass_twice_gives_the_same_status() {
        let first = applied(&[component("True", 2)]);
        let second = compute(&first, Some(1), Outcome::Applied(&pass(&[component("True", 2)])), at(9));
        assert_eq!(first, second);
    }
}
