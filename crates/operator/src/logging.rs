//! The log of the process on standard error, as text or one JSON object per line.
//! The level of the client libraries stays at warnings unless `RUST_LOG` says otherwise.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::flags::LogFlags;

/// Sets up the process-wide log. A second call has no effect.
pub fn init(flags: &LogFlags) {
    let level = flags.level.as_str().to_lowercase();
    let default = format!("warn,dynamo_operator={level},dynamo_kubekit={level},dynamo_render={level}");
    // An empty variable is no wish for silence.
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::new(wanted.unwrap_or(default));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let outcome = if flags.json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry.with(layer.with_ansi(false)).try_init()
    };
    drop(outcome);
}
