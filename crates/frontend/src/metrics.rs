//! The frontend's Prometheus metrics, names and buckets as in runtime.md 10.1.
//! Must only be given labels of known models, so that series stay bounded.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::buckets::{self, Range};

pub const DEFAULT_PREFIX: &str = "dynamo_frontend";

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ModelLabel {
    pub model: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    pub model: String,
    pub endpoint: String,
    pub request_type: String,
    pub status: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OperationLabel {
    pub operation: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct MigrationLabels {
    pub model: String,
    pub migration_type: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct WorkerLabels {
    pub worker_id: String,
    pub dp_rank: String,
    pub worker_type: String,
}

/// Makes histograms of one bucket list.
#[derive(Debug, Clone)]
pub struct Buckets(Vec<f64>);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

type Histograms<L> = Family<L, Histogram, Buckets>;
type FloatGauges<L> = Family<L, Gauge<f64, AtomicU64>>;

/// All metrics of one frontend.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub requests: Family<RequestLabels, Counter>,
    pub inflight_requests: Family<ModelLabel, Gauge>,
    pub queued_requests: Family<ModelLabel, Gauge>,
    pub disconnected_clients: Gauge,
    pub request_duration: Histograms<ModelLabel>,
    pub input_sequence_tokens: Histograms<ModelLabel>,
    pub output_sequence_tokens: Histograms<ModelLabel>,
    pub cached_tokens: Histograms<ModelLabel>,
    pub time_to_first_token: Histograms<ModelLabel>,
    pub inter_token_latency: Histograms<ModelLabel>,
    pub tokenizer_latency: Histograms<OperationLabel>,
    pub output_tokens: Family<ModelLabel, Counter>,
    pub model_total_kv_blocks: Family<ModelLabel, Gauge>,
    pub model_max_num_seqs: Family<ModelLabel, Gauge>,
    pub model_max_num_batched_tokens: Family<ModelLabel, Gauge>,
    pub model_context_length: Family<ModelLabel, Gauge>,
    pub model_kv_cache_block_size: Family<ModelLabel, Gauge>,
    pub model_migration_limit: Family<ModelLabel, Gauge>,
    pub model_migration: Family<MigrationLabels, Counter>,
    pub worker_last_time_to_first_token: FloatGauges<WorkerLabels>,
    pub worker_last_input_sequence_tokens: Family<WorkerLabels, Gauge>,
    pub worker_last_inter_token_latency: FloatGauges<WorkerLabels>,
}

fn histograms<L: Clone + std::hash::Hash + Eq>(buckets: Vec<f64>) -> Histograms<L> {
    Family::new_with_constructor(Buckets(buckets))
}

/// What was moved to another worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migration {
    /// A request that no worker had taken yet.
    New,
    /// A stream that had begun.
    Ongoing,
}

impl Metrics {
    /// Counts a request that has ended. Both outcomes get a series then: a counter that begins at one hides its first step
    /// from every rate.
    pub fn count_request(&self, model: &str, endpoint: &str, is_stream: bool, is_success: bool) {
        let labels = |status: &str| RequestLabels {
            model: model.to_owned(),
            endpoint: endpoint.to_owned(),
            request_type: if is_stream { "stream" } else { "unary" }.to_owned(),
            status: status.to_owned(),
        };
        let (counted, other) = if is_success { ("success", "error") } else { ("error", "success") };
        self.requests.get_or_create(&labels(counted)).inc();
        drop(self.requests.get_or_create(&labels(other)));
    }

    /// Counts requests of a model that went on to another worker. With zero it only begins both series of the model, as
    /// [`Self::count_request`] does.
    pub fn count_migrations(&self, model: &str, kind: Migration, times: u32) {
        for (each, text) in [(Migration::New, "new_request"), (Migration::Ongoing, "ongoing_request")] {
            let labels = MigrationLabels { model: model.to_owned(), migration_type: text.to_owned() };
            let times = if each == kind { u64::from(times) } else { 0 };
            self.model_migration.get_or_create(&labels).inc_by(times);
        }
    }

    /// Registers everything; `prefix` is made a legal metric name first.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let range = |range: Range| buckets::from_environment(&range);
        let input = range(buckets::INPUT_SEQUENCE);
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            inflight_requests: Family::default(),
            queued_requests: Family::default(),
            disconnected_clients: Gauge::default(),
            request_duration: histograms(range(buckets::REQUEST_DURATION)),
            input_sequence_tokens: histograms(input.clone()),
            output_sequence_tokens: histograms(range(buckets::OUTPUT_SEQUENCE)),
            cached_tokens: histograms(input),
            time_to_first_token: histograms(range(buckets::TTFT)),
            inter_token_latency: histograms(range(buckets::ITL)),
            tokenizer_latency: histograms(buckets::tokenizer_latency()),
            output_tokens: Family::default(),
            model_total_kv_blocks: Family::default(),
            model_max_num_seqs: Family::default(),
            model_max_num_batched_tokens: Family::default(),
            model_context_length: Family::default(),
            model_kv_cache_block_size: Family::default(),
            model_migration_limit: Family::default(),
            model_migration: Family::default(),
            worker_last_time_to_first_token: Family::default(),
            worker_last_input_sequence_tokens: Family::default(),
            worker_last_inter_token_latency: Family::default(),
        };
        metrics.registry = metrics.register(&sanitize(prefix));
        metrics
    }

    /// Counters are registered without `_total`, which the text format adds.
    fn register(&self, prefix: &str) -> Registry {
        let mut registry = Registry::default();
        {
            let own = registry.sub_registry_with_prefix(prefix);
            own.register("requests", "Requests by outcome", self.requests.clone());
            own.register("inflight_requests", "Requests in work", self.inflight_requests.clone());
            own.register(
                "queued_requests",
                "Requests before their first token",
                self.queued_requests.clone(),
            );
            own.register(
                "disconnected_clients",
                "Clients that left before their answer was complete",
                self.disconnected_clients.clone(),
            );
            own.register("request_duration_seconds", "Request duration", self.request_duration.clone());
            own.register("input_sequence_tokens", "Prompt tokens", self.input_sequence_tokens.clone());
            own.register("output_sequence_tokens", "Answer tokens", self.output_sequence_tokens.clone());
            own.register("cached_tokens", "Prompt tokens found in a cache", self.cached_tokens.clone());
            own.register(
                "time_to_first_token_seconds",
                "Time to first token",
                self.time_to_first_token.clone(),
            );
            own.register(
                "inter_token_latency_seconds",
                "Time between tokens",
                self.inter_token_latency.clone(),
            );
            own.register("tokenizer_latency_ms", "Tokenizer latency", self.tokenizer_latency.clone());
            own.register("output_tokens", "Answer tokens sent", self.output_tokens.clone());
            for (name, help, family) in [
                ("model_total_kv_blocks", "KV blocks of one worker", &self.model_total_kv_blocks),
                ("model_max_num_seqs", "Running requests of one worker", &self.model_max_num_seqs),
                ("model_max_num_batched_tokens", "Tokens in one batch", &self.model_max_num_batched_tokens),
                ("model_context_length", "Context length in tokens", &self.model_context_length),
                ("model_kv_cache_block_size", "Tokens in one KV block", &self.model_kv_cache_block_size),
                ("model_migration_limit", "Further tries of a broken stream", &self.model_migration_limit),
            ] {
                own.register(name, help, family.clone());
            }
            own.register("model_migration", "Requests moved to another worker", self.model_migration.clone());
        }
        let fixed = registry.sub_registry_with_prefix(DEFAULT_PREFIX);
        fixed.register(
            "worker_last_time_to_first_token_seconds",
            "Last time to first token of a worker",
            self.worker_last_time_to_first_token.clone(),
        );
        fixed.register(
            "worker_last_input_sequence_tokens",
            "Last prompt length of a worker",
            self.worker_last_input_sequence_tokens.clone(),
        );
        fixed.register(
            "worker_last_inter_token_latency_seconds",
            "Last time between tokens of a worker",
            self.worker_last_inter_token_latency.clone(),
        );
        registry
    }

    /// The text exposition; writing into a string cannot fail.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut output = String::new();
        if text::encode(&mut output, &self.registry).is_err() {
            tracing::error!("the metrics cannot be written");
        }
        output
    }
}

/// Characters that a metric name cannot hold become `_`; an empty prefix becomes the default.
#[must_use]
pub fn sanitize(prefix: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let text: String = prefix.trim().chars().map(legal).collect();
    match text.chars().next() {
        None => DEFAULT_PREFIX.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{text}"),
        Some(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(model: &str) -> ModelLabel {
        ModelLabel { model: model.to_owned() }
    }

    #[test]
    fn every_metric_has_the_name_that_dashboards_and_the_planner_read() {
        let metrics = Metrics::new(DEFAULT_PREFIX);
        let model = label("m");
        metrics.count_request("m", "chat_completions", true, true);
        metrics.time_to_first_token.get_or_create(&model).observe(0.2);
        metrics.output_tokens.get_or_create(&model).inc_by(3);
        metrics.count_migrations("m", Migration::New, 1);
        let text = metrics.encode();
        for line in [
            "dynamo_frontend_requests_total{model=\"m\",endpoint=\"chat_completions\",request_type=\"stream\",status=\"success\"} 1",
            "dynamo_frontend_requests_total{model=\"m\",endpoint=\"chat_completions\",request_type=\"stream\",status=\"error\"} 0",
            "dynamo_frontend_model_migration_total{model=\"m\",migration_type=\"ongoing_request\"} 0",
            "dynamo_frontend_disconnected_clients 0",
            "dynamo_frontend_time_to_first_token_seconds_bucket{le=\"0.0\",model=\"m\"} 0",
            "dynamo_frontend_time_to_first_token_seconds_bucket{le=\"480.0\",model=\"m\"} 1",
            "dynamo_frontend_time_to_first_token_seconds_count{model=\"m\"} 1",
            "dynamo_frontend_output_tokens_total{model=\"m\"} 3",
            "dynamo_frontend_model_migration_total{model=\"m\",migration_type=\"new_request\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn the_prefix_moves_request_metrics_and_not_worker_metrics() {
        let metrics = Metrics::new("my-prefix");
        let worker =
            WorkerLabels { worker_id: "1".into(), dp_rank: "0".into(), worker_type: "decode".into() };
        metrics.worker_last_input_sequence_tokens.get_or_create(&worker).set(3);
        let text = metrics.encode();
        assert!(text.contains("my_prefix_disconnected_clients 0"), "{text}");
        assert!(text.contains("dynamo_frontend_worker_last_input_sequence_tokens{"), "{text}");
        assert_eq!(sanitize("9a b"), "_9a_b");
        assert_eq!(sanitize(" "), DEFAULT_PREFIX);
    }
}
