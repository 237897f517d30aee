//! A controller's place in the wiring: the objects it is for, what wakes it, and how it runs.
//! What a reconcile does is the controller's own business.

use std::sync::Arc;

use dynamo_kubekit::{
    Object,
    backoff::jittered,
    cache::{Cache, Change, Feed, Roster, reference},
    client::chain,
    key_of,
    metrics::{self, ReconcileMetrics},
};
use futures::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, ready},
};
use kube::runtime::{
    Config,
    controller::{self, Action},
    reflector::ObjectRef,
};
use tokio::sync::watch;
use tracing::{debug, error};

use super::trigger::{Queue, Trigger};
use crate::{
    context::{Context, FailureCounts},
    failure::RESYNC,
};

/// The place of the controller of `K`.
pub(super) struct Seat<K: Object> {
    name: &'static str,
    pub(super) cache: Cache<K>,
    pub(super) trigger: Trigger<K>,
    pub(super) failures: FailureCounts,
    queue: Queue<K>,
}

/// Wakes the objects of a controller.
pub(super) struct Waker<K: Object> {
    cache: Cache<K>,
    trigger: Trigger<K>,
}

impl<K: Object> Waker<K> {
    pub(super) fn wake_namespace(&self, namespace: &str) {
        self.trigger.send_namespace(&self.cache, namespace);
    }

    pub(super) fn wake_all(&self) {
        self.trigger.send_all(&self.cache);
    }
}

impl<K: Object> Seat<K> {
    /// A controller that is woken by any change of its own objects but of their status, and whose counts of failures
    /// end with their objects.
    pub(super) fn new(name: &'static str, feed: &mut Feed<K>, metrics: &ReconcileMetrics) -> Self {
        let (trigger, queue) = Trigger::new(metrics.queue(name));
        wake_itself(feed, &trigger);
        Self { name, cache: feed.cache(), trigger, failures: forget_at_end(feed), queue }
    }

    pub(super) fn waker(&self) -> Waker<K> {
        Waker { cache: self.cache.clone(), trigger: self.trigger.clone() }
    }

    /// Runs the controller until `stop` turns true; reconciles that run then are finished.
    pub(super) async fn run<E>(
        self,
        ctx: Arc<Context>,
        stop: watch::Receiver<bool>,
        reconcile: impl Fn(Arc<Roster<K>>, Arc<Context>) -> BoxFuture<'static, Result<Action, E>>,
        policy: impl Fn(Arc<Roster<K>>, &E, Arc<Context>) -> Action,
        concurrency: u16,
    ) where
        E: std::error::Error + Send + 'static,
    {
        let (name, roster) = (self.name, self.cache.roster());
        self.trigger.open(&self.cache);
        let queue = take_until(self.queue, stop).map(Ok::<_, std::convert::Infallible>);
        let config = Config::default().concurrency(concurrency);
        // Asked at each start, since what waits in the queue may have become somebody else's.
        let queued = ctx.metrics.queue(name);
        let waiting = queued.clone();
        let reconcile = move |entry: Arc<Roster<K>>, ctx: Arc<Context>| {
            let (namespace, object) = key_of(&*entry);
            if ctx.scope.passes_over(&namespace) {
                waiting.dropped(&namespace, &object);
                return ready(Ok(Action::requeue(jittered(RESYNC)))).boxed();
            }
            reconcile(entry, ctx)
        };
        ctx.metrics.limit(name, concurrency);
        let outcomes = kube::runtime::applier(reconcile, policy, ctx, roster, queue, config);
        drain(name, queued, outcomes).await;
    }
}

/// Wakes the controller of `K` on everything a user or another controller may change, and not on a new status.
fn wake_itself<K: Object>(feed: &mut Feed<K>, trigger: &Trigger<K>) {
    let trigger = trigger.clone();
    feed.on_change(move |change| {
        if let Change::Applied { now, before: Some(before) } = change
            && same_but_for_status(&**now, &**before)
        {
            return;
        }
        trigger.send(reference(&**change.object()));
    });
}

fn same_but_for_status<K: Object>(now: &K, before: &K) -> bool {
    let (a, b) = (now.meta(), before.meta());
    a.uid == b.uid
        && a.generation == b.generation
        && a.deletion_timestamp == b.deletion_timestamp
        && a.labels == b.labels
        && a.annotations == b.annotations
        && a.finalizers == b.finalizers
        && a.owner_references == b.owner_references
}

/// Failure counts that end with their object, so that a successor of the same name starts afresh.
fn forget_at_end<K: Object>(feed: &mut Feed<K>) -> FailureCounts {
    let failures = FailureCounts::default();
    let counts = Arc::clone(&failures);
    feed.on_change(move |change| {
        if let Change::Gone(last) = change {
            counts.reset(&key_of(&**last));
        }
    });
    failures
}

fn take_until<K: Object>(
    queue: Queue<K>,
    mut stop: watch::Receiver<bool>,
) -> impl Stream<Item = ObjectRef<Roster<K>>> {
    queue.take_until(async move {
        // An error means that the process is going away, which is a stop, too.
        let _ = stop.wait_for(|stop| *stop).await;
    })
}

async fn drain<K, E, Q>(
    controller: &'static str,
    queued: metrics::Queue,
    outcomes: impl Stream<Item = Result<(ObjectRef<Roster<K>>, Action), controller::Error<E, Q>>>,
) where
    K: Object,
    E: std::error::Error + 'static,
    Q: std::error::Error + 'static,
{
    let mut outcomes = std::pin::pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            // Failed reconciles are reported by the error policy, objects that are gone by nobody.
            Ok(_) | Err(controller::Error::ReconcilerFailed(..)) => {}
            Err(controller::Error::ObjectNotFound(gone)) => {
                queued.dropped(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                debug!(controller, %gone, "skipped, it is gone");
            }
            Err(other) => error!(controller, error = %chain(&other), "queue failed"),
        }
    }
}
