//! How long the imitated engine takes (runtime.md 9.2).
//! It must not look at a clock: it only computes.

/// Tokens at which the decode polynomial's fraction is 1, whatever the capacity.
const REFERENCE_TOKENS: f64 = 16384.0;

/// Milliseconds to prefill `tokens` new tokens.
pub fn prefill_ms(tokens: usize) -> f64 {
    let n = tokens as f64;
    (4.209_989e-7 * n * n + 1.518_344e-2 * n + 16.501_42).max(0.0)
}

/// Milliseconds of one decode step while `active_kv_tokens` are held in the cache.
pub fn decode_ms(active_kv_tokens: usize) -> f64 {
    let a = active_kv_tokens as f64 / REFERENCE_TOKENS;
    (-25.74 * a * a + 54.01 * a + 5.74).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_polynomials_and_are_never_negative() {
        assert!((prefill_ms(0) - 16.501_42).abs() < 1e-9);
        assert!((prefill_ms(1000) - 32.105_858_9).abs() < 1e-6);
        assert!((decode_ms(0) - 5.74).abs() < 1e-9);
        assert!((decode_ms(16384) - 34.01).abs() < 1e-9);
        assert!(decode_ms(10_000_000).abs() < 1e-9);
    }
}
