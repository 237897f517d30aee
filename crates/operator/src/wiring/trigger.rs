//! How a controller is woken: a queue of names that opens when the controller runs.
//! Nothing here knows what a change means.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use dynamo_kubekit::{
    Object,
    cache::{Cache, Roster, reference},
    metrics,
};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::runtime::reflector::ObjectRef;

pub(super) type Queue<K> = UnboundedReceiver<ObjectRef<Roster<K>>>;

/// Wakes a controller, once it runs: a replica that waits for leadership keeps no backlog, since the first thing a
/// leader does is to look at every object.
pub(crate) struct Trigger<K: Object> {
    queue: UnboundedSender<ObjectRef<Roster<K>>>,
    open: Arc<AtomicBool>,
    counted: metrics::Queue,
}

impl<K: Object> Clone for Trigger<K> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), open: Arc::clone(&self.open), counted: self.counted.clone() }
    }
}

impl<K: Object> Trigger<K> {
    pub(super) fn new(counted: metrics::Queue) -> (Self, Queue<K>) {
        let (queue, receiver) = unbounded();
        (Self { queue, open: Arc::default(), counted }, receiver)
    }

    pub(crate) fn send(&self, target: ObjectRef<Roster<K>>) {
        if self.open.load(Ordering::Acquire) {
            self.counted.added(target.namespace.as_deref().unwrap_or_default(), &target.name);
            // The other end is gone only while the process shuts down.
            let _ = self.queue.unbounded_send(target);
        }
    }

    /// Wakes everything that `cache` has in a namespace.
    pub(crate) fn send_namespace(&self, cache: &Cache<K>, namespace: &str) {
        for object in cache.in_namespace(namespace) {
            self.send(reference(&*object));
        }
    }

    /// From now on wake-ups count; everything that exists is woken once.
    pub(super) fn open(&self, cache: &Cache<K>) {
        self.open.store(true, Ordering::Release);
        self.send_all(cache);
    }

    /// Wakes everything.
    pub(crate) fn send_all(&self, cache: &Cache<K>) {
        for object in cache.all() {
            self.send(reference(&*object));
        }
    }
}
