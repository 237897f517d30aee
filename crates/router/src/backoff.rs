//! Per-instance back-off after failed connects, with a single probe when it runs out (runtime.md, Weak spots).
//! Must not read a clock: the caller passes `now`, so that the rules are testable.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::WorkerId;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// How long a probe may stay without an answer before another one is allowed.
const PROBE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Held {
    failures: u32,
    until: Instant,
}

/// Which instances are held back. A held instance is not chosen while others exist; once its time has passed,
/// one request may try it (the probe), and only a success brings it back for all.
#[derive(Debug, Default)]
pub struct Backoff {
    held: HashMap<WorkerId, Held>,
}

impl Backoff {
    /// True when the instance is free, or when its time is over and nobody is probing it.
    #[must_use]
    pub fn may_choose(&self, id: WorkerId, now: Instant) -> bool {
        self.held.get(&id).is_none_or(|held| now >= held.until)
    }

    /// Records a choice: choosing an instance whose time is over makes this request its probe.
    pub fn chosen(&mut self, id: WorkerId, now: Instant) {
        if let Some(held) = self.held.get_mut(&id) {
            held.until = held.until.max(now + PROBE);
        }
    }

    pub fn succeeded(&mut self, id: WorkerId) {
        self.held.remove(&id);
    }

    /// Holds the instance: 0.5 s, doubling with each further failure up to 30 s.
    pub fn failed(&mut self, id: WorkerId, now: Instant) {
        let held = self.held.entry(id).or_insert(Held { failures: 0, until: now });
        let delay = FIRST.saturating_mul(1 << held.failures.min(10)).min(LONGEST);
        held.failures = held.failures.saturating_add(1);
        held.until = now + delay;
    }

    /// Forgets instances that discovery no longer shows.
    pub fn retain(&mut self, present: impl Fn(WorkerId) -> bool) {
        self.held.retain(|id, _| present(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_instance_is_held_then_probed_once_then_free_after_success() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        assert!(backoff.may_choose(7, start));
        backoff.failed(7, start);
        assert!(!backoff.may_choose(7, start));
        let later = start + FIRST;
        assert!(backoff.may_choose(7, later));
        backoff.chosen(7, later);
        assert!(!backoff.may_choose(7, later), "only one probe at a time");
        backoff.succeeded(7);
        assert!(backoff.may_choose(7, later));
    }

    #[test]
    fn repeated_failures_hold_longer_up_to_a_limit() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        backoff.failed(1, start);
        backoff.failed(1, start);
        assert!(!backoff.may_choose(1, start + FIRST));
        for _ in 0..100 {
            backoff.failed(1, start);
        }
        assert!(backoff.may_choose(1, start + LONGEST));
    }

    #[test]
    fn a_vanished_instance_is_forgotten() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        backoff.failed(1, now);
        backoff.retain(|id| id != 1);
        assert!(backoff.may_choose(1, now));
    }
}
