//! The status of a component, computed from its Deployment (`api.md` section 4, `workload.md` sections 8, 12).
//! One write at most, and only when something differs.

use std::time::Duration;

use dynamo_api::{
    conditions::{FALSE, TRUE, reason, types},
    v1alpha1::{
        ComponentKind, DynamoComponentDeployment, DynamoComponentDeploymentStatus, ServiceReplicaStatus,
    },
};
use dynamo_kubekit::{
    conditions::{self, Wanted},
    key_of, status,
};
use dynamo_render::FieldErrors;
use k8s_openapi::{
    api::apps::v1::Deployment,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::Resource;

use super::{Error, cause::Cause};
use crate::context::{Context, now};

/// The message about a Deployment that is not ready; a cause follows after a colon.
pub(crate) const NOT_READY: &str = "Deployment is not ready";

/// What a pass came to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'a> {
    Invalid(&'a FieldErrors),
    Failed(&'a str),
    Applied(&'a Deployment, Option<&'a Cause>),
}

/// Returns after what time to come back for a change that is held back.
pub(super) async fn report(
    ctx: &Context,
    dcd: &DynamoComponentDeployment,
    outcome: Outcome<'_>,
) -> Result<Option<Duration>, Error> {
    let before = dcd.status.clone().unwrap_or_default();
    let after = compute(&before, dcd.metadata.generation, outcome, now());
    if dcd.status.is_some() && after == before {
        ctx.unsaid_of_components.settle(&key_of(dcd));
        return Ok(None);
    }
    if matches!(outcome, Outcome::Applied(..))
        && !is_news(&before, &after)
        && let Some(left) = ctx.unsaid_of_components.wait(key_of(dcd))
    {
        return Ok(Some(left));
    }
    ctx.unsaid_of_components.settle(&key_of(dcd));
    if let Some((reason, message)) = warning(outcome, &before, &after) {
        ctx.warn(&dcd.object_ref(&()), reason, message).await;
    }
    status::replace(&ctx.client, &ctx.caches.components, dcd, &after).await.map_err(Error::Status)?;
    Ok(None)
}

/// Whether a change says more than other counts: another condition, or a generation that was waited for. That a new
/// component is not ready yet says nothing.
fn is_news(before: &DynamoComponentDeploymentStatus, after: &DynamoComponentDeploymentStatus) -> bool {
    let told = |status: &DynamoComponentDeploymentStatus| {
        let conditions = status.conditions.iter();
        conditions.map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone())).collect::<Vec<_>>()
    };
    if before.conditions.is_empty() {
        let is_waiting =
            |c: &Condition| c.type_ == types::AVAILABLE && c.reason == reason::DEPLOYMENT_NOT_READY;
        return !after.conditions.iter().any(is_waiting);
    }
    before.observed_generation != after.observed_generation || told(before) != told(after)
}

/// The warning that a new failure deserves; none while the same one lasts.
fn warning<'a>(
    outcome: Outcome<'_>,
    before: &DynamoComponentDeploymentStatus,
    after: &'a DynamoComponentDeploymentStatus,
) -> Option<(&'static str, &'a str)> {
    let (condition, reason) = match outcome {
        Outcome::Invalid(_) => (types::VALID, reason::VALIDATION_FAILED),
        Outcome::Failed(_) => (types::AVAILABLE, "ReconcileError"),
        Outcome::Applied(_, Some(cause)) if cause.terminal => {
            let known = before.conditions.iter().any(|condition| {
                // The same cause at one more pod, or at another one, is no new cause.
                condition.reason == reason::DEPLOYMENT_FAILED && condition.message.contains(&cause.what)
            });
            let now = after.conditions.iter().find(|c| c.reason == reason::DEPLOYMENT_FAILED)?;
            return (!known).then_some((reason::DEPLOYMENT_FAILED, now.message.as_str()));
        }
        Outcome::Applied(..) => return None,
    };
    let message = |status: &'a DynamoComponentDeploymentStatus| {
        status.conditions.iter().find(|c| c.type_ == condition).map(|c| c.message.as_str())
    };
    let old = before.conditions.iter().find(|c| c.type_ == condition).map(|c| c.message.as_str());
    let new = message(after)?;
    (old != Some(new)).then_some((reason, new))
}

fn compute(
    before: &DynamoComponentDeploymentStatus,
    generation: Option<i64>,
    outcome: Outcome<'_>,
    now: Time,
) -> DynamoComponentDeploymentStatus {
    let mut after = before.clone();
    let mut set = |type_, status, reason, message: String| {
        let wanted = Wanted { type_, status, reason, message };
        conditions::set(&mut after.conditions, wanted, generation, now.clone());
    };
    let valid = "DynamoComponentDeployment spec is valid".to_owned();
    match outcome {
        Outcome::Invalid(errors) => {
            let message = format!("Validation failed: {errors}");
            set(types::VALID, FALSE, reason::VALIDATION_FAILED, message);
        }
        Outcome::Failed(chain) => {
            let message = format!("Failed to reconcile DynamoComponentDeployment: {chain}");
            set(types::VALID, TRUE, reason::VALIDATION_PASSED, valid);
            set(types::AVAILABLE, FALSE, reason::RECONCILING, message);
            let message = "DynamoComponent is not ready".to_owned();
            set(types::COMPONENT_READY, FALSE, reason::COMPONENT_NOT_READY, message);
        }
        Outcome::Applied(deployment, cause) => {
            let (status, is, why, component, message) = if is_ready(deployment) {
                let message = "Deployment is ready".to_owned();
                (TRUE, "ready", reason::DEPLOYMENT_READY, reason::COMPONENT_READY, message)
            } else {
                let has_failed = cause.is_some_and(|cause| cause.terminal);
                let why = if has_failed { reason::DEPLOYMENT_FAILED } else { reason::DEPLOYMENT_NOT_READY };
                let cause = cause.map(|cause| format!(": {}", cause.text)).unwrap_or_default();
                (FALSE, "not ready", why, reason::COMPONENT_NOT_READY, format!("{NOT_READY}{cause}"))
            };
            set(types::VALID, TRUE, reason::VALIDATION_PASSED, valid);
            set(types::AVAILABLE, status, why, message);
            set(types::COMPONENT_READY, status, component, format!("DynamoComponent is {is}"));
            after.observed_generation = generation;
            after.service = Some(service_status(deployment));
        }
    }
    after
}

fn service_status(deployment: &Deployment) -> ServiceReplicaStatus {
    let status = deployment.status.as_ref();
    let count = |of: fn(&k8s_openapi::api::apps::v1::DeploymentStatus) -> Option<i32>| {
        status.and_then(of).unwrap_or_default()
    };
    ServiceReplicaStatus {
        component_kind: ComponentKind::Deployment,
        component_name: deployment.metadata.name.clone().unwrap_or_default(),
        replicas: count(|status| status.replicas),
        updated_replicas: count(|status| status.updated_replicas),
        ready_replicas: Some(count(|status| status.ready_replicas)),
        available_replicas: Some(count(|status| status.available_replicas)),
    }
}

/// Whether a Deployment runs its newest revision in full, and nothing else (`workload.md` section 8).
fn is_ready(deployment: &Deployment) -> bool {
    let Some(spec) = &deployment.spec else { return false };
    let desired = spec.replicas.unwrap_or(1);
    if spec.paused == Some(true) {
        return false;
    }
    let Some(status) = &deployment.status else { return false };
    let observed = status.observed_generation >= deployment.metadata.generation;
    if desired == 0 {
        return observed;
    }
    let available = status.conditions.iter().flatten().any(|c| c.type_ == "Available" && c.status == TRUE);
    observed
        && available
        && status.updated_replicas.unwrap_or_default() >= desired
        && status.available_replicas.unwrap_or_default() >= desired
        && status.replicas.unwrap_or_default() == desired
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentSpec, DeploymentStatus};

    use super::*;

    fn deployment(change: impl FnOnce(&mut Deployment)) -> Deployment {
        let mut deployment = Deployment {
            spec: Some(DeploymentSpec { replicas: Some(2), ..DeploymentSpec::default() }),
            status: Some(DeploymentStatus {
                observed_generation: Some(3),
                replicas: Some(2),
                updated_replicas: Some(2),
                available_replicas: Some(2),
                conditions: Some(vec![DeploymentCondition {
                    type_: "Available".into(),
                    status: "True".into(),
                    ..DeploymentCondition::default()
                }]),
                ..DeploymentStatus::default()
            }),
            ..Deployment::default()
        };
        deployment.metadata.generation = Some(3);
        change(&mut deployment);
        deployment
    }

    #[test]
    fn a_deployment_is_ready_only_when_nothing_is_missing_or_left_over() {
        assert!(is_ready(&deployment(|_| {})));
        let broken: [fn(&mut Deployment); 6] = [
            |d| d.metadata.generation = Some(4),
            |d| d.spec.as_mut().unwrap().paused = Some(true),
            |d| d.status.as_mut().unwrap().updated_replicas = Some(1),
            |d| d.status.as_mut().unwrap().available_replicas = None,
            |d| d.status.as_mut().unwrap().replicas = Some(3),
            |d| d.status.as_mut().unwrap().conditions = None,
        ];
        for change in broken {
            assert!(!is_ready(&deployment(change)));
        }
    }

    #[test]
    fn zero_replicas_are_ready_once_observed() {
        let zero = |d: &mut Deployment| {
            d.spec.as_mut().unwrap().replicas = Some(0);
            d.status = Some(DeploymentStatus { observed_generation: Some(3), ..DeploymentStatus::default() });
        };
        assert!(is_ready(&deployment(zero)));
    }

    #[test]
    fn a_useless_wait_has_a_reason_of_its_own_and_one_warning_for_all_pods_that_share_it() {
        let now = || Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
        let waits = deployment(|d| d.status.as_mut().unwrap().available_replicas = None);
        let cause = |terminal, pod: &str| {
            let what = "main: no image".to_owned();
            Cause { terminal, text: format!("pod {pod} {what}"), what }
        };
        let (first, second, passing) = (cause(true, "a"), cause(true, "b"), cause(false, "a"));
        let none = DynamoComponentDeploymentStatus::default();
        let pass = |before: &DynamoComponentDeploymentStatus, cause| {
            let outcome = Outcome::Applied(&waits, Some(cause));
            let after = compute(before, Some(1), outcome, now());
            let warned = warning(outcome, before, &after).map(|(reason, _)| reason);
            let available = after.conditions.iter().find(|c| c.type_ == types::AVAILABLE).unwrap().clone();
            (after, available.reason, available.message, warned)
        };
        let (failed, reason, message, warned) = pass(&none, &first);
        assert_eq!((reason.as_str(), warned), ("DeploymentFailed", Some("DeploymentFailed")));
        assert_eq!(message, "Deployment is not ready: pod a main: no image");
        assert_eq!(pass(&failed, &second).3, None);
        let (waiting, reason, _, warned) = pass(&failed, &passing);
        assert_eq!((reason.as_str(), warned), ("DeploymentNotReady", None));
        assert_eq!(pass(&waiting, &first).3, Some("DeploymentFailed"));
    }

    #[test]
    fn a_failed_pass_keeps_generation_and_counts_of_the_last_good_one() {
        let now = || Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
        let ready = deployment(|_| {});
        let good = compute(
            &DynamoComponentDeploymentStatus::default(),
            Some(1),
            Outcome::Applied(&ready, None),
            now(),
        );
        let failed = compute(&good, Some(2), Outcome::Failed("boom"), now());
        assert_eq!((failed.observed_generation, &failed.service), (Some(1), &good.service));
        assert!(failed.conditions.iter().any(|c| c.type_ == "Available" && c.message.ends_with("boom")));
    }
}
