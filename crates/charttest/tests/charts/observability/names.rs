//! Every metric in a panel or an alert is one that our programs register, or is on the list of others' metrics.
//! What our programs register is read from the operator's reference page and from the sources that the page does not show.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_charttest::dashboards;

use super::{alerts, promql};
use crate::helm::{text, workspace};

/// Metrics that no program of this project has, by who has them.
const FOREIGN: [(&str, &[&str]); 11] = [
    ("Prometheus itself, for every target", &["up"]),
    ("the API server", &["apiserver_admission_webhook_rejection_count"]),
    (
        "engines: vLLM under two names, SGLang",
        &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage"],
    ),
    (
        "NATS, by prometheus-nats-exporter with its own prefix or with that of the NATS chart",
        &[
            "gnatsd_varz_mem",
            "nats_varz_mem",
            "gnatsd_varz_jetstream_stats_storage",
            "nats_varz_jetstream_stats_storage",
            "gnatsd_varz_jetstream_config_max_storage",
            "nats_varz_jetstream_config_max_storage",
        ],
    ),
    (
        "etcd",
        &["etcd_server_has_leader", "etcd_mvcc_db_total_size_in_bytes", "etcd_server_quota_backend_bytes"],
    ),
    ("kube-state-metrics", &["kube_deployment_spec_replicas", "kube_deployment_status_replicas_ready"]),
    ("cAdvisor", &["container_cpu_usage_seconds_total", "container_memory_working_set_bytes"]),
    ("node exporter", &["node_cpu_seconds_total", "node_load1", "node_load5"]),
    (
        "DCGM exporter",
        &[
            "DCGM_FI_DEV_GPU_UTIL",
            "DCGM_FI_DEV_POWER_USAGE",
            "DCGM_FI_DEV_FB_USED",
            "DCGM_FI_DEV_FB_FREE",
            "DCGM_FI_DEV_GPU_TEMP",
            "DCGM_FI_DEV_MEMORY_TEMP",
            "DCGM_FI_DEV_SM_CLOCK",
            "DCGM_FI_DEV_MEM_CLOCK",
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
            "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
            "DCGM_FI_PROF_PCIE_RX_BYTES",
            "DCGM_FI_PROF_PCIE_TX_BYTES",
        ],
    ),
    (
        "the planner of the reference's runtime images",
        &[
            "planner:num_p_workers",
            "planner:num_d_workers",
            "planner:gpu_hours",
            "planner:observed_ttft",
            "planner:observed_itl",
            "planner:observed_request_rate",
            "planner:observed_request_duration",
            "planner:observed_isl",
            "planner:observed_osl",
            "planner:predicted_request_rate",
            "planner:predicted_isl",
            "planner:predicted_osl",
            "planner:predicted_num_p",
            "planner:predicted_num_d",
            "planner:p_correction_factor",
            "planner:d_correction_factor",
        ],
    ),
    (
        "the KV block manager of the reference's runtime images",
        &[
            "kvbm_host_cache_hit_rate",
            "kvbm_disk_cache_hit_rate",
            "kvbm_matched_tokens",
            "kvbm_offload_blocks_d2h",
            "kvbm_offload_blocks_h2d",
            "kvbm_offload_blocks_d2d",
            "kvbm_onboard_blocks_h2d",
            "kvbm_onboard_blocks_d2d",
        ],
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// The kind that a type, a constructor or a word of the reference page names.
    fn of(text: &str) -> Option<Self> {
        [("istogram", Self::Histogram), ("ounter", Self::Counter), ("auge", Self::Gauge)]
            .into_iter()
            .find_map(|(word, kind)| text.contains(word).then_some(kind))
    }

    /// The series of a family; `name` is as registered, so that a counter has no `_total` yet.
    fn series(self, name: &str) -> Vec<String> {
        let suffixes: &[&str] = match self {
            Self::Counter => &["_total"],
            Self::Gauge => &[""],
            Self::Histogram => &["_bucket", "_sum", "_count"],
        };
        suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect()
    }
}

/// Families of `docs/reference/metrics.md`, which a test of the operator keeps.
fn of_the_page() -> Vec<(String, Kind)> {
    let page = workspace().join("docs/reference/metrics.md");
    let page = std::fs::read_to_string(page).expect("the reference page");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`').trim_end_matches("_total").to_owned();
        let kind = Kind::of(cells.next()?)?;
        // This gauge keeps the name that v0.9 gave it.
        let name = if name == "dynamo_operator_resources" { format!("{name}_total") } else { name };
        Some((name, kind))
    };
    page.lines().filter_map(row).collect()
}

/// Families that a source registers: `("NAME", "help", …)` with the field, whose declaration tells the kind.
fn of_the_source(file: &str, prefix: &str) -> Vec<(String, Kind)> {
    let source =
        std::fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut fields: BTreeMap<&str, Kind> = BTreeMap::new();
    for line in source.lines() {
        if let Some((left, right)) = line.split_once(':')
            && let Some(kind) = Kind::of(right)
        {
            fields.entry(left.rsplit(' ').next().unwrap_or_default()).or_insert(kind);
        }
    }
    let mut families = Vec::new();
    for (at, _) in source.match_indices("(\"").chain(source.match_indices("(\n")) {
        let Some(rest) = source[at + 1..].trim_start().strip_prefix('"') else { continue };
        let Some((name, rest)) = rest.split_once("\",") else { continue };
        if name.is_empty() || name.contains(|c: char| !c.is_ascii_lowercase() && c != '_') {
            continue;
        }
        // What follows the help: perhaps a unit, then the field, or the type itself where a collector writes the family.
        let places = ["self.", "created.", "MetricType::"].iter();
        let Some((end, place)) = places.filter_map(|place| Some((rest.find(place)?, *place))).min() else {
            continue;
        };
        let word = &rest[end + place.len()..];
        let word = &word[..word.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(word.len())];
        let kind = if place == "MetricType::" { Kind::of(word) } else { fields.get(word).copied() };
        // Else it is some other pair that begins with a text.
        let Some(kind) = kind else { continue };
        let unit = if rest[..end].contains("Unit::Seconds") { "_seconds" } else { "" };
        families.push((format!("{prefix}{name}{unit}"), kind));
    }
    assert!(families.len() >= 4, "{file}: only {families:?}");
    families
}

/// Every series of our programs.
fn registered() -> BTreeSet<String> {
    let sources = [
        ("crates/frontend/src/metrics.rs", "dynamo_frontend_"),
        ("crates/runtime/src/metrics.rs", "dynamo_component_"),
    ];
    let families = sources.iter().flat_map(|(file, prefix)| of_the_source(file, prefix)).chain(of_the_page());
    families.flat_map(|(name, kind)| kind.series(&name)).collect()
}

#[test]
fn sources_tell_names_kinds_and_units() {
    let registered = registered();
    for name in [
        "dynamo_frontend_requests_total",
        "dynamo_frontend_time_to_first_token_seconds_bucket",
        "dynamo_frontend_model_total_kv_blocks",
        "dynamo_frontend_model_migration_total",
        "dynamo_frontend_worker_last_inter_token_latency_seconds",
        "dynamo_component_request_duration_seconds_sum",
        "dynamo_component_errors_total",
        "dynamo_component_uptime_seconds",
        "dynamo_operator_webhook_denials_total",
        "dynamo_operator_webhook_duration_seconds_count",
        "dynamo_operator_webhook_certificate_expiry_timestamp_seconds",
        "dynamo_operator_resources_total",
        "workqueue_depth",
    ] {
        assert!(registered.contains(name), "{name} is not in {registered:#?}");
    }
    for name in [
        "dynamo_frontend_requests",
        "dynamo_component_inflight_requests_seconds",
        "dynamo_frontend_model_total_kv_blocks_total",
    ] {
        assert!(!registered.contains(name), "{name}");
    }
}

#[test]
fn every_metric_of_a_panel_or_an_alert_is_registered_or_is_known_to_be_of_somebody_else() {
    let registered = registered();
    let foreign: BTreeSet<&str> = FOREIGN.iter().flat_map(|(_, names)| *names).copied().collect();
    let queries = dashboards::queries().expect("dashboards");
    let mut expressions: Vec<(String, String)> = queries
        .into_iter()
        .filter(|query| query.source == "prometheus")
        .map(|query| (format!("{}: {}", query.dashboard, query.panel), query.expression))
        .collect();
    expressions.extend(
        alerts().iter().map(|rule| (text(&rule["alert"]).to_owned(), text(&rule["expr"]).to_owned())),
    );
    for dashboard in dashboards::all().expect("dashboards") {
        let variables = dashboard.json["templating"]["list"].as_array().cloned().unwrap_or_default();
        for query in variables
            .iter()
            .map(|variable| text(&variable["query"]["query"]))
            .filter(|query| !query.is_empty())
        {
            let selector = query.trim_start_matches("label_values(").rsplit_once(',').expect("a label").0;
            expressions.push((dashboard.file.clone(), selector.to_owned()));
        }
    }
    let mut used = BTreeSet::new();
    for (place, expression) in expressions {
        let names = promql::metrics(&expression);
        assert!(!names.is_empty(), "{place}: no metric in {expression}");
        for name in names {
            let known = registered.contains(&name) || foreign.contains(name.as_str());
            assert!(known, "{place}: nothing has the metric {name}");
            used.insert(name);
        }
    }
    for name in foreign {
        assert!(used.contains(name), "{name} is on the list of others' metrics and used nowhere");
        assert!(!registered.contains(name), "{name} is ours now");
    }
}
