//! Growing delays per object for failed reconciles.
//! It keeps counts only; the queue does the waiting.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Failures in a row by key, with delays of 1 s, 2 s, 4 s … 5 min, each with up to a quarter of jitter taken off.
#[derive(Debug)]
pub struct Failures<Key> {
    rows: Mutex<HashMap<Key, Row>>,
}

#[derive(Debug, Default)]
struct Row {
    count: u32,
    told: Option<String>,
}

impl<Key> Default for Failures<Key> {
    fn default() -> Self {
        Self { rows: Mutex::default() }
    }
}

impl<Key: Hash + Eq> Failures<Key> {
    fn rows(&self) -> MutexGuard<'_, HashMap<Key, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more failure and returns the delay before the next try.
    pub fn record(&self, key: Key) -> Duration {
        let count = {
            let mut rows = self.rows();
            let row = rows.entry(key).or_default();
            row.count = row.count.saturating_add(1);
            row.count
        };
        jittered(FIRST.saturating_mul(1 << (count - 1).min(16)).min(LONGEST))
    }

    /// Failures in a row so far.
    pub fn count(&self, key: &Key) -> u32 {
        self.rows().get(key).map_or(0, |row| row.count)
    }

    /// Whether this failure is another one than was asked about last, for what is told once and not at every try.
    pub fn is_news(&self, key: Key, failure: &str) -> bool {
        let mut rows = self.rows();
        let row = rows.entry(key).or_default();
        if row.told.as_deref() == Some(failure) {
            return false;
        }
        row.told = Some(failure.to_owned());
        true
    }

    /// Forgets the failures of a key after a success or the end of the object.
    pub fn reset(&self, key: &Key) {
        self.rows().remove(key);
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

    #[test]
    fn a_failure_is_news_once_in_a_row_however_many_came_before() {
        let failures = Failures::default();
        failures.record("uid");
        let asked: Vec<_> = ["a", "a", "b", "b"].map(|text| failures.is_news("uid", text)).into();
        assert_eq!(asked, [true, false, true, false]);
        failures.reset(&"uid");
        assert!(failures.is_news("uid", "b"));
    }
}
