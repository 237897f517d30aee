//! What is asked of Prometheus: one query per figure for all services of a graph.
//! Names of metrics are those of the contract (`runtime.md` section 10) and of the engines, as on the dashboards.

use std::time::Duration;

/// A figure of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    OutputTokens,
    Requests,
    TtftMedian,
    Ttft95,
    ItlMedian,
    Itl95,
    Queued,
    Running,
    KvUse,
}

/// All of them, in the order in which they are asked.
pub const FIGURES: [Figure; 9] = [
    Figure::OutputTokens,
    Figure::Requests,
    Figure::TtftMedian,
    Figure::Ttft95,
    Figure::ItlMedian,
    Figure::Itl95,
    Figure::Queued,
    Figure::Running,
    Figure::KvUse,
];

/// The label in which a query puts the name of the component.
pub const COMPONENT: &str = "component_of_graph";

const TOKENS: &str =
    "dynamo_frontend_output_tokens_total|vllm:generation_tokens_total|sglang:generation_tokens_total";
const REQUESTS: &str = "dynamo_frontend_requests_total|dynamo_component_requests_total";
const TTFT: &str = "dynamo_frontend_time_to_first_token_seconds_bucket|vllm:time_to_first_token_seconds_bucket|\
                    sglang:time_to_first_token_seconds_bucket";
const ITL: &str = "dynamo_frontend_inter_token_latency_seconds_bucket|vllm:inter_token_latency_seconds_bucket|\
                   sglang:inter_token_latency_seconds_bucket";
const QUEUED: &str = "dynamo_frontend_queued_requests|vllm:num_requests_waiting|sglang:num_queue_reqs";
const RUNNING: &str = "dynamo_frontend_inflight_requests|dynamo_component_inflight_requests";
const KV_USE: &str = "vllm:kv_cache_usage_perc|vllm:gpu_cache_usage_perc|sglang:token_usage";

impl Figure {
    /// The query for the pods of `components` in `namespace`, over `window`.
    pub fn query(self, namespace: &str, components: &[String], window: Duration) -> String {
        let window = window.as_secs().max(1);
        // The name of a pod is its component, the revision and five letters.
        let pods = components.join("|");
        let select = |names: &str| {
            // A worker has other endpoints beside the one that serves.
            format!(
                "{{__name__=~\"{names}\",namespace=\"{namespace}\",pod=~\"({pods})-[^-]+-[^-]+\",\
                 dynamo_endpoint=~\"|generate\"}}"
            )
        };
        let named = |vector: String| {
            format!("label_replace({vector},\"{COMPONENT}\",\"$1\",\"pod\",\"(.+)-[^-]+-[^-]+\")")
        };
        let rate = |names: &str| named(format!("rate({}[{window}s])", select(names)));
        let sum = |vector: String| format!("sum by ({COMPONENT}) ({vector})");
        let quantile = |q: &str, names: &str| {
            format!("histogram_quantile({q},sum by ({COMPONENT},le) ({}))", rate(names))
        };
        match self {
            Self::OutputTokens => sum(rate(TOKENS)),
            Self::Requests => sum(rate(REQUESTS)),
            Self::TtftMedian => quantile("0.5", TTFT),
            Self::Ttft95 => quantile("0.95", TTFT),
            Self::ItlMedian => quantile("0.5", ITL),
            Self::Itl95 => quantile("0.95", ITL),
            Self::Queued => sum(named(select(QUEUED))),
            Self::Running => sum(named(select(RUNNING))),
            Self::KvUse => format!("max by ({COMPONENT}) ({})", named(select(KV_USE))),
        }
    }
}
