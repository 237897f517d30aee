//! Histogram buckets: the formula of runtime.md 10.1 and its environment overrides.
//! Must give the reference's numbers, since dashboards compare series of both.

/// Smallest, largest and number of buckets, and the word in the variables that override them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub word: &'static str,
    pub min: f64,
    pub max: f64,
    pub count: u32,
}

pub const REQUEST_DURATION: Range = Range { word: "REQUEST_DURATION", min: 1.0, max: 256.0, count: 10 };
pub const INPUT_SEQUENCE: Range = Range { word: "INPUT_SEQUENCE", min: 50.0, max: 128_000.0, count: 12 };
pub const OUTPUT_SEQUENCE: Range = Range { word: "OUTPUT_SEQUENCE", min: 50.0, max: 32_000.0, count: 10 };
pub const TTFT: Range = Range { word: "TTFT", min: 0.001, max: 480.0, count: 18 };
pub const ITL: Range = Range { word: "ITL", min: 0.001, max: 2.0, count: 13 };

const MAX_COUNT: u32 = 512;

/// First 0, then exponential from above `min` to `max`, rounded to two significant figures, duplicates removed.
#[must_use]
pub fn exponential(min: f64, max: f64, count: u32) -> Vec<f64> {
    let mut list = vec![0.0];
    let (low, high) = (min.ln(), max.ln());
    for step in 1..count {
        let value = (low + (high - low) * f64::from(step) / f64::from(count - 1)).exp();
        let value = two_figures(value);
        if list.last().is_none_or(|last| *last < value) {
            list.push(value);
        }
    }
    list
}

fn two_figures(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

#[must_use]
pub fn tokenizer_latency() -> Vec<f64> {
    std::iter::once(0.5).chain((0..10).map(|power| f64::from(1u32 << power))).collect()
}

/// The buckets of a range with overrides from the environment. An invalid set gives all three defaults.
#[must_use]
pub fn from_environment(range: &Range) -> Vec<f64> {
    resolve(range, |name| std::env::var(name).ok())
}

fn resolve(range: &Range, variable: impl Fn(&str) -> Option<String>) -> Vec<f64> {
    let read = |suffix: &str| {
        let name = format!("DYN_METRICS_{}_{suffix}", range.word);
        variable(&format!("DYN_HISTOGRAM_{name}")).or_else(|| variable(&name)).filter(|text| !text.is_empty())
    };
    let number = |suffix: &str, default: f64| match read(suffix) {
        Some(text) => text.trim().parse::<f64>().ok(),
        None => Some(default),
    };
    let set = (|| {
        let (min, max) = (number("MIN", range.min)?, number("MAX", range.max)?);
        let count = match read("COUNT") {
            Some(text) => text.trim().parse().ok()?,
            None => range.count,
        };
        let valid = min > 0.0 && max > min && max.is_finite() && (2..=MAX_COUNT).contains(&count);
        valid.then_some((min, max, count))
    })();
    let (min, max, count) = set.unwrap_or_else(|| {
        tracing::warn!(
            "DYN_HISTOGRAM_DYN_METRICS_{}_MIN, _MAX or _COUNT is not valid (0 < min < max, count 2 to {MAX_COUNT}); \
             using the defaults",
            range.word
        );
        (range.min, range.max, range.count)
    });
    exponential(min, max, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_gives_the_reference_buckets() {
        assert_eq!(exponential(1.0, 256.0, 10), [0.0, 1.9, 3.4, 6.3, 12.0, 22.0, 40.0, 75.0, 140.0, 260.0]);
        let ttft = exponential(0.001, 480.0, 18);
        assert_eq!((ttft.len(), ttft[0], ttft[1], ttft[17]), (18, 0.0, 0.0022, 480.0));
        assert_eq!(exponential(0.001, 2.0, 13)[12], 2.0);
        assert_eq!(tokenizer_latency()[..4], [0.5, 1.0, 2.0, 4.0]);
        assert_eq!(tokenizer_latency().last(), Some(&512.0));
    }

    #[test]
    fn overrides_are_read_under_both_names_and_an_invalid_set_is_ignored_as_a_whole() {
        let with = |pairs: &'static [(&'static str, &'static str)]| {
            resolve(&ITL, move |name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[("DYN_HISTOGRAM_DYN_METRICS_ITL_COUNT", "2")]), [0.0, 2.0]);
        assert_eq!(with(&[("DYN_METRICS_ITL_MAX", "4"), ("DYN_METRICS_ITL_COUNT", "2")]), [0.0, 4.0]);
        let defaults = exponential(ITL.min, ITL.max, ITL.count);
        for bad in [
            &[("DYN_METRICS_ITL_COUNT", "513"), ("DYN_METRICS_ITL_MAX", "4")] as &'static [_],
            &[("DYN_METRICS_ITL_MIN", "x")],
            &[("DYN_METRICS_ITL_MIN", "3")],
        ] {
            assert_eq!(with(bad), defaults);
        }
    }
}
