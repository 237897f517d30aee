//! What a failed pass leads to, alike for every controller: when it is reported and when it is tried again.
//! What the failure means is said by the error itself.

use std::time::Duration;

use dynamo_kubekit::{apply::Class, backoff::jittered, client::chain, key_of};
use kube::{Resource, runtime::controller::Action};
use tracing::{debug, warn};

use crate::context::{Context, FailureCounts};

/// A look without a trigger, against changes that a broken watch hid.
pub(crate) const RESYNC: Duration = Duration::from_secs(600);
/// When to look again at what this process may not write yet.
const NOT_YET: Duration = Duration::from_secs(5);
/// Failures in a row after which something that may pass by itself is reported all the same.
const PATIENCE: u32 = 3;

/// An error of a reconcile.
pub(crate) trait Failure: std::error::Error + 'static {
    /// What happens next.
    fn class(&self) -> Class;
    /// A short fixed word for metrics.
    fn category(&self) -> &'static str;
}

/// Whether a failure belongs into the status: at once when only a person can help, else when it lasts.
pub(crate) fn is_reported(counts: &FailureCounts, key: &(String, String), failure: &impl Failure) -> bool {
    if failure.class() == Class::NotOurs {
        return false;
    }
    // The present failure is counted after its report, when the next try is planned.
    failure.class() == Class::Invalid || counts.count(key) + 1 >= PATIENCE
}

/// Counts a failure, tells the log and the metrics of the queue, and plans the next try.
pub(crate) fn plan_retry<K: Resource>(
    ctx: &Context,
    counts: &FailureCounts,
    controller: &'static str,
    entry: &K,
    failure: &impl Failure,
) -> Action {
    let (namespace, name) = key_of(entry);
    if failure.class() == Class::NotOurs {
        debug!(controller, %namespace, %name, reason = %chain(failure), "left alone");
        // The end of a foreign claim wakes it; nothing tells that a claim or a leadership of our own is back.
        let again = if ctx.scope.passes_over(&namespace) { RESYNC } else { NOT_YET };
        return Action::requeue(jittered(again));
    }
    ctx.metrics.queue(controller).retried();
    let delay = counts.record((namespace.clone(), name.clone()));
    let error = chain(failure);
    if failure.class() == Class::Waiting {
        debug!(controller, %namespace, %name, reason = %error, "waits");
    } else {
        warn!(controller, %namespace, %name, %error, retry_in = ?delay, "not reconciled");
    }
    Action::requeue(delay)
}
