//! The mocker's flags and the engine settings they make (runtime.md 9.1).
//! It must not start anything.

use std::path::{Path, PathBuf};

use clap::Parser;
use dynamo_runtime::transport::RequestPlane;
use serde::Deserialize;

/// Imitates an engine: serves a model without computing it.
#[derive(Clone, Debug, Parser)]
#[command(name = "mocker", version, rename_all = "kebab-case")]
pub struct Flags {
    /// Local model directory or hub id: tokenizer and config.
    #[arg(long)]
    pub model_path: Option<String>,
    /// Name the model is served under [default: from --model-path].
    #[arg(long)]
    pub model_name: Option<String>,
    /// dyn://namespace.component.endpoint [default: <DYN_NAMESPACE>.backend.generate, prefill workers
    /// .prefill.generate].
    #[arg(long)]
    pub endpoint: Option<String>,
    /// Blocks of KV cache.
    #[arg(long, default_value_t = 16384)]
    pub num_gpu_blocks_override: usize,
    /// Tokens per block.
    #[arg(long, default_value_t = 64)]
    pub block_size: usize,
    /// Requests running at once.
    #[arg(long, default_value_t = 256)]
    pub max_num_seqs: usize,
    /// Tokens in one batch.
    #[arg(long, default_value_t = 8192)]
    pub max_num_batched_tokens: usize,
    /// Share blocks of equal prefixes (the default).
    #[arg(long, overrides_with = "no_enable_prefix_caching")]
    pub enable_prefix_caching: bool,
    /// Do not share blocks.
    #[arg(long)]
    pub no_enable_prefix_caching: bool,
    /// Prefill long prompts in pieces (the default).
    #[arg(long, overrides_with = "no_enable_chunked_prefill")]
    pub enable_chunked_prefill: bool,
    /// Prefill a prompt in one piece.
    #[arg(long)]
    pub no_enable_chunked_prefill: bool,
    /// Part of the blocks kept free, 0..1.
    #[arg(long, default_value_t = 0.01)]
    pub watermark: f64,
    /// Divides all delays; 0 means no delays.
    #[arg(long, default_value_t = 1.0)]
    pub speedup_ratio: f64,
    /// Ranks, each with a scheduler of its own.
    #[arg(long, default_value_t = 1)]
    pub data_parallel_size: u32,
    /// Seconds until the engine is ready.
    #[arg(long)]
    pub startup_time: Option<f64>,
    /// Measured times (.npz or profiler directory).
    #[arg(long)]
    pub planner_profile_data: Option<PathBuf>,
    /// Workers in this process.
    #[arg(long, default_value_t = 1)]
    pub num_workers: u32,
    /// JSON file that replaces the engine flags.
    #[arg(long)]
    pub extra_engine_args: Option<PathBuf>,
    /// Answers the first token and hands the rest to a decode worker.
    #[arg(long, conflicts_with = "is_decode_worker")]
    pub is_prefill_worker: bool,
    /// Takes over from prefill workers.
    #[arg(long)]
    pub is_decode_worker: bool,
    /// JetStream instead of worker-local indexers.
    #[arg(long, env = "DYN_DURABLE_KV_EVENTS", value_parser = clap::builder::BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    pub durable_kv_events: bool,
    /// One port per worker, comma separated.
    #[arg(long, value_delimiter = ',')]
    pub bootstrap_ports: Vec<u16>,
    /// Seconds between the starts of workers; -1 chooses by their number.
    #[arg(long, default_value_t = -1.0, allow_negative_numbers = true)]
    pub stagger_delay: f64,
    /// Discovery store where DYN_DISCOVERY_BACKEND is unset.
    #[arg(long, env = "DYN_STORE_KV", default_value = "etcd", value_parser = ["etcd", "file", "mem"])]
    pub store_kv: String,
    /// How requests travel.
    #[arg(long, env = "DYN_REQUEST_PLANE", default_value = "tcp", value_parser = ["tcp", "http", "nats"])]
    pub request_plane: String,
}

/// Settings of the imitated engine; the keys of `--extra-engine-args`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineArgs {
    pub num_gpu_blocks: usize,
    pub block_size: usize,
    pub max_num_seqs: usize,
    pub max_num_batched_tokens: usize,
    pub enable_prefix_caching: bool,
    pub enable_chunked_prefill: bool,
    pub watermark: f64,
    pub speedup_ratio: f64,
    pub dp_size: u32,
    pub startup_time: Option<f64>,
    pub is_prefill: bool,
    pub is_decode: bool,
    pub planner_profile_data: Option<PathBuf>,
    pub enable_local_indexer: bool,
    pub bootstrap_port: Option<u16>,
}

impl Default for EngineArgs {
    fn default() -> Self {
        Self {
            num_gpu_blocks: 16384,
            block_size: 64,
            max_num_seqs: 256,
            max_num_batched_tokens: 8192,
            enable_prefix_caching: true,
            enable_chunked_prefill: true,
            watermark: 0.01,
            speedup_ratio: 1.0,
            dp_size: 1,
            startup_time: None,
            is_prefill: false,
            is_decode: false,
            planner_profile_data: None,
            enable_local_indexer: true,
            bootstrap_port: None,
        }
    }
}

/// Settings that make no engine.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    #[error("--extra-engine-args: `{}` cannot be read: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("--extra-engine-args: `{}`: {source}", .path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{name} is {value}; it must be {rule}")]
    Range { name: &'static str, value: String, rule: &'static str },
    #[error("--bootstrap-ports lists {ports} ports for {workers} workers; give one per worker")]
    BootstrapPorts { ports: usize, workers: u32 },
    #[error("--request-plane {0} is not supported; use tcp or nats")]
    RequestPlane(String),
    #[error("a worker is either a prefill or a decode worker, not both")]
    BothRoles,
}

impl Flags {
    /// The engine settings, checked.
    pub fn engine_args(&self) -> Result<EngineArgs, FlagsError> {
        if RequestPlane::named(&self.request_plane).is_none() {
            return Err(FlagsError::RequestPlane(self.request_plane.clone()));
        }
        let args = match &self.extra_engine_args {
            Some(path) => read(path)?,
            None => EngineArgs {
                num_gpu_blocks: self.num_gpu_blocks_override,
                block_size: self.block_size,
                max_num_seqs: self.max_num_seqs,
                max_num_batched_tokens: self.max_num_batched_tokens,
                enable_prefix_caching: !self.no_enable_prefix_caching,
                enable_chunked_prefill: !self.no_enable_chunked_prefill,
                watermark: self.watermark,
                speedup_ratio: self.speedup_ratio,
                dp_size: self.data_parallel_size,
                startup_time: self.startup_time,
                is_prefill: self.is_prefill_worker,
                is_decode: self.is_decode_worker,
                planner_profile_data: self.planner_profile_data.clone(),
                enable_local_indexer: !self.durable_kv_events,
                bootstrap_port: None,
            },
        };
        let ports = self.bootstrap_ports.len();
        if ports > 0 && ports != self.num_workers as usize {
            return Err(FlagsError::BootstrapPorts { ports, workers: self.num_workers });
        }
        at_least("--num-workers", self.num_workers as usize, 1, "at least 1")?;
        if self.stagger_delay < 0.0 && (self.stagger_delay + 1.0).abs() > f64::EPSILON {
            let value = self.stagger_delay.to_string();
            return Err(FlagsError::Range { name: "--stagger-delay", value, rule: "-1 or at least 0" });
        }
        args.check()?;
        Ok(args)
    }

    /// Seconds between the starts of workers.
    pub fn stagger_seconds(&self) -> f64 {
        match (self.stagger_delay, self.num_workers) {
            (delay, _) if delay >= 0.0 => delay,
            (_, ..=32) => 0.0,
            (_, ..=128) => 0.1,
            _ => 0.2,
        }
    }
}

fn read(path: &Path) -> Result<EngineArgs, FlagsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| FlagsError::Read { path: path.to_path_buf(), source })?;
    serde_json::from_str(&text).map_err(|source| FlagsError::Json { path: path.to_path_buf(), source })
}

fn at_least(name: &'static str, value: usize, least: usize, rule: &'static str) -> Result<(), FlagsError> {
    if value >= least {
        return Ok(());
    }
    Err(FlagsError::Range { name, value: value.to_string(), rule })
}

impl EngineArgs {
    fn check(&self) -> Result<(), FlagsError> {
        at_least("--num-gpu-blocks-override", self.num_gpu_blocks, 2, "at least 2")?;
        at_least("--block-size", self.block_size, 2, "at least 2")?;
        at_least("--max-num-seqs", self.max_num_seqs, 1, "at least 1")?;
        at_least("--max-num-batched-tokens", self.max_num_batched_tokens, 1, "at least 1")?;
        at_least("--data-parallel-size", self.dp_size as usize, 1, "at least 1")?;
        let range = |name, value: f64, allowed: bool, rule| match allowed {
            true => Ok(()),
            false => Err(FlagsError::Range { name, value: value.to_string(), rule }),
        };
        let watermark = self.watermark;
        range("--watermark", watermark, (0.0..1.0).contains(&watermark), "at least 0 and below 1")?;
        let speedup = self.speedup_ratio;
        range("--speedup-ratio", speedup, speedup >= 0.0 && speedup.is_finite(), "at least 0")?;
        let startup = self.startup_time.unwrap_or(0.0);
        range("--startup-time", startup, (0.0..1e9).contains(&startup), "a number of seconds, at least 0")?;
        if self.is_prefill && self.is_decode {
            return Err(FlagsError::BothRoles);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from(std::iter::once("mocker").chain(args.iter().copied()))
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.engine_args().unwrap(), EngineArgs::default());
        assert!(flags.stagger_seconds().abs() < f64::EPSILON);
    }

    #[test]
    fn flags_reach_the_engine() {
        let flags = parse(&[
            "--num-gpu-blocks-override=10",
            "--block-size",
            "4",
            "--no-enable-prefix-caching",
            "--no-enable-chunked-prefill",
            "--speedup-ratio",
            "0",
            "--data-parallel-size",
            "2",
            "--is-prefill-worker",
            "--stagger-delay",
            "-1",
            "--durable-kv-events",
        ])
        .unwrap();
        let args = flags.engine_args().unwrap();
        assert_eq!((args.num_gpu_blocks, args.block_size, args.dp_size), (10, 4, 2));
        assert!(!args.enable_prefix_caching && !args.enable_chunked_prefill && args.is_prefill);
        assert!(!args.enable_local_indexer);
    }

    #[test]
    fn unknown_flags_and_both_roles_are_usage_errors() {
        for args in [&["--no-such-flag"][..], &["--is-prefill-worker", "--is-decode-worker"]] {
            assert_eq!(parse(args).unwrap_err().exit_code(), 2);
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (args, name) in [
            (&["--block-size", "1"][..], "--block-size"),
            (&["--watermark", "1.5"], "--watermark"),
            (&["--speedup-ratio=-1"], "--speedup-ratio"),
            (&["--num-workers", "0"], "--num-workers"),
            (&["--stagger-delay", "-2"], "--stagger-delay"),
            (&["--bootstrap-ports", "1,2"], "--bootstrap-ports"),
            (&["--request-plane", "http"], "tcp or nats"),
        ] {
            let error = parse(args).unwrap().engine_args().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_file_replaces_the_flags_and_an_unknown_key_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"block_size": 8, "speedup_ratio": 10}"#).unwrap();
        let path = file.path().to_str().unwrap();
        let flags = parse(&["--block-size", "4", "--extra-engine-args", path]).unwrap();
        assert_eq!(flags.engine_args().unwrap().block_size, 8);
        std::fs::write(file.path(), r#"{"blocksize": 8}"#).unwrap();
        assert!(flags.engine_args().unwrap_err().to_string().contains("blocksize"));
    }
}
