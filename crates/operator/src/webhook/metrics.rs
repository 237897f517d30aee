//! What the admission server counts (`operator-process.md` section 11).
//! Labels are fixed sets: kinds, operations and classes, never names or messages.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

const BUCKETS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ReviewLabels {
    pub resource_type: &'static str,
    pub operation: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ResultLabels {
    pub resource_type: &'static str,
    pub operation: &'static str,
    /// `allowed` or `denied`.
    pub result: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct DenialLabels {
    pub resource_type: &'static str,
    pub operation: &'static str,
    /// `required`, `invalid`, `immutable`, `forbidden` or `bad_request`.
    pub reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RefusalLabels {
    /// One of [`CAUSES`].
    pub cause: &'static str,
}

/// Why a request may get no review.
const CAUSES: [&str; 4] = ["overload", "too_large", "deadline", "unreadable"];

/// Counters of the admission server. Clones count together.
#[derive(Debug, Clone)]
pub struct WebhookMetrics {
    pub(super) duration: Family<ReviewLabels, Histogram>,
    pub(super) requests: Family<ResultLabels, Counter>,
    pub(super) denials: Family<DenialLabels, Counter>,
    pub(super) refusals: Family<RefusalLabels, Counter>,
    pub(super) in_flight: Gauge,
    pub(super) panics: Counter,
}

impl Default for WebhookMetrics {
    fn default() -> Self {
        let refusals = Family::<RefusalLabels, Counter>::default();
        // A counter that begins at one hides its first step from every rate.
        for cause in CAUSES {
            drop(refusals.get_or_create(&RefusalLabels { cause }));
        }
        Self {
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            requests: Family::default(),
            denials: Family::default(),
            refusals,
            in_flight: Gauge::default(),
            panics: Counter::default(),
        }
    }
}

impl WebhookMetrics {
    /// Adds the families to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "dynamo_operator_webhook_duration_seconds",
            "Time a validating review took, its body included, by kind and operation",
            self.duration.clone(),
        );
        registry.register(
            "dynamo_operator_webhook_requests",
            "Validating reviews by kind, operation and result",
            self.requests.clone(),
        );
        registry.register(
            "dynamo_operator_webhook_denials",
            "Denied validating reviews by kind, operation and class of the first broken rule",
            self.denials.clone(),
        );
        registry.register(
            "dynamo_operator_webhook_refused",
            "Requests answered with an HTTP error instead of a review, by cause",
            self.refusals.clone(),
        );
        registry.register(
            "dynamo_operator_webhook_in_flight",
            "Reviews that are read or judged now",
            self.in_flight.clone(),
        );
        registry.register(
            "dynamo_operator_webhook_panics",
            "Reviews that ended in a defect of the operator",
            self.panics.clone(),
        );
    }

    pub(super) fn refuse(&self, cause: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { cause }).inc();
    }
}
