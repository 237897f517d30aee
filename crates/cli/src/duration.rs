//! Lengths of time as people write them.
//! Parses only.

use std::{str::FromStr, time::Duration};

use k8s_openapi::jiff::SignedDuration;

/// `90`, `90s`, `10m`, `1h 30m`.
///
/// # Errors
/// It is none, or a negative one.
pub fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let parsed = SignedDuration::from_str(text).ok().and_then(|length| Duration::try_from(length).ok());
    parsed.ok_or_else(|| "is no length of time: write 90s, 10m or 1h 30m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_units_are_lengths_of_time_and_nothing_else_is() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h 30m", 5_400), ("1h30m", 5_400)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "-5s", "5 parsecs"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
