//! Metrics of a serving process: the shared registry and the component metrics (runtime.md 10.2).
//! It must not serve HTTP (see `system`) and never labels with free text.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::endpoint::EndpointId;

/// Content type of [`MetricsRegistry::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The registry of the process; clones are the same registry.
#[derive(Clone, Debug, Default)]
pub struct MetricsRegistry {
    registry: Arc<Mutex<Registry>>,
}

impl MetricsRegistry {
    /// Registers metrics under the registry's lock.
    pub fn with<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All metrics as text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let outcome = self.with(|registry| prometheus_client::encoding::text::encode(&mut text, registry));
        if let Err(error) = outcome {
            tracing::error!("metrics cannot be written: {error}");
        }
        text
    }
}

/// Why a request failed on the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    Deserialization,
    InvalidMessage,
    ResponseStream,
    Generate,
    PublishResponse,
    PublishFinal,
}

impl ErrorType {
    const ALL: [Self; 6] = [
        Self::Deserialization,
        Self::InvalidMessage,
        Self::ResponseStream,
        Self::Generate,
        Self::PublishResponse,
        Self::PublishFinal,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Deserialization => "deserialization",
            Self::InvalidMessage => "invalid_message",
            Self::ResponseStream => "response_stream",
            Self::Generate => "generate",
            Self::PublishResponse => "publish_response",
            Self::PublishFinal => "publish_final",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    error_type: &'static str,
}

/// Request metrics of one endpoint.
#[derive(Clone, Debug)]
pub struct ComponentMetrics {
    pub(crate) requests: Counter,
    pub(crate) duration: Histogram,
    pub(crate) inflight: Gauge,
    pub(crate) request_bytes: Counter,
    pub(crate) response_bytes: Counter,
    errors: Family<ErrorLabels, Counter>,
}

impl ComponentMetrics {
    /// Registers the metrics of 10.2 with the labels namespace, component, endpoint and, when given,
    /// model.
    pub fn register(metrics: &MetricsRegistry, id: &EndpointId, model: Option<&str>) -> Self {
        let created = Self {
            requests: Counter::default(),
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 18)),
            inflight: Gauge::default(),
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            errors: Family::default(),
        };
        // A counter that begins at one hides its first step from every rate.
        for error in ErrorType::ALL {
            drop(created.errors.get_or_create(&ErrorLabels { error_type: error.label() }));
        }
        metrics.with(|root| {
            let mut labels = vec![
                ("dynamo_namespace".into(), id.namespace.clone().into()),
                ("dynamo_component".into(), id.component.clone().into()),
                ("dynamo_endpoint".into(), id.endpoint.clone().into()),
            ];
            labels.extend(model.map(|model| ("model".into(), model.to_owned().into())));
            let registry = root
                .sub_registry_with_prefix("dynamo_component")
                .sub_registry_with_labels(labels.into_iter());
            registry.register("requests", "Requests accepted", created.requests.clone());
            registry.register_with_unit(
                "request_duration",
                "Time from acceptance to the end of the answer",
                Unit::Seconds,
                created.duration.clone(),
            );
            registry.register("inflight_requests", "Requests being answered", created.inflight.clone());
            registry.register("request_bytes", "Bytes of requests received", created.request_bytes.clone());
            registry.register("response_bytes", "Bytes of answers sent", created.response_bytes.clone());
            registry.register("errors", "Requests that failed, by reason", created.errors.clone());
            registry.register_collector(Box::new(Uptime { start: Instant::now() }));
        });
        created
    }

    /// Counts a failure.
    pub fn error(&self, error: ErrorType) {
        self.errors.get_or_create(&ErrorLabels { error_type: error.label() }).inc();
    }

    /// Counts a request and its time until the guard is dropped.
    pub(crate) fn begin(&self, bytes: usize) -> RequestGuard {
        self.requests.inc();
        self.inflight.inc();
        self.request_bytes.inc_by(bytes as u64);
        RequestGuard { metrics: self.clone(), start: Instant::now() }
    }
}

pub(crate) struct RequestGuard {
    metrics: ComponentMetrics,
    start: Instant,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.metrics.inflight.dec();
        self.metrics.duration.observe(self.start.elapsed().as_secs_f64());
    }
}

#[derive(Debug)]
struct Uptime {
    start: Instant,
}

impl Collector for Uptime {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let elapsed: Duration = self.start.elapsed();
        let gauge = ConstGauge::<f64>::new(elapsed.as_secs_f64());
        let metric = encoder.encode_descriptor(
            "uptime",
            "Time since the endpoint was registered",
            Some(&Unit::Seconds),
            prometheus_client::metrics::MetricType::Gauge,
        )?;
        gauge.encode(metric)
    }
}

/// A floating-point gauge.
pub type FloatGauge = Gauge<f64, AtomicU64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names_and_labels_are_those_of_the_contract() {
        let registry = MetricsRegistry::default();
        let id = EndpointId::new("ns", "backend", "generate");
        let metrics = ComponentMetrics::register(&registry, &id, Some("m"));
        drop(metrics.begin(10));
        metrics.error(ErrorType::Generate);
        let text = registry.encode();
        let labels =
            r#"dynamo_namespace="ns",dynamo_component="backend",dynamo_endpoint="generate",model="m""#;
        for line in [
            format!("dynamo_component_requests_total{{{labels}}} 1"),
            format!("dynamo_component_inflight_requests{{{labels}}} 0"),
            format!("dynamo_component_request_duration_seconds_count{{{labels}}} 1"),
            format!("dynamo_component_request_bytes_total{{{labels}}} 10"),
            format!("dynamo_component_response_bytes_total{{{labels}}} 0"),
            format!("dynamo_component_uptime_seconds{{{labels}}} "),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        for (error, count) in [("generate", 1), ("publish_response", 0)] {
            let line = format!("dynamo_component_errors_total{{{labels},error_type=\"{error}\"}} {count}");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
