//! Counters of what the process asks of the API server and of what its reconciles do.
//! Labels are fixed sets: verbs, resources, kinds and categories, never names or messages.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    pub verb: &'static str,
    pub resource: String,
    /// HTTP status, 0 when no answer came.
    pub code: u16,
}

/// Requests to the API server.
#[derive(Debug, Default)]
pub struct ApiMetrics {
    requests: Family<RequestLabels, Counter>,
}

impl ApiMetrics {
    /// Adds the family to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "dynamo_operator_api_requests",
            "Requests to the Kubernetes API by verb, resource and HTTP status",
            self.requests.clone(),
        );
    }

    pub(crate) fn count(&self, verb: &'static str, resource: String, code: u16) {
        self.requests.get_or_create(&RequestLabels { verb, resource, code }).inc();
    }
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ControllerLabels {
    pub controller: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct FailureLabels {
    pub controller: &'static str,
    /// Category of the error, one of a fixed set.
    pub category: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ApplyLabels {
    pub kind: String,
    /// `created`, `updated`, `unchanged` or `deleted`.
    pub outcome: &'static str,
}

/// Reconciles and what they did.
#[derive(Debug, Clone)]
pub struct ReconcileMetrics {
    pub runs: Family<ControllerLabels, Counter>,
    pub failures: Family<FailureLabels, Counter>,
    pub duration: Family<ControllerLabels, Histogram>,
    pub applies: Family<ApplyLabels, Counter>,
    pub active: Family<ControllerLabels, Gauge>,
}

impl Default for ReconcileMetrics {
    fn default() -> Self {
        let buckets = || Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0]);
        Self {
            runs: Family::default(),
            failures: Family::default(),
            duration: Family::new_with_constructor(buckets),
            applies: Family::default(),
            active: Family::default(),
        }
    }
}

impl ReconcileMetrics {
    /// Adds the families to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("dynamo_operator_reconciles", "Reconciles by controller", self.runs.clone());
        registry.register(
            "dynamo_operator_reconcile_failures",
            "Failed reconciles by controller and category of the error",
            self.failures.clone(),
        );
        registry.register(
            "dynamo_operator_reconcile_duration_seconds",
            "Duration of a reconcile in seconds",
            self.duration.clone(),
        );
        registry.register(
            "dynamo_operator_applied_objects",
            "Objects looked at by apply and prune, by kind and outcome",
            self.applies.clone(),
        );
        registry.register(
            "dynamo_operator_reconciles_active",
            "Reconciles that run now",
            self.active.clone(),
        );
    }

    pub(crate) fn applied(&self, kind: &str, outcome: &'static str) {
        self.applies.get_or_create(&ApplyLabels { kind: kind.to_owned(), outcome }).inc();
    }
}

/// Counts a reconcile and its duration when dropped, also after an early return.
#[derive(Debug)]
pub struct Run {
    metrics: ReconcileMetrics,
    labels: ControllerLabels,
    start: std::time::Instant,
}

impl Run {
    #[must_use]
    pub fn start(metrics: &ReconcileMetrics, controller: &'static str) -> Self {
        let labels = ControllerLabels { controller };
        metrics.runs.get_or_create(&labels).inc();
        metrics.active.get_or_create(&labels).inc();
        Self { metrics: metrics.clone(), labels, start: std::time::Instant::now() }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.metrics.active.get_or_create(&self.labels).dec();
        self.metrics.duration.get_or_create(&self.labels).observe(self.start.elapsed().as_secs_f64());
    }
}
