//! Durations as Go writes them: `30s`, `1h30m`, `500ms`, `1.5h`, `-5m`.
//! Parsing only; whether a negative one makes sense is for its flag to say.

use jiff::SignedDuration;

/// Parses a duration of up to 292 years, the range of Go; `0` needs no unit.
pub(super) fn parse(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0_i64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, size) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        nanoseconds = nanoseconds.checked_add(scaled(number, *size)?)?;
        rest = &tail[unit.len()..];
    }
    Some(SignedDuration::from_nanos(if negative { -nanoseconds } else { nanoseconds }))
}

/// `ms` stands before `m`, since the first that fits is taken. Micro has two code points.
const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A decimal number of units in nanoseconds; what is below a nanosecond is cut.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let mut total = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.checked_mul(unit)? };
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(i64::from(digit - b'0') * place)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_syntax_of_go() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1.s", 1_000),
            ("+2m", 120_000),
            ("-5s", -5_000),
            ("0", 0),
            ("-0", 0),
            ("2us500µs500μs1ms", 2),
            ("2562047h", 2_562_047 * 3_600_000),
        ] {
            assert_eq!(parse(text).map(|d| d.as_millis()), Some(milliseconds), "{text}");
        }
        for bad in
            ["", "30", "s", "1x", "+", "-", "--1s", "1h30", "1d", "1.2.3s", ".s", "1 s", "1e3s", "9999999h"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
