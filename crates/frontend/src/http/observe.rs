//! What the metrics learn about one request, from its arrival to its end (runtime.md 10.1).
//! Must count every request once, also one whose client leaves: the end is recorded on drop.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::metrics::{Metrics, ModelLabel, WorkerLabels};
use crate::pipeline::generate::{Delta, WorkerIds};

/// Follows one request. Dropped before `finish`, it counts a client that left.
#[derive(Debug)]
pub struct Observation {
    metrics: Arc<Metrics>,
    label: ModelLabel,
    endpoint: &'static str,
    streamed: bool,
    arrived: Instant,
    arrived_ms: u64,
    first_token: Option<Instant>,
    last_token: Instant,
    prompt_tokens: usize,
    answer_tokens: u64,
    cached: Option<u64>,
    outcome: Option<bool>,
}

/// Durations for `nvext.timing`.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub received_ms: u64,
    pub ttft: Option<Duration>,
    pub total: Duration,
}

impl Observation {
    /// `model` must be the name of a known model.
    #[must_use]
    pub fn start(metrics: &Arc<Metrics>, model: &str, endpoint: &'static str, streamed: bool) -> Self {
        let label = ModelLabel { model: model.to_lowercase() };
        metrics.inflight_requests.get_or_create(&label).inc();
        metrics.queued_requests.get_or_create(&label).inc();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Instant::now();
        Self {
            metrics: metrics.clone(),
            label,
            endpoint,
            streamed,
            arrived: now,
            arrived_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            first_token: None,
            last_token: now,
            prompt_tokens: 0,
            answer_tokens: 0,
            cached: None,
            outcome: None,
        }
    }

    pub fn prompt(&mut self, tokens: usize) {
        self.prompt_tokens = tokens;
        self.metrics.input_sequence_tokens.get_or_create(&self.label).observe(tokens as f64);
    }

    /// Tokens arrived.
    pub fn delta(&mut self, delta: &Delta) {
        self.cached = delta.cached_tokens.or(self.cached);
        let count = delta.token_ids.len();
        if count == 0 {
            return;
        }
        let now = Instant::now();
        self.answer_tokens += count as u64;
        self.metrics.output_tokens.get_or_create(&self.label).inc_by(count as u64);
        if self.first_token.is_none() {
            self.first_token = Some(now);
            let waited = (now - self.arrived).as_secs_f64();
            self.metrics.queued_requests.get_or_create(&self.label).dec();
            self.metrics.time_to_first_token.get_or_create(&self.label).observe(waited);
            if let Some(labels) = worker(delta.workers, true) {
                self.metrics.worker_last_time_to_first_token.get_or_create(&labels).set(waited);
                let tokens = i64::try_from(self.prompt_tokens).unwrap_or(i64::MAX);
                self.metrics.worker_last_input_sequence_tokens.get_or_create(&labels).set(tokens);
            }
        } else {
            let each = (now - self.last_token).as_secs_f64() / count as f64;
            let histogram = self.metrics.inter_token_latency.get_or_create_owned(&self.label);
            for _ in 0..count {
                histogram.observe(each);
            }
            if let Some(labels) = worker(delta.workers, false) {
                self.metrics.worker_last_inter_token_latency.get_or_create(&labels).set(each);
            }
        }
        self.last_token = now;
    }

    #[must_use]
    pub fn timing(&self) -> Timing {
        Timing {
            received_ms: self.arrived_ms,
            ttft: self.first_token.map(|first| first - self.arrived),
            total: self.arrived.elapsed(),
        }
    }

    /// The answer is complete, or ended with an error.
    pub fn finish(&mut self, success: bool) {
        self.outcome = Some(success);
    }
}

/// A worker doing both phases counts as decode.
fn worker(ids: WorkerIds, prefill_phase: bool) -> Option<WorkerLabels> {
    let separate = prefill_phase && ids.prefill.is_some() && ids.prefill != ids.decode;
    let (id, kind) = if separate { (ids.prefill?, "prefill") } else { (ids.decode?, "decode") };
    Some(WorkerLabels { worker_id: id.to_string(), dp_rank: "0".to_owned(), worker_type: kind.to_owned() })
}

impl Drop for Observation {
    fn drop(&mut self) {
        if self.outcome.is_none() {
            self.metrics.disconnected_clients.inc();
        }
        if self.first_token.is_none() {
            self.metrics.queued_requests.get_or_create(&self.label).dec();
        }
        self.metrics.inflight_requests.get_or_create(&self.label).dec();
        let total = self.arrived.elapsed().as_secs_f64();
        self.metrics.request_duration.get_or_create(&self.label).observe(total);
        if self.answer_tokens > 0 {
            let tokens = self.answer_tokens as f64;
            self.metrics.output_sequence_tokens.get_or_create(&self.label).observe(tokens);
        }
        if let Some(cached) = self.cached {
            self.metrics.cached_tokens.get_or_create(&self.label).observe(cached as f64);
        }
        let is_success = self.outcome == Some(true);
        self.metrics.count_request(&self.label.model, self.endpoint, self.streamed, is_success);
    }
}
