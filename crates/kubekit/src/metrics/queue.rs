//! The work queue of one controller, seen from its two ends: what woke it and what it started.
//! It counts only; the queue itself is that of kube-rs, which merges triggers of one object as this does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram},
    registry::Registry,
};

type Key = (String, String);
type Histograms = Family<QueueLabels, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabels {
    name: &'static str,
    controller: &'static str,
}

/// Work queues of all controllers.
#[derive(Debug, Clone, Default)]
pub(super) struct QueueMetrics {
    families: Families,
    queues: Arc<Mutex<Vec<Queue>>>,
}

#[derive(Debug, Clone)]
struct Families {
    adds: Family<QueueLabels, Counter>,
    retries: Family<QueueLabels, Counter>,
    waited: Histograms,
    worked: Histograms,
}

impl Default for Families {
    fn default() -> Self {
        let buckets: fn() -> Histogram = || Histogram::new((-8..4).map(|power| 10_f64.powi(power)));
        Self {
            adds: Family::default(),
            retries: Family::default(),
            waited: Family::new_with_constructor(buckets),
            worked: Family::new_with_constructor(buckets),
        }
    }
}

impl QueueMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let Families { adds, retries, waited, worked } = &self.families;
        registry.register("workqueue_adds", "Objects put into the queue", adds.clone());
        registry.register("workqueue_retries", "Objects put back after a failure", retries.clone());
        registry.register(
            "workqueue_queue_duration_seconds",
            "Seconds from the trigger to the start of its reconcile",
            waited.clone(),
        );
        registry.register(
            "workqueue_work_duration_seconds",
            "Seconds that work on one object of the queue took",
            worked.clone(),
        );
        registry.register_collector(Box::new(Present { queues: Arc::clone(&self.queues) }));
    }

    /// The queue of `controller`, made at the first call.
    pub(super) fn queue(&self, controller: &'static str) -> Queue {
        let mut queues = lock(&self.queues);
        if let Some(known) = queues.iter().find(|queue| queue.labels.controller == controller) {
            return known.clone();
        }
        let labels = QueueLabels { name: controller, controller };
        let queue = Queue { labels, state: Arc::default(), families: self.families.clone() };
        // Families show a controller from its start, not from its first failure.
        for family in [&self.families.adds, &self.families.retries] {
            drop(family.get_or_create(&queue.labels));
        }
        queues.push(queue.clone());
        queue
    }
}

#[derive(Debug, Default)]
struct State {
    /// Since when an object waits; triggers while it waits change nothing.
    waiting: HashMap<Key, Instant>,
    running: HashMap<Key, Instant>,
}

/// What one controller's queue holds and what runs.
#[derive(Debug, Clone)]
pub struct Queue {
    labels: QueueLabels,
    state: Arc<Mutex<State>>,
    families: Families,
}

impl Queue {
    /// An object was woken.
    pub fn added(&self, namespace: &str, name: &str) {
        let mut state = lock(&self.state);
        if let std::collections::hash_map::Entry::Vacant(entry) =
            state.waiting.entry((namespace.to_owned(), name.to_owned()))
        {
            entry.insert(Instant::now());
            self.families.adds.get_or_create(&self.labels).inc();
        }
    }

    /// An object was woken that is gone by now.
    pub fn dropped(&self, namespace: &str, name: &str) {
        lock(&self.state).waiting.remove(&(namespace.to_owned(), name.to_owned()));
    }

    pub(super) fn started(&self, key: &Key) {
        let mut state = lock(&self.state);
        let waited = state.waiting.remove(key);
        state.running.insert(key.clone(), Instant::now());
        drop(state);
        match waited {
            Some(since) => {
                self.families.waited.get_or_create(&self.labels).observe(since.elapsed().as_secs_f64());
            }
            // Woken by the clock, which is not seen here before.
            None => drop(self.families.adds.get_or_create(&self.labels).inc()),
        }
    }

    pub(super) fn ended(&self, key: &Key) {
        if let Some(since) = lock(&self.state).running.remove(key) {
            self.families.worked.get_or_create(&self.labels).observe(since.elapsed().as_secs_f64());
        }
    }

    /// An object was put back after a pass that did not succeed.
    pub fn retried(&self) {
        self.families.retries.get_or_create(&self.labels).inc();
    }
}

/// What is true at the moment of a scrape.
#[derive(Debug)]
struct Present {
    queues: Arc<Mutex<Vec<Queue>>>,
}

impl Collector for Present {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let queues = lock(&self.queues).clone();
        let mut gauge = |name: &str, help: &str, value: fn(&State) -> f64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for queue in &queues {
                let value = value(&lock(&queue.state));
                ConstGauge::new(value).encode(family.encode_family(&queue.labels)?)?;
            }
            Ok(())
        };
        gauge("workqueue_depth", "Objects that wait for their reconcile.", |state| {
            state.waiting.len() as f64
        })?;
        gauge(
            "workqueue_unfinished_work_seconds",
            "Seconds that running reconciles took so far, summed.",
            |state| state.running.values().map(Instant::elapsed).sum::<Duration>().as_secs_f64(),
        )?;
        gauge(
            "workqueue_longest_running_processor_seconds",
            "Seconds that the longest running reconcile took so far.",
            |state| state.running.values().map(Instant::elapsed).max().unwrap_or_default().as_secs_f64(),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
