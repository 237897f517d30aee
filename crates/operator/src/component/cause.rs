//! Why a component is not ready, in one sentence, from its Deployment and what is wrong with the pods of its newest
//! revision. Pure; the same state gives the same words.

use dynamo_api::conditions::FALSE;
use dynamo_kubekit::pods::{newest_revision, trouble::Kind};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};

use crate::pods::TroubledPod;

/// Why a component is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Waiting is useless until somebody changes something.
    pub terminal: bool,
    /// Names pod, container and cause.
    pub text: String,
    /// The part of the text that is the same for each pod with the same trouble.
    pub what: String,
}

impl Cause {
    fn passing(text: String) -> Self {
        Self { terminal: false, what: text.clone(), text }
    }
}

/// The cause that should be read first; `None` while a roll-out just takes its time.
pub(super) fn of(deployment: &Deployment, pods: &[TroubledPod]) -> Option<Cause> {
    let (spec, status) = (deployment.spec.as_ref()?, deployment.status.as_ref());
    let from_pods = status.and_then(|_| worst(deployment, pods));
    if spec.paused == Some(true) {
        let paused = "it is paused (kubectl rollout pause)";
        let more = from_pods.filter(|(kind, _)| *kind < Kind::Unready).map(|(_, cause)| cause);
        return Some(match more {
            Some(cause) => Cause { text: format!("{paused}; {}", cause.text), ..cause },
            None => Cause::passing(paused.to_owned()),
        });
    }
    let status = status?;
    // What is told belongs to the specification before this one.
    if spec.replicas == Some(0) || status.observed_generation < deployment.metadata.generation {
        return None;
    }
    let condition = |type_: &str| status.conditions.iter().flatten().find(|c| c.type_ == type_);
    let refused = condition("ReplicaFailure").filter(|condition| condition.status != FALSE);
    let late = condition("Progressing").filter(|condition| condition.status == FALSE).map(told);
    match (from_pods, refused, late) {
        (Some((_, cause)), _, _) if cause.terminal => Some(cause),
        (_, Some(refused), _) => Some(Cause::passing(format!("ReplicaFailure: {}", message(refused)))),
        (Some((Kind::Unready | Kind::Over, cause)), _, Some(late)) => {
            Some(Cause { text: format!("{}; {late}", cause.text), ..cause })
        }
        (Some((_, cause)), _, _) => Some(cause),
        (None, _, late) => late.map(Cause::passing),
    }
}

fn message(condition: &DeploymentCondition) -> &str {
    condition.message.as_deref().unwrap_or_default()
}

/// `ProgressDeadlineExceeded: ReplicaSet "x" has timed out progressing.`
fn told(condition: &DeploymentCondition) -> String {
    format!("{}: {}", condition.reason.as_deref().unwrap_or("Progressing"), message(condition))
}

/// The worst trouble of the newest revision, told for the pod whose name comes first.
fn worst(deployment: &Deployment, pods: &[TroubledPod]) -> Option<(Kind, Cause)> {
    let newest = newest_revision(deployment);
    // Where the Deployment does not say so, the youngest pod is of the newest revision.
    let newest = newest.or_else(|| {
        let youngest = pods.iter().max_by_key(|pod| (&pod.created, std::cmp::Reverse(&pod.name)));
        youngest?.revision.as_deref()
    });
    let pods = || pods.iter().filter(|pod| newest.is_none() || pod.revision.as_deref() == newest);
    let first = pods().min_by_key(|pod| (pod.trouble.kind, &pod.name))?;
    let (kind, what) = (first.trouble.kind, first.trouble.text());
    // Unready pods are counted by the Deployment, one by one as they come up, and those that are over by nobody.
    let is_counted = kind < Kind::Unready;
    let others = pods().filter(|pod| is_counted && pod.trouble.kind == kind).count().saturating_sub(1);
    // The name of the container reads on; what concerns the whole pod is set off.
    let separator = if first.trouble.container.is_some() { " " } else { ": " };
    let mut text = format!("pod {}{separator}{what}", first.name);
    match others {
        0 => {}
        1 => text.push_str(" (and 1 more pod)"),
        _ => text.push_str(&format!(" (and {others} more pods)")),
    }
    Some((kind, Cause { terminal: first.trouble.is_terminal(), text, what }))
}

#[cfg(test)]
mod tests;
