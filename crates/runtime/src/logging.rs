//! Sets up logging of a serving process on standard error (runtime.md 2).
//! It must not write to standard output, which belongs to the program's answers.

use tracing_subscriber::EnvFilter;

use crate::settings;

/// Installs the subscriber: filter from `DYN_LOG` (default `info`), one JSON object a line with
/// `DYN_LOGGING_JSONL`. A second call, or a subscriber set by a test, is left alone.
pub fn init() {
    let directives = settings::text("DYN_LOG").unwrap_or_else(|| "info".to_owned());
    let (filter, refused) = match EnvFilter::try_new(&directives) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let ansi = !settings::flag("DYN_SDK_DISABLE_ANSI_LOGGING", false)
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let outcome = if settings::flag("DYN_LOGGING_JSONL", false) {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(ansi).try_init()
    };
    if outcome.is_ok()
        && let Some(error) = refused
    {
        tracing::warn!("DYN_LOG=`{directives}` is not a log filter ({error}); using info");
    }
}
