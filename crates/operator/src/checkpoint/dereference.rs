//! What the cluster says about the Job of a checkpoint. Reads of caches only.

use dynamo_api::{conditions::TRUE, v1alpha1::DynamoCheckpoint};
use dynamo_kubekit::{cache::controller_of, key_of};
use dynamo_render::checkpoint::job_name;
use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::Time};

use crate::context::Context;

/// Where a Job stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum JobState {
    Running,
    /// With the time of its end.
    Complete(Option<Time>),
    /// With the reason.
    Failed(String),
    /// It is being deleted, and did not complete before.
    Ending,
}

/// The state of the checkpoint's own Job; `None` without one, also where its name belongs to somebody else.
pub(super) fn job_state(ctx: &Context, checkpoint: &DynamoCheckpoint) -> Option<JobState> {
    let (namespace, name) = key_of(checkpoint);
    let job = ctx.caches.jobs.get(&namespace, &job_name(&name))?;
    let is_own =
        controller_of(&*job).is_some_and(|owner| Some(&owner.uid) == checkpoint.metadata.uid.as_ref());
    is_own.then(|| judge(&job))
}

fn judge(job: &Job) -> JobState {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let holds = |type_: &str| conditions.clone().find(|it| it.type_ == type_ && it.status == TRUE);
    if holds("Complete").is_some() {
        return JobState::Complete(job.status.as_ref().and_then(|status| status.completion_time.clone()));
    }
    if job.metadata.deletion_timestamp.is_some() {
        return JobState::Ending;
    }
    match holds("Failed") {
        Some(failed) => {
            let said = [failed.reason.as_deref(), failed.message.as_deref()];
            let said: Vec<&str> = said.into_iter().flatten().filter(|text| !text.is_empty()).collect();
            JobState::Failed(said.join(": "))
        }
        None => JobState::Running,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(conditions: Value) -> Job {
        let status = json!({"conditions": conditions, "completionTime": "2026-01-02T03:04:05Z"});
        serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap()
    }

    #[test]
    fn a_job_has_ended_only_when_a_condition_says_so() {
        assert_eq!(judge(&Job::default()), JobState::Running);
        // Its pods are still on their way.
        let nearly =
            json!([{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Failed", "status": "False"}]);
        assert_eq!(judge(&job(nearly)), JobState::Running);
        let complete = judge(&job(json!([{"type": "Complete", "status": "True"}])));
        assert!(matches!(complete, JobState::Complete(Some(_))), "{complete:?}");
        let failed = json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]);
        assert_eq!(judge(&job(failed)), JobState::Failed("DeadlineExceeded: too long".to_owned()));
    }

    #[test]
    fn a_job_that_is_deleted_counts_only_if_it_completed() {
        let deleted = |conditions: Value| {
            let mut job = job(conditions);
            job.metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
            judge(&job)
        };
        assert_eq!(deleted(json!([])), JobState::Ending);
        assert!(matches!(deleted(json!([{"type": "Complete", "status": "True"}])), JobState::Complete(_)));
    }
}
