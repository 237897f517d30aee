//! Selection policies: one choice among the workers that may be chosen (runtime.md 7.1).
//! A policy must not know about health; the pool hands it only eligible workers.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// The instance id of a worker as discovery announces it.
pub type WorkerId = u64;

/// What a policy may know about one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    pub id: WorkerId,
    /// Number of data-parallel ranks behind this instance; 1 for most workers.
    pub data_parallel_size: u32,
}

impl Worker {
    #[must_use]
    pub fn new(id: WorkerId) -> Self {
        Self { id, data_parallel_size: 1 }
    }
}

/// What a policy may know about the request. Token ids and block size matter to cache-aware policies only.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestFacts<'a> {
    pub token_ids: &'a [u32],
    /// Tokens per KV block of the model; 0 when the card does not say.
    pub block_size: u32,
}

/// The spelling of `--router-mode` (runtime.md 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouterMode {
    #[default]
    RoundRobin,
    Random,
    Kv,
}

impl FromStr for RouterMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "round-robin" => Ok(Self::RoundRobin),
            "random" => Ok(Self::Random),
            "kv" => Ok(Self::Kv),
            other => Err(format!("router mode `{other}` is not known; use one of round-robin, random, kv")),
        }
    }
}

impl fmt::Display for RouterMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
            Self::Kv => "kv",
        })
    }
}

/// A selection policy. `workers` is never empty, is sorted by id, and holds only workers that may be chosen.
pub trait Selector: Send + Sync + fmt::Debug {
    /// The chosen worker, or none when the policy refuses all of them.
    fn select(&self, workers: &[Worker], facts: &RequestFacts<'_>) -> Option<WorkerId>;
}

/// Counter modulo the number of eligible workers.
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: AtomicU64,
}

impl Selector for RoundRobin {
    fn select(&self, workers: &[Worker], _facts: &RequestFacts<'_>) -> Option<WorkerId> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let index = turn.checked_rem(workers.len() as u64)?;
        workers.get(usize::try_from(index).ok()?).map(|worker| worker.id)
    }
}

/// Uniform choice among the eligible workers.
#[derive(Debug, Default)]
pub struct RandomChoice;

impl Selector for RandomChoice {
    fn select(&self, workers: &[Worker], _facts: &RequestFacts<'_>) -> Option<WorkerId> {
        if workers.is_empty() {
            return None;
        }
        workers.get(rand::random_range(0..workers.len())).map(|worker| worker.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(ids: &[u64]) -> Vec<Worker> {
        ids.iter().map(|id| Worker::new(*id)).collect()
    }

    #[test]
    fn round_robin_gives_every_worker_the_same_share() {
        let policy = RoundRobin::default();
        let all = workers(&[3, 5, 9]);
        let chosen: Vec<_> = (0..6).filter_map(|_| policy.select(&all, &RequestFacts::default())).collect();
        assert_eq!(chosen, [3, 5, 9, 3, 5, 9]);
    }

    #[test]
    fn random_chooses_only_offered_workers_and_reaches_all() {
        let all = workers(&[1, 2, 3]);
        let chosen: std::collections::BTreeSet<_> =
            (0..400).filter_map(|_| RandomChoice.select(&all, &RequestFacts::default())).collect();
        assert_eq!(chosen.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn no_worker_means_no_choice() {
        assert_eq!(RoundRobin::default().select(&[], &RequestFacts::default()), None);
        assert_eq!(RandomChoice.select(&[], &RequestFacts::default()), None);
    }

    #[test]
    fn router_mode_spellings_round_trip() {
        for text in ["round-robin", "random", "kv"] {
            assert_eq!(text.parse::<RouterMode>().map(|mode| mode.to_string()), Ok(text.to_owned()));
        }
        assert!("rr".parse::<RouterMode>().is_err());
    }
}
