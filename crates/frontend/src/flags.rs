//! The command line of runtime.md 2 with its environment defaults, and what of it this build can do.
//! Must not start anything; unusable combinations are errors with the way out.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};
use dynamo_router::RouterMode;
use dynamo_runtime::transport::RequestPlane;

use crate::metrics::DEFAULT_PREFIX;

/// OpenAI-compatible HTTP frontend.
#[derive(Debug, Clone, Parser)]
#[command(name = "dynamo.frontend", version, about)]
pub struct Flags {
    /// Text chat instead of HTTP
    #[arg(short, long)]
    pub interactive: bool,
    #[arg(long, env = "DYN_HTTP_HOST", default_value = "0.0.0.0")]
    pub http_host: String,
    #[arg(long, env = "DYN_HTTP_PORT", default_value_t = 8000)]
    pub http_port: u16,
    #[arg(long)]
    pub tls_cert_path: Option<PathBuf>,
    #[arg(long)]
    pub tls_key_path: Option<PathBuf>,
    /// Accepted; the model card's size is used
    #[arg(long, env = "DYN_KV_CACHE_BLOCK_SIZE")]
    pub kv_cache_block_size: Option<u32>,
    /// round-robin, random or kv
    #[arg(long, env = "DYN_ROUTER_MODE", default_value = "round-robin")]
    pub router_mode: RouterMode,
    #[arg(long, env = "DYN_KV_OVERLAP_SCORE_WEIGHT", default_value_t = 1.0)]
    pub kv_overlap_score_weight: f64,
    #[arg(long, env = "DYN_ROUTER_TEMPERATURE", default_value_t = 0.0)]
    pub router_temperature: f64,
    #[arg(long, env = "DYN_KV_EVENTS", default_value_t = true, num_args = 0, default_missing_value = "true",
          action = ArgAction::Set, value_parser = clap::builder::BoolishValueParser::new(), overrides_with = "no_kv_events")]
    pub kv_events: bool,
    #[arg(long, overrides_with = "kv_events")]
    pub no_kv_events: bool,
    /// Seconds, approximate mode
    #[arg(long, env = "DYN_ROUTER_TTL", default_value_t = 120.0)]
    pub router_ttl: f64,
    #[arg(long, env = "DYN_ROUTER_MAX_TREE_SIZE", default_value_t = 1_048_576)]
    pub router_max_tree_size: u64,
    #[arg(long, env = "DYN_ROUTER_PRUNE_TARGET_RATIO", default_value_t = 0.8)]
    pub router_prune_target_ratio: f64,
    /// Serve only models of this namespace; empty and `dynamo` mean all
    #[arg(long, env = "DYN_NAMESPACE")]
    pub namespace: Option<String>,
    #[arg(long)]
    pub router_replica_sync: bool,
    #[arg(long, default_value_t = 1_000_000)]
    pub router_snapshot_threshold: u64,
    #[arg(long)]
    pub router_reset_states: bool,
    #[arg(long)]
    pub durable_kv_events: bool,
    #[arg(long)]
    pub no_track_active_blocks: bool,
    #[arg(long)]
    pub no_assume_kv_reuse: bool,
    #[arg(long)]
    pub track_output_blocks: bool,
    /// Fail instead of decoding without a prefill worker
    #[arg(long)]
    pub enforce_disagg: bool,
    /// Further tries when a worker's stream breaks
    #[arg(long, default_value_t = 0)]
    pub migration_limit: u32,
    #[arg(long)]
    pub active_decode_blocks_threshold: Option<f64>,
    #[arg(long)]
    pub active_prefill_tokens_threshold: Option<u64>,
    #[arg(long)]
    pub active_prefill_tokens_threshold_frac: Option<f64>,
    #[arg(long)]
    pub model_name: Option<String>,
    /// An existing directory
    #[arg(long)]
    pub model_path: Option<PathBuf>,
    #[arg(long, env = "DYN_METRICS_PREFIX", default_value = DEFAULT_PREFIX)]
    pub metrics_prefix: String,
    #[arg(long)]
    pub kserve_grpc_server: bool,
    #[arg(long, default_value_t = 8788)]
    pub grpc_metrics_port: u16,
    #[arg(long)]
    pub dump_config_to: Option<PathBuf>,
    /// Discovery store where DYN_DISCOVERY_BACKEND is unset
    #[arg(long, env = "DYN_STORE_KV", default_value = "etcd", value_parser = ["etcd", "file", "mem"])]
    pub store_kv: String,
    /// What the workers are expected to use; each is called as its discovery record says
    #[arg(long, env = "DYN_REQUEST_PLANE", default_value = "tcp", value_parser = ["tcp", "http", "nats"])]
    pub request_plane: String,
    #[arg(long, env = "DYN_EVENT_PLANE", default_value = "nats", value_parser = ["nats", "zmq"])]
    pub event_plane: String,
    #[arg(long, default_value = "dynamo", value_parser = ["dynamo", "vllm"])]
    pub chat_processor: String,
}

/// Flags that cannot be honoured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag}: {reason}")]
pub struct FlagError {
    pub flag: &'static str,
    pub reason: String,
}

impl Flags {
    /// Refuses what would change behaviour and is not in this build; returns warnings about flags without effect.
    ///
    /// # Errors
    /// The first flag that cannot be honoured.
    pub fn check(&self) -> Result<Vec<String>, FlagError> {
        let refuse = |flag, reason: &str| Err(FlagError { flag, reason: reason.to_owned() });
        if self.router_mode == RouterMode::Kv {
            return refuse("--router-mode kv", "not in this build yet; use round-robin or random");
        }
        if self.interactive {
            return refuse("--interactive", "not in this build; send requests to /v1/chat/completions");
        }
        if self.kserve_grpc_server {
            return refuse("--kserve-grpc-server", "not in this build; use the HTTP interface");
        }
        match (&self.tls_cert_path, &self.tls_key_path) {
            (None, None) => {}
            (Some(_), Some(_)) => {
                return refuse(
                    "--tls-cert-path",
                    "TLS is not in this build; end TLS at the ingress or gateway",
                );
            }
            _ => {
                return refuse(
                    "--tls-cert-path",
                    "--tls-cert-path and --tls-key-path belong together; give both",
                );
            }
        }
        if RequestPlane::named(&self.request_plane).is_none() {
            let reason =
                format!("request plane `{}` is not in this build; use tcp or nats", self.request_plane);
            return Err(FlagError { flag: "--request-plane", reason });
        }
        if self.chat_processor != "dynamo" {
            return refuse("--chat-processor vllm", "not in this build; use dynamo");
        }
        if let Some(path) = self.model_path.as_ref().filter(|path| !path.is_dir()) {
            let reason = format!("`{}` is not an existing directory", path.display());
            return Err(FlagError { flag: "--model-path", reason });
        }
        self.http_address()?;
        let idle = [
            ("--kv-cache-block-size", self.kv_cache_block_size.is_some()),
            ("--kv-overlap-score-weight", self.kv_overlap_score_weight != 1.0),
            ("--router-temperature", self.router_temperature != 0.0),
            ("--no-kv-events", self.no_kv_events || !self.kv_events),
            ("--router-ttl", self.router_ttl != 120.0),
            ("--router-max-tree-size", self.router_max_tree_size != 1_048_576),
            ("--router-prune-target-ratio", self.router_prune_target_ratio != 0.8),
            ("--router-replica-sync", self.router_replica_sync),
            ("--router-snapshot-threshold", self.router_snapshot_threshold != 1_000_000),
            ("--router-reset-states", self.router_reset_states),
            ("--durable-kv-events", self.durable_kv_events),
            ("--no-track-active-blocks", self.no_track_active_blocks),
            ("--no-assume-kv-reuse", self.no_assume_kv_reuse),
            ("--track-output-blocks", self.track_output_blocks),
            ("--active-decode-blocks-threshold", self.active_decode_blocks_threshold.is_some()),
            ("--active-prefill-tokens-threshold", self.active_prefill_tokens_threshold.is_some()),
            ("--active-prefill-tokens-threshold-frac", self.active_prefill_tokens_threshold_frac.is_some()),
            ("--model-name", self.model_name.is_some()),
            ("--model-path", self.model_path.is_some()),
        ];
        let idle: Vec<&str> = idle.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag).collect();
        if idle.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![format!("without effect with --router-mode {}: {}", self.router_mode, idle.join(", "))])
    }

    /// The address to listen on.
    ///
    /// # Errors
    /// When the host is not an IP address or `localhost`.
    pub fn http_address(&self) -> Result<IpAddr, FlagError> {
        let host = if self.http_host == "localhost" { "127.0.0.1" } else { self.http_host.as_str() };
        host.parse().map_err(|_| FlagError {
            flag: "--http-host",
            reason: format!("`{host}` is not an IP address; use 0.0.0.0, :: or an address of this host"),
        })
    }
}

/// Settings that only have variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Largest request body in bytes, `DYN_HTTP_BODY_LIMIT_MB`.
    pub body_limit: usize,
    /// Time after SIGTERM in which new requests still succeed, until no client is sent here any more.
    pub pre_drain: Duration,
    /// Longest wait for requests in work after that.
    pub drain: Duration,
    pub paths: Paths,
}

/// Routes that can be moved, `DYN_HTTP_SVC_*_PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub metrics: String,
    pub models: String,
    pub health: String,
    pub live: String,
    pub chat: String,
    pub completions: String,
    pub embeddings: String,
    pub responses: String,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self::read(|_| None)
    }
}

impl HttpSettings {
    #[must_use]
    pub fn from_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str, default: f64| {
            let Some(text) = variable(name).filter(|text| !text.trim().is_empty()) else { return default };
            match text.trim().parse::<f64>() {
                Ok(value) if (0.0..=86_400.0).contains(&value) => value,
                _ => {
                    tracing::warn!("{name}=`{text}` is not a number from 0 to 86400; using {default}");
                    default
                }
            }
        };
        let path = |word: &str, default: &str| {
            let name = format!("DYN_HTTP_SVC_{word}_PATH");
            match variable(&name) {
                Some(path) if path.starts_with('/') && !path.contains(['{', '}']) => path,
                Some(path) if !path.is_empty() => {
                    tracing::warn!("{name}=`{path}` must begin with / and hold no braces; using {default}");
                    default.to_owned()
                }
                _ => default.to_owned(),
            }
        };
        let megabytes = number("DYN_HTTP_BODY_LIMIT_MB", 45.0);
        Self {
            body_limit: (megabytes * 1024.0 * 1024.0) as usize,
            pre_drain: Duration::from_secs_f64(number("DYN_HTTP_PRE_DRAIN_SECS", 5.0)),
            drain: Duration::from_secs_f64(number("DYN_HTTP_GRACEFUL_SHUTDOWN_TIMEOUT_SECS", 45.0)),
            paths: Paths {
                metrics: path("METRICS", "/metrics"),
                models: path("MODELS", "/v1/models"),
                health: path("HEALTH", "/health"),
                live: path("LIVE", "/live"),
                chat: path("CHAT", "/v1/chat/completions"),
                completions: path("CMP", "/v1/completions"),
                embeddings: path("EMB", "/v1/embeddings"),
                responses: path("RESPONSES", "/v1/responses"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Flags {
        Flags::try_parse_from(std::iter::once(&"dynamo.frontend").chain(args)).expect("parses")
    }

    #[test]
    fn every_flag_of_the_contract_is_accepted_by_its_spelling() {
        let flags = parse(&[
            "--http-host",
            "127.0.0.1",
            "--http-port",
            "0",
            "--router-mode",
            "random",
            "--no-kv-events",
            "--kv-overlap-score-weight",
            "2",
            "--router-ttl",
            "1.5",
            "--router-max-tree-size",
            "5",
            "--router-prune-target-ratio",
            "0.5",
            "--namespace",
            "ns",
            "--router-replica-sync",
            "--router-snapshot-threshold",
            "5",
            "--router-reset-states",
            "--durable-kv-events",
            "--no-track-active-blocks",
            "--no-assume-kv-reuse",
            "--track-output-blocks",
            "--enforce-disagg",
            "--migration-limit",
            "4294967295",
            "--active-decode-blocks-threshold",
            "0.5",
            "--active-prefill-tokens-threshold",
            "10",
            "--active-prefill-tokens-threshold-frac",
            "0.5",
            "--metrics-prefix",
            "p",
            "--grpc-metrics-port",
            "1",
            "--dump-config-to",
            "f",
            "--store-kv",
            "mem",
            "--request-plane",
            "tcp",
            "--event-plane",
            "zmq",
            "--chat-processor",
            "dynamo",
        ]);
        let warnings = flags.check().expect("usable");
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("--router-ttl") && warnings[0].contains("--no-kv-events"));
        assert!(parse(&["--kv-events"]).kv_events);
    }

    #[test]
    fn what_this_build_cannot_do_is_refused_with_the_way_out() {
        for (args, words) in [
            (vec!["--router-mode", "kv"], "round-robin"),
            (vec!["-i"], "/v1/chat/completions"),
            (vec!["--kserve-grpc-server"], "HTTP"),
            (vec!["--request-plane", "http"], "tcp or nats"),
            (vec!["--tls-cert-path", "c"], "both"),
            (vec!["--tls-cert-path", "c", "--tls-key-path", "k"], "ingress"),
            (vec!["--model-path", "/does/not/exist"], "directory"),
            (vec!["--http-host", "nowhere"], "IP address"),
            (vec!["--chat-processor", "vllm"], "dynamo"),
        ] {
            let text = parse(&args).check().expect_err("refused").to_string();
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn routes_and_limits_follow_their_variables_and_bad_values_fall_back() {
        let read = |pairs: &'static [(&'static str, &'static str)]| {
            HttpSettings::read(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let moved = read(&[("DYN_HTTP_SVC_CHAT_PATH", "/chat"), ("DYN_HTTP_BODY_LIMIT_MB", "1")]);
        assert_eq!((moved.paths.chat.as_str(), moved.body_limit), ("/chat", 1024 * 1024));
        let bad = read(&[("DYN_HTTP_SVC_CHAT_PATH", "chat"), ("DYN_HTTP_BODY_LIMIT_MB", "x")]);
        assert_eq!(bad, HttpSettings::default());
    }
}
