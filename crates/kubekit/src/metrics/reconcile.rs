//! Reconciles: how many, how long, how they ended, under the names of the platform and of the Go libraries.
//! An attempt counts itself, also when it ends early or panics.

use std::time::Instant;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::queue::{Queue, QueueMetrics};

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    resource_type: &'static str,
    namespace: String,
    result: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorLabels {
    resource_type: &'static str,
    namespace: String,
    error_type: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ControllerResultLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ApplyLabels {
    kind: String,
    outcome: &'static str,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Success,
    /// Another try soon, for nothing that a person should look at.
    Requeue,
    /// A failure, by the class of its cause (`operator-process.md` section 11): one of a fixed set of words.
    Error(&'static str),
}

impl Verdict {
    fn result(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Requeue => "requeue",
            Self::Error(_) => "error",
        }
    }
}

/// Reconciles and what they did.
#[derive(Debug, Clone)]
pub struct ReconcileMetrics {
    duration: Histograms<ResultLabels>,
    total: Family<ResultLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    applies: Family<ApplyLabels, Counter>,
    controller_total: Family<ControllerResultLabels, Counter>,
    controller_errors: Family<ControllerLabels, Counter>,
    controller_panics: Family<ControllerLabels, Counter>,
    controller_seconds: Histograms<ControllerLabels>,
    controller_limit: Family<ControllerLabels, Gauge>,
    controller_active: Family<ControllerLabels, Gauge>,
    queues: QueueMetrics,
}

const DURATION_BUCKETS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

const CONTROLLER_BUCKETS: [f64; 40] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25,
    1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0,
    50.0, 60.0,
];

impl Default for ReconcileMetrics {
    fn default() -> Self {
        Self {
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            total: Family::default(),
            errors: Family::default(),
            applies: Family::default(),
            controller_total: Family::default(),
            controller_errors: Family::default(),
            controller_panics: Family::default(),
            controller_seconds: Family::new_with_constructor(|| Histogram::new(CONTROLLER_BUCKETS)),
            controller_limit: Family::default(),
            controller_active: Family::default(),
            queues: QueueMetrics::default(),
        }
    }
}

impl ReconcileMetrics {
    /// Adds the families to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        // Destructured so that a new family cannot be forgotten here.
        let Self {
            duration,
            total,
            errors,
            applies,
            controller_total,
            controller_errors,
            controller_panics,
            controller_seconds,
            controller_limit,
            controller_active,
            queues,
        } = self;
        registry.register(
            "dynamo_operator_reconcile_duration_seconds",
            "Seconds of a reconcile by kind, namespace and result",
            duration.clone(),
        );
        registry.register(
            "dynamo_operator_reconcile",
            "Reconciles by kind, namespace and result: success, requeue (only waited for something) or error",
            total.clone(),
        );
        registry.register(
            "dynamo_operator_reconcile_errors",
            "Failed reconciles by kind, namespace and class of the cause, that of the answer of the API server or one of ours",
            errors.clone(),
        );
        registry.register(
            "dynamo_operator_applied_objects",
            "Objects looked at by apply and prune, by kind and outcome: created, updated, unchanged (no request), deleted",
            applies.clone(),
        );
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles by controller and result",
            controller_total.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Failed reconciles by controller",
            controller_errors.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_panics",
            "Reconciles that panicked, by controller",
            controller_panics.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "Seconds of a reconcile by controller",
            controller_seconds.clone(),
        );
        registry.register(
            "controller_runtime_max_concurrent_reconciles",
            "Reconciles that may run at once, by controller",
            controller_limit.clone(),
        );
        registry.register(
            "controller_runtime_active_workers",
            "Reconciles that run now, by controller",
            controller_active.clone(),
        );
        queues.register(registry);
    }

    /// Tells how many reconciles of `controller` may run at once.
    pub fn limit(&self, controller: &'static str, limit: u16) {
        self.controller_limit.get_or_create(&ControllerLabels { controller }).set(limit.into());
    }

    /// The work queue of `controller`, to tell of its triggers.
    #[must_use]
    pub fn queue(&self, controller: &'static str) -> Queue {
        self.queues.queue(controller)
    }

    /// A reconcile of that object begins. `controller` is the kind.
    #[must_use]
    pub fn start(&self, controller: &'static str, key: (String, String)) -> Attempt {
        let queue = self.queues.queue(controller);
        queue.started(&key);
        self.controller_active.get_or_create(&ControllerLabels { controller }).inc();
        Attempt { metrics: self.clone(), controller, key, queue, start: Instant::now() }
    }

    /// Counts an object that was looked at by apply or prune.
    pub fn applied(&self, kind: &str, outcome: &'static str) {
        self.applies.get_or_create(&ApplyLabels { kind: kind.to_owned(), outcome }).inc();
    }
}

/// A reconcile that runs.
#[derive(Debug)]
pub struct Attempt {
    metrics: ReconcileMetrics,
    controller: &'static str,
    key: (String, String),
    queue: Queue,
    start: Instant,
}

impl Attempt {
    /// Counts the end. One that is dropped without it counts as a panic, or not at all at the end of the process.
    pub fn end(self, verdict: Verdict) {
        let controller = self.controller;
        let seconds = self.start.elapsed().as_secs_f64();
        let labels = ResultLabels {
            resource_type: controller,
            namespace: self.key.0.clone(),
            result: verdict.result(),
        };
        let metrics = &self.metrics;
        metrics.duration.get_or_create(&labels).observe(seconds);
        metrics.total.get_or_create(&labels).inc();
        metrics.controller_seconds.get_or_create(&ControllerLabels { controller }).observe(seconds);
        let result = verdict.result();
        metrics.controller_total.get_or_create(&ControllerResultLabels { controller, result }).inc();
        if let Verdict::Error(error_type) = verdict {
            let namespace = labels.namespace;
            metrics
                .errors
                .get_or_create(&ErrorLabels { resource_type: controller, namespace, error_type })
                .inc();
            metrics.controller_errors.get_or_create(&ControllerLabels { controller }).inc();
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let labels = ControllerLabels { controller: self.controller };
        self.metrics.controller_active.get_or_create(&labels).dec();
        self.queue.ended(&self.key);
        if std::thread::panicking() {
            self.metrics.controller_panics.get_or_create(&labels).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &ReconcileMetrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    fn key() -> (String, String) {
        ("ns".to_owned(), "name".to_owned())
    }

    #[track_caller]
    fn assert_lines(metrics: &ReconcileMetrics, lines: &[&str]) {
        let text = text(metrics);
        for line in lines {
            assert!(text.lines().any(|have| have == *line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn every_end_of_an_attempt_is_counted_under_the_names_of_both_libraries() {
        let metrics = ReconcileMetrics::default();
        metrics.start("Kind", key()).end(Verdict::Success);
        metrics.start("Kind", key()).end(Verdict::Requeue);
        metrics.start("Kind", key()).end(Verdict::Error("conflict"));
        metrics.limit("Kind", 8);
        metrics.queue("Kind").retried();
        let of = r#"resource_type="Kind",namespace="ns""#;
        assert_lines(
            &metrics,
            &[
                &format!(r#"dynamo_operator_reconcile_total{{{of},result="success"}} 1"#),
                &format!(r#"dynamo_operator_reconcile_total{{{of},result="requeue"}} 1"#),
                &format!(r#"dynamo_operator_reconcile_total{{{of},result="error"}} 1"#),
                &format!(r#"dynamo_operator_reconcile_errors_total{{{of},error_type="conflict"}} 1"#),
                &format!(r#"dynamo_operator_reconcile_duration_seconds_count{{{of},result="error"}} 1"#),
                r#"controller_runtime_reconcile_total{controller="Kind",result="requeue"} 1"#,
                r#"controller_runtime_reconcile_errors_total{controller="Kind"} 1"#,
                r#"controller_runtime_reconcile_time_seconds_count{controller="Kind"} 3"#,
                r#"controller_runtime_active_workers{controller="Kind"} 0"#,
                r#"controller_runtime_max_concurrent_reconciles{controller="Kind"} 8"#,
                r#"workqueue_retries_total{name="Kind",controller="Kind"} 1"#,
                r#"workqueue_work_duration_seconds_count{name="Kind",controller="Kind"} 3"#,
            ],
        );
    }

    #[test]
    fn buckets_are_those_of_the_contract() {
        let metrics = ReconcileMetrics::default();
        metrics.start("Kind", key()).end(Verdict::Success);
        let text = text(&metrics);
        let bounds = |name: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.starts_with(&format!("{name}_bucket")));
            lines.filter_map(|line| Some(line.split_once("le=\"")?.1.split_once('"')?.0.to_owned())).collect()
        };
        assert_eq!(
            bounds("dynamo_operator_reconcile_duration_seconds"),
            [
                "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0",
                "60.0", "+Inf"
            ]
        );
        assert_eq!(bounds("controller_runtime_reconcile_time_seconds").len(), 41);
        assert_eq!(bounds("workqueue_work_duration_seconds").len(), 13);
    }

    #[test]
    fn triggers_of_an_object_that_waits_count_once_and_its_start_measures_from_the_first() {
        let metrics = ReconcileMetrics::default();
        let queue = metrics.queue("Kind");
        queue.added("ns", "name");
        queue.added("ns", "name");
        queue.added("ns", "gone");
        assert_lines(
            &metrics,
            &[
                r#"workqueue_depth{name="Kind",controller="Kind"} 2.0"#,
                r#"workqueue_adds_total{name="Kind",controller="Kind"} 2"#,
            ],
        );
        queue.dropped("ns", "gone");
        let attempt = metrics.start("Kind", key());
        let during = text(&metrics);
        let longest =
            during.lines().find(|line| line.starts_with("workqueue_longest_running_processor_seconds{"));
        assert!(longest.is_some_and(|line| !line.ends_with(" 0.0")), "{during}");
        attempt.end(Verdict::Success);
        // The next one is woken by the clock: nobody knows since when it waited.
        metrics.start("Kind", key()).end(Verdict::Success);
        assert_lines(
            &metrics,
            &[
                r#"workqueue_depth{name="Kind",controller="Kind"} 0.0"#,
                r#"workqueue_adds_total{name="Kind",controller="Kind"} 3"#,
                r#"workqueue_queue_duration_seconds_count{name="Kind",controller="Kind"} 1"#,
                r#"workqueue_unfinished_work_seconds{name="Kind",controller="Kind"} 0.0"#,
            ],
        );
    }

    #[test]
    fn a_reconcile_that_panics_is_counted_and_runs_no_more() {
        let metrics = ReconcileMetrics::default();
        let copy = metrics.clone();
        let outcome = std::thread::spawn(move || {
            let _attempt = copy.start("Kind", key());
            panic!("on purpose");
        })
        .join();
        assert!(outcome.is_err());
        assert_lines(
            &metrics,
            &[
                r#"controller_runtime_reconcile_panics_total{controller="Kind"} 1"#,
                r#"controller_runtime_active_workers{controller="Kind"} 0"#,
            ],
        );
    }
}
