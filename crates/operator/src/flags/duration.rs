//! Durations as Go writes them: `30s`, `1h30m`, `500ms`, `1.5h`.
//! Parsing only.

use std::time::Duration;

/// Parses a duration; negative ones are refused, `0` needs no unit.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanoseconds = 0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let tail = &rest[end..];
        let (unit, length) =
            [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)]
                .into_iter()
                .find(|(unit, _)| tail.starts_with(unit))?;
        nanoseconds += number * length;
        rest = &tail[unit.len()..];
    }
    Duration::try_from_secs_f64(nanoseconds / 1e9).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_syntax_of_go() {
        for (text, seconds) in
            [("30s", 30.0), ("1h30m", 5400.0), ("500ms", 0.5), ("1.5h", 5400.0), ("0", 0.0)]
        {
            assert_eq!(parse(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for bad in ["", "30", "s", "1x", "-5s", "1h30", "1d"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
