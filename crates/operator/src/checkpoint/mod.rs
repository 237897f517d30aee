//! The controller of DynamoCheckpoints (`api.md` section 10): one Job each, which makes it. Five steps: dereference,
//! validate (the API server did), render, apply, status. While checkpoints are off nothing is done and nothing written.

mod apply;
mod dereference;
mod status;
mod users;

use std::{sync::Arc, time::Duration};

use dynamo_api::v1alpha1::DynamoCheckpoint;
use dynamo_kubekit::{
    apply::{ApplyError, Class},
    backoff::jittered,
    cache::Roster,
    client::chain,
    key_of,
};
use dynamo_render::checkpoint::identity_hash;
use kube::runtime::controller::Action;

pub(crate) use apply::ensure;
use dereference::JobState;
use status::{Outcome, Subject};
pub(crate) use users::wake_users;

use crate::{
    context::Context,
    failure::{Failure, RESYNC, is_reported, plan_retry},
    metrics::observe,
};

/// The kind: how this controller is named in metrics and log lines.
pub(crate) const CONTROLLER: &str = "DynamoCheckpoint";
/// How long the loss of a Job is shown before the next one is made.
const LOSS_SHOWN: Duration = Duration::from_secs(1);

/// Why a checkpoint could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("cannot report the status of the checkpoint")]
    Status(#[source] ApplyError),
}

impl Failure for Error {
    fn class(&self) -> Class {
        match self {
            Self::Apply(cause) | Self::Status(cause) => cause.class(),
        }
    }

    fn category(&self) -> &'static str {
        match self {
            Self::Apply(cause) | Self::Status(cause) => cause.category(),
        }
    }
}

/// One pass over one checkpoint.
///
/// # Errors
/// See [`Error`]; what a person should see is in the status already when it returns.
pub async fn reconcile(entry: Arc<Roster<DynamoCheckpoint>>, ctx: Arc<Context>) -> Result<Action, Error> {
    observe(&ctx.metrics, CONTROLLER, key_of(&*entry), pass(&entry, &ctx)).await
}

async fn pass(entry: &Roster<DynamoCheckpoint>, ctx: &Context) -> Result<Action, Error> {
    let (namespace, name) = key_of(entry);
    let Some(checkpoint) = ctx.caches.checkpoints.get(&namespace, &name) else {
        return Ok(Action::await_change());
    };
    let Some(config) = &ctx.config.checkpoint else { return Ok(Action::await_change()) };
    if checkpoint.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let hash = identity_hash(&checkpoint.spec.identity);
    let subject = Subject { checkpoint: &checkpoint, hash: &hash, config };
    match make(ctx, subject).await {
        Ok(outcome) => {
            let again = if matches!(outcome, Outcome::Lost) { LOSS_SHOWN } else { jittered(RESYNC) };
            status::report(ctx, subject, outcome).await?;
            ctx.failures.checkpoints.reset(&(namespace, name));
            Ok(Action::requeue(again))
        }
        Err(error) => {
            if is_reported(&ctx.failures.checkpoints, &(namespace, name), &error) {
                status::report(ctx, subject, Outcome::Refused(&chain(&error))).await?;
            }
            Err(error)
        }
    }
}

/// Sees to the label and the Job, and says where the checkpoint stands then.
async fn make<'a>(ctx: &Context, subject: Subject<'_>) -> Result<Outcome<'a>, Error> {
    let Subject { checkpoint, hash, config } = subject;
    apply::label(ctx, checkpoint, hash).await?;
    // The Job of one that is there goes in time; that it was made is what counts.
    if status::is_complete(checkpoint, hash) {
        return Ok(Outcome::Complete(None));
    }
    let job = dereference::job_state(ctx, checkpoint);
    if let (None, Some(why)) = (&job, status::failure(checkpoint, hash)) {
        return Ok(Outcome::Failed(why));
    }
    Ok(match job {
        Some(JobState::Running) => Outcome::Running,
        Some(JobState::Complete(at)) => Outcome::Complete(at),
        Some(JobState::Failed(why)) => Outcome::Failed(why),
        Some(JobState::Ending) => Outcome::Lost,
        None if status::had_job(checkpoint) => Outcome::Lost,
        None => {
            apply::make_job(ctx, checkpoint, config).await?;
            Outcome::Running
        }
    })
}

/// When to try again; called once per failed pass.
pub fn error_policy(entry: Arc<Roster<DynamoCheckpoint>>, error: &Error, ctx: Arc<Context>) -> Action {
    plan_retry(&ctx, &ctx.failures.checkpoints, CONTROLLER, &*entry, error)
}
