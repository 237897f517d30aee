//! Reads typed settings from environment variables; an empty value counts as unset.
//! It must not keep state: every call reads the environment again.

use std::str::FromStr;
use std::time::Duration;

/// The text of a variable, `None` when unset or empty.
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A parsed variable; a value that does not parse is reported and the default is used.
pub(crate) fn parsed<T: FromStr + std::fmt::Display>(name: &str, default: T) -> T {
    let Some(value) = text(name) else { return default };
    value.parse().unwrap_or_else(|_| {
        tracing::warn!("{name}=`{value}` is not a valid value; using {default}");
        default
    })
}

/// A duration given in whole or fractional seconds.
pub(crate) fn seconds(name: &str, default: f64) -> Duration {
    Duration::try_from_secs_f64(parsed(name, default))
        .unwrap_or_else(|_| Duration::from_secs_f64(default.max(0.0)))
}

/// A boolean: `1`, `true`, `yes` and `on` are true in any case, everything else is false.
pub(crate) fn flag(name: &str, default: bool) -> bool {
    match text(name) {
        None => default,
        Some(value) => matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"),
    }
}
