//! Holds back writes that say little until they have lasted: of many small changes in a row one is written.
//! It keeps times only; the queue does the waiting.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When the difference that an object waits to write was first seen, by key.
#[derive(Debug)]
pub struct Debounce<Key> {
    pause: Duration,
    since: Mutex<HashMap<Key, Instant>>,
}

impl<Key: Hash + Eq> Debounce<Key> {
    /// Writes are due `pause` after their difference was first seen.
    #[must_use]
    pub fn new(pause: Duration) -> Self {
        Self { pause, since: Mutex::default() }
    }

    /// How long a difference must still wait; `None` when it is due, and then the next one starts afresh.
    pub fn wait(&self, key: Key) -> Option<Duration> {
        self.wait_at(key, Instant::now())
    }

    fn wait_at(&self, key: Key, now: Instant) -> Option<Duration> {
        let mut all = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = *all.get(&key).unwrap_or(&now);
        let left = self.pause.checked_sub(now.duration_since(seen)).filter(|left| !left.is_zero());
        match left {
            Some(_) => _ = all.entry(key).or_insert(now),
            None => _ = all.remove(&key),
        }
        left
    }

    /// There is no difference any more, or it was written at once, or the object is gone.
    pub fn settle(&self, key: &Key) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_due_a_pause_after_it_was_first_seen_however_often_it_is_looked_at() {
        let second = Duration::from_secs(1);
        let debounce = Debounce::new(second);
        let start = Instant::now();
        assert_eq!(debounce.wait_at("a", start), Some(second));
        assert_eq!(debounce.wait_at("a", start + second / 4), Some(second * 3 / 4));
        assert_eq!(debounce.wait_at("b", start + second / 4), Some(second));
        assert_eq!(debounce.wait_at("a", start + second), None);
        assert_eq!(debounce.wait_at("a", start + second), Some(second), "the next difference");
        debounce.settle(&"b");
        assert_eq!(debounce.wait_at("b", start + second * 2), Some(second), "it was settled meanwhile");
    }
}
