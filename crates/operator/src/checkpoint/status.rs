//! The status of a checkpoint, computed from its Job (`api.md` section 10). What its status said before counts for two
//! things only: that a Job was there, and that one completed, which outlives the Job. One write at most, and only when
//! something differs.

use dynamo_api::{
    conditions::{FALSE, TRUE, reason, types},
    v1alpha1::{CheckpointPhase, CheckpointStorageType, DynamoCheckpoint, DynamoCheckpointStatus},
};
use dynamo_kubekit::{
    conditions::{self, Wanted},
    key_of, status,
};
use dynamo_render::{
    checkpoint::{job_name, location},
    config::CheckpointConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Resource;

use super::Error;
use crate::context::{Context, now};

/// Stands between the name of a Job that failed and why.
const FAILED: &str = " failed: ";

/// A checkpoint and what follows from its identity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) checkpoint: &'a DynamoCheckpoint,
    pub(super) hash: &'a str,
    pub(super) config: &'a CheckpointConfig,
}

/// What a pass came to.
#[derive(Debug, Clone)]
pub(super) enum Outcome<'a> {
    /// The Job runs.
    Running,
    /// A Job completed, at this time if it is known.
    Complete(Option<Time>),
    /// The Job has failed, for this reason.
    Failed(String),
    /// The Job went before it completed.
    Lost,
    /// Something could not be written.
    Refused(&'a str),
}

/// Whether a Job for this identity completed before.
pub(super) fn is_complete(checkpoint: &DynamoCheckpoint, hash: &str) -> bool {
    let status = checkpoint.status.as_ref();
    status.is_some_and(|status| {
        status.identity_hash.as_deref() == Some(hash) && holds(&status.conditions, types::JOB_COMPLETED)
    })
}

/// Why the Job for this identity failed, if it did: it used up its tries, and is not made again when it goes in time.
pub(super) fn failure(checkpoint: &DynamoCheckpoint, hash: &str) -> Option<String> {
    let status = checkpoint.status.as_ref().filter(|status| status.identity_hash.as_deref() == Some(hash))?;
    let failed = |c: &&Condition| c.type_ == types::JOB_COMPLETED && c.reason == reason::JOB_FAILED;
    let condition = status.conditions.iter().find(failed)?;
    let is_current = condition.observed_generation == checkpoint.metadata.generation;
    let why = condition.message.split_once(FAILED).map_or(condition.message.as_str(), |(_, why)| why);
    is_current.then(|| why.to_owned())
}

/// Whether there was a Job before.
pub(super) fn had_job(checkpoint: &DynamoCheckpoint) -> bool {
    checkpoint.status.as_ref().is_some_and(|status| holds(&status.conditions, types::JOB_CREATED))
}

fn holds(conditions: &[Condition], type_: &str) -> bool {
    conditions.iter().any(|condition| condition.type_ == type_ && condition.status == TRUE)
}

pub(super) async fn report(ctx: &Context, subject: Subject<'_>, outcome: Outcome<'_>) -> Result<(), Error> {
    let checkpoint = subject.checkpoint;
    let before = checkpoint.status.clone().unwrap_or_default();
    let after = compute(&before, subject, outcome, now());
    if after == before {
        return Ok(());
    }
    if after.phase != before.phase {
        let object = checkpoint.object_ref(&());
        match &after.phase {
            Some(CheckpointPhase::Ready) => ctx.tell(&object, "CheckpointReady", "Checkpoint is ready").await,
            Some(CheckpointPhase::Failed) => {
                ctx.warn(&object, "CheckpointFailed", after.message.as_deref().unwrap_or_default()).await;
            }
            _ => {}
        }
    }
    status::replace(&ctx.client, &ctx.caches.checkpoints, checkpoint, &after).await.map_err(Error::Status)
}

fn compute(
    before: &DynamoCheckpointStatus,
    Subject { checkpoint, hash, config }: Subject<'_>,
    outcome: Outcome<'_>,
    now: Time,
) -> DynamoCheckpointStatus {
    let mut after = before.clone();
    let job = job_name(&key_of(checkpoint).1);
    let generation = checkpoint.metadata.generation;
    after.identity_hash = Some(hash.to_owned());
    if !matches!(outcome, Outcome::Refused(_)) {
        after.job_name = Some(job.clone());
    }
    // A condition that holds no longer and has no opposite is taken out.
    let kept: &[&str] = match outcome {
        Outcome::Complete(_) => &[types::JOB_CREATED, types::JOB_COMPLETED, types::TAR_AVAILABLE],
        Outcome::Failed(_) => &[types::JOB_CREATED, types::JOB_COMPLETED],
        Outcome::Running | Outcome::Lost | Outcome::Refused(_) => &[types::JOB_CREATED],
    };
    after.conditions.retain(|condition| kept.contains(&condition.type_.as_str()));
    let mut set = |type_, status, reason, message: String| {
        let wanted = Wanted { type_, status, reason, message };
        conditions::set(&mut after.conditions, wanted, generation, now.clone());
    };
    let created = format!("Job {job} created");
    let (phase, message) = match outcome {
        Outcome::Running => {
            set(types::JOB_CREATED, TRUE, reason::JOB_CREATED, created);
            (CheckpointPhase::Creating, None)
        }
        Outcome::Complete(at) => {
            let place = after.location.get_or_insert_with(|| location(hash, config)).clone();
            after.storage_type.get_or_insert(CheckpointStorageType::Pvc);
            after.created_at.get_or_insert(at.unwrap_or_else(|| now.clone()));
            set(types::JOB_CREATED, TRUE, reason::JOB_CREATED, created);
            set(types::JOB_COMPLETED, TRUE, reason::JOB_SUCCEEDED, format!("Job {job} succeeded"));
            set(
                types::TAR_AVAILABLE,
                TRUE,
                reason::TAR_CREATED,
                format!("Checkpoint is available at {place}"),
            );
            (CheckpointPhase::Ready, None)
        }
        Outcome::Failed(why) => {
            let message = format!("Job {job}{FAILED}{why}");
            set(types::JOB_CREATED, TRUE, reason::JOB_CREATED, created);
            set(types::JOB_COMPLETED, FALSE, reason::JOB_FAILED, message.clone());
            (CheckpointPhase::Failed, Some(message))
        }
        Outcome::Lost => {
            let message = format!("Job {job} is gone before it succeeded; it is made again");
            set(types::JOB_CREATED, FALSE, reason::JOB_DELETED, message.clone());
            (CheckpointPhase::Pending, Some(message))
        }
        Outcome::Refused(why) => (CheckpointPhase::Pending, Some(why.to_owned())),
    };
    after.phase = Some(phase);
    after.message = message;
    after
}

#[cfg(test)]
mod tests {
    use dynamo_render::config::CheckpointStorage;
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    fn checkpoint() -> DynamoCheckpoint {
        let checkpoint = json!({
            "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoCheckpoint",
            "metadata": {"name": "warm", "namespace": "demo", "generation": 1},
            "spec": {},
        });
        serde_json::from_value(checkpoint).unwrap()
    }

    fn config(base_path: &str) -> CheckpointConfig {
        let text = String::new;
        CheckpointConfig {
            storage: CheckpointStorage::Pvc,
            signal_host_path: text(),
            pvc_name: text(),
            pvc_base_path: base_path.to_owned(),
            s3_uri: text(),
            s3_credentials_secret: text(),
            oci_uri: text(),
            oci_credentials_secret: text(),
            init_container_image: text(),
            ready_file: text(),
            restore_marker_file: text(),
        }
    }

    fn after(before: &DynamoCheckpointStatus, outcome: Outcome<'_>, second: i64) -> DynamoCheckpointStatus {
        let (checkpoint, config) = (checkpoint(), config("/checkpoints"));
        compute(before, Subject { checkpoint: &checkpoint, hash: "h", config: &config }, outcome, at(second))
    }

    /// Phase, and the conditions as `type=status reason`.
    fn seen(status: &DynamoCheckpointStatus) -> (Option<&str>, Vec<String>) {
        let conditions = status.conditions.iter();
        let conditions = conditions.map(|it| format!("{}={} {}", it.type_, it.status, it.reason)).collect();
        (status.phase.as_ref().map(CheckpointPhase::as_str), conditions)
    }

    #[test]
    fn a_checkpoint_gets_ready_and_stays_so_without_its_job() {
        let creating = after(&DynamoCheckpointStatus::default(), Outcome::Running, 1);
        assert_eq!(seen(&creating), (Some("Creating"), vec!["JobCreated=True JobCreated".to_owned()]));
        assert_eq!((creating.job_name.as_deref(), &creating.location), (Some("checkpoint-warm"), &None));
        let ready = after(&creating, Outcome::Complete(Some(at(5))), 9);
        let all =
            ["JobCreated=True JobCreated", "JobCompleted=True JobSucceeded", "TarAvailable=True TarCreated"];
        assert_eq!(seen(&ready), (Some("Ready"), all.map(ToOwned::to_owned).to_vec()));
        assert_eq!(
            (ready.location.as_deref(), &ready.storage_type, &ready.created_at),
            (Some("/checkpoints/h"), &Some(CheckpointStorageType::Pvc), &Some(at(5)))
        );
        assert_eq!(after(&ready, Outcome::Complete(None), 99), ready);
        let mut known = checkpoint();
        known.status = Some(ready);
        assert!(is_complete(&known, "h"));
        assert!(!is_complete(&known, "other"), "made of another identity");
    }

    #[test]
    fn a_place_on_record_is_not_moved_by_another_flag() {
        let ready = after(&DynamoCheckpointStatus::default(), Outcome::Complete(None), 1);
        let (checkpoint, config) = (checkpoint(), config("/elsewhere"));
        let subject = Subject { checkpoint: &checkpoint, hash: "h", config: &config };
        assert_eq!(compute(&ready, subject, Outcome::Complete(None), at(2)), ready);
    }

    #[test]
    fn a_failed_job_can_be_followed_by_one_that_succeeds() {
        let failed = after(&DynamoCheckpointStatus::default(), Outcome::Failed("OOM".to_owned()), 1);
        assert_eq!(seen(&failed).0, Some("Failed"));
        assert_eq!(seen(&failed).1, ["JobCreated=True JobCreated", "JobCompleted=False JobFailed"]);
        assert_eq!(failed.message.as_deref(), Some("Job checkpoint-warm failed: OOM"));
        let lost = after(&failed, Outcome::Lost, 2);
        assert_eq!(seen(&lost), (Some("Pending"), vec!["JobCreated=False JobDeleted".to_owned()]));
        let ready = after(&after(&lost, Outcome::Running, 3), Outcome::Complete(None), 4);
        assert_eq!((seen(&ready).0, &ready.message), (Some("Ready"), &None));
    }

    #[test]
    fn a_job_that_cannot_be_made_is_told() {
        let refused = after(&DynamoCheckpointStatus::default(), Outcome::Refused("quota"), 1);
        assert_eq!(seen(&refused), (Some("Pending"), vec![]));
        assert_eq!((refused.message.as_deref(), refused.job_name), (Some("quota"), None));
    }
}
