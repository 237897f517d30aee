//! The last verdicts, by the hash of their token: tokens themselves are not kept.
//! Bounded in time and number. Strangers are forgotten before those who were let in.

use std::collections::HashMap;

use tokio::time::Instant;

use super::{Limits, Verdict};

type Key = [u8; 32];

#[derive(Debug)]
pub(super) struct Memory {
    limits: Limits,
    entries: HashMap<Key, Entry>,
}

#[derive(Debug)]
struct Entry {
    verdict: Verdict,
    /// When the API server is to be asked again.
    until: Instant,
}

/// What is known of a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    Fresh(Verdict),
    /// It was let in, too long ago.
    Stale,
    Unknown,
}

impl Memory {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, entries: HashMap::new() }
    }

    pub(super) fn look(&self, key: &Key, now: Instant) -> Look {
        match self.entries.get(key) {
            Some(entry) if now < entry.until => Look::Fresh(entry.verdict.clone()),
            Some(Entry { verdict: Verdict::Allowed, .. }) => Look::Stale,
            _ => Look::Unknown,
        }
    }

    pub(super) fn remember(&mut self, key: Key, verdict: Verdict, now: Instant) {
        self.entries.remove(&key);
        if self.entries.len() >= self.limits.tokens {
            self.entries.retain(|_, entry| entry.verdict == Verdict::Allowed || now < entry.until);
        }
        if self.entries.len() >= self.limits.tokens {
            // Those who were refused first, and among equals the one whose time is over first.
            let rank = |entry: &Entry| (entry.verdict == Verdict::Allowed, entry.until);
            let least = self.entries.iter().min_by_key(|(_, entry)| rank(entry)).map(|(key, _)| *key);
            least.and_then(|key| self.entries.remove(&key));
        }
        let lasts = if verdict == Verdict::Allowed { self.limits.allowed } else { self.limits.denied };
        self.entries.insert(key, Entry { verdict, until: now + lasts });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn memory(tokens: usize) -> Memory {
        Memory::new(Limits { tokens, ..Limits::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn verdicts_hold_for_their_time_and_whoever_was_let_in_is_known_afterwards() {
        let (mut memory, now) = (memory(8), Instant::now());
        memory.remember([1; 32], Verdict::Allowed, now);
        memory.remember([2; 32], Verdict::Unknown, now);
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(memory.look(&[1; 32], after(119)), Look::Fresh(Verdict::Allowed));
        assert_eq!(memory.look(&[1; 32], after(120)), Look::Stale);
        assert_eq!(memory.look(&[2; 32], after(9)), Look::Fresh(Verdict::Unknown));
        assert_eq!(memory.look(&[2; 32], after(10)), Look::Unknown);
        assert_eq!(memory.look(&[3; 32], now), Look::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_memory_forgets_strangers_first_and_never_grows() {
        let (mut memory, now) = (memory(4), Instant::now());
        memory.remember([200; 32], Verdict::Allowed, now);
        for stranger in 0..100 {
            memory.remember([stranger; 32], Verdict::Unknown, now + Duration::from_millis(stranger.into()));
            assert!(memory.entries.len() <= 4);
        }
        assert_eq!(memory.look(&[200; 32], now), Look::Fresh(Verdict::Allowed));
        assert_eq!(memory.look(&[99; 32], now), Look::Fresh(Verdict::Unknown));
        for reader in 100..110 {
            memory.remember([reader; 32], Verdict::Allowed, now + Duration::from_secs(reader.into()));
        }
        assert_eq!((memory.entries.len(), memory.look(&[200; 32], now)), (4, Look::Unknown));
    }
}
