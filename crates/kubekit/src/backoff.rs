//! Growing delays per object for failed reconciles.
//! It keeps counts only; the queue does the waiting.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Failure counts by key: 1 s, 2 s, 4 s … 5 min, each with up to a quarter of jitter taken off.
#[derive(Debug)]
pub struct Failures<Key> {
    counts: Mutex<HashMap<Key, u32>>,
}

impl<Key> Default for Failures<Key> {
    fn default() -> Self {
        Self { counts: Mutex::default() }
    }
}

impl<Key: Hash + Eq> Failures<Key> {
    /// Counts one more failure and returns the delay before the next try.
    pub fn record(&self, key: Key) -> Duration {
        let count = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(key).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        jittered(FIRST.saturating_mul(1 << (count - 1).min(16)).min(LONGEST))
    }

    /// Failures in a row so far.
    pub fn count(&self, key: &Key) -> u32 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or(0)
    }

    /// Forgets the failures of a key after a success or the end of the object.
    pub fn reset(&self, key: &Key) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// `delay` less a random part of up to a quarter, so that many objects do not come back at the same moment.
#[must_use]
pub fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(1.0 - rand::random::<f64>() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_five_minutes_and_a_success_starts_over() {
        let failures = Failures::default();
        let delays: Vec<_> = (0..12).map(|_| failures.record("uid")).collect();
        assert!(delays[0] <= FIRST && delays[0] >= FIRST.mul_f64(0.75));
        assert!(delays[11] <= LONGEST && delays[11] >= LONGEST.mul_f64(0.75));
        assert!(delays.windows(3).take(6).all(|w| w[2] > w[0]));
        failures.reset(&"uid");
        assert!(failures.record("uid") <= FIRST);
    }
}
