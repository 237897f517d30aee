//! Quantities of Kubernetes as numbers, so that they can be compared (`api.md` sections 2 and 5).
//! Exact down to a billionth; what is beyond the range counts as the end of the range.

/// A quantity, in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount(i128);

const UNIT: i128 = 1_000_000_000;
/// Billionths are nine decimal places.
const PLACES: i64 = 9;

impl Amount {
    /// Reads a quantity such as `2`, `500m`, `64Gi` or `1e3`; `None` for what the API server cannot read.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if number.len() == number.matches('.').count() || fraction.contains('.') {
            return None;
        }
        let (decimal, binary) = scale(suffix)?;
        let digits = whole.bytes().chain(fraction.bytes()).map(|byte| i128::from(byte - b'0'));
        let mantissa = digits.fold(0_i128, |value, digit| value.saturating_mul(10).saturating_add(digit));
        let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        let value = shift(mantissa, decimal.saturating_add(PLACES).saturating_sub(places))
            .saturating_mul(1_i128 << binary);
        Some(Self(if negative { -value } else { value }))
    }

    pub(super) fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub(super) fn is_whole(self) -> bool {
        self.0 % UNIT == 0
    }
}

/// The power of ten and the power of two of a suffix.
fn scale(suffix: &str) -> Option<(i64, u32)> {
    Some(match suffix {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            let number = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
            (number.then(|| digits.parse().ok())??, 0)
        }
    })
}

/// `value` times a power of ten, rounded away from zero as the API server does.
fn shift(value: i128, power: i64) -> i128 {
    const MOST: u32 = 38;
    let exponent = u32::try_from(power.unsigned_abs()).unwrap_or(u32::MAX).min(MOST + 1);
    match 10_i128.checked_pow(exponent) {
        _ if value == 0 => 0,
        Some(factor) if power >= 0 => value.saturating_mul(factor),
        Some(factor) => value / factor + i128::from(value % factor != 0),
        None if power >= 0 => i128::MAX,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_reads_is_read_and_nothing_else() {
        for good in ["1", "0.5", ".5", "5.", "500m", "64Gi", "1e3", "1E-3", "+2", "-1k", "2E", "1e99999"] {
            assert!(Amount::parse(good).is_some(), "{good}");
        }
        for bad in [
            "", "abc", "1 Gi", "1GiB", "1..5", "1.2.3", ".", "-", "e3", "1e", "0x10", "1kk", "ten", "1e1.5",
            "½",
        ] {
            assert!(Amount::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn amounts_compare_across_suffixes() {
        let order =
            ["-1", "0", "1n", "1u", "1m", "0.1", "1", "1k", "1Ki", "1M", "1Mi", "1Gi", "1e12", "1Ei", "1e40"];
        for pair in order.windows(2) {
            assert!(Amount::parse(pair[0]) < Amount::parse(pair[1]), "{pair:?}");
        }
        for (one, other) in
            [("0.1", "100m"), ("1024Mi", "1Gi"), ("1e3", "1k"), ("1.5Gi", "1536Mi"), ("0.1n", "1n")]
        {
            assert_eq!(Amount::parse(one), Amount::parse(other), "{one} {other}");
        }
        assert!(Amount::parse("2000m").is_some_and(Amount::is_whole));
        assert!(!Amount::parse("1500m").is_some_and(Amount::is_whole));
        assert!(Amount::parse("-1m").is_some_and(Amount::is_negative));
    }
}
