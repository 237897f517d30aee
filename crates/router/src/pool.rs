//! The workers of one endpoint as the router sees them: eligibility first, then the policy.
//! Must not learn about instances by itself; discovery's owner calls `set_workers`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::{Backoff, RandomChoice, RequestFacts, RoundRobin, RouterMode, Selector, Worker, WorkerId};

/// The workers of one endpoint with their back-off state and the policy that chooses among them.
#[derive(Debug)]
pub struct Pool {
    selector: Box<dyn Selector>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    workers: Vec<Worker>,
    backoff: Backoff,
}

impl Pool {
    #[must_use]
    pub fn new(selector: Box<dyn Selector>) -> Self {
        Self { selector, state: Mutex::default() }
    }

    /// A pool with the policy of a mode that needs no cache index.
    ///
    /// # Errors
    /// For `kv`, which is not in this build.
    pub fn for_mode(mode: RouterMode) -> Result<Self, String> {
        match mode {
            RouterMode::RoundRobin => Ok(Self::new(Box::<RoundRobin>::default())),
            RouterMode::Random => Ok(Self::new(Box::new(RandomChoice))),
            RouterMode::Kv => Err("router mode `kv` is not in this build; use round-robin or random".into()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the set of workers that may be chosen; draining ones are simply left out by the caller.
    pub fn set_workers(&self, mut workers: Vec<Worker>) {
        workers.sort_by_key(|worker| worker.id);
        workers.dedup_by_key(|worker| worker.id);
        let mut state = self.state();
        state.backoff.retain(|id| workers.iter().any(|worker| worker.id == id));
        state.workers = workers;
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.state().workers.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn contains(&self, id: WorkerId) -> bool {
        self.state().workers.iter().any(|worker| worker.id == id)
    }

    /// Chooses a worker. `tried` are instances this request already failed on: they are used again only when
    /// nothing else is there; held instances are used only when every other one is tried or held too.
    pub fn choose(&self, facts: &RequestFacts<'_>, tried: &[WorkerId], now: Instant) -> Option<WorkerId> {
        let mut state = self.state();
        let fresh = |worker: &&Worker| !tried.contains(&worker.id);
        let free = |worker: &&Worker| state.backoff.may_choose(worker.id, now);
        let mut eligible: Vec<Worker> = state.workers.iter().filter(free).filter(fresh).copied().collect();
        if eligible.is_empty() {
            eligible = state.workers.iter().filter(fresh).copied().collect();
        }
        if eligible.is_empty() {
            eligible.clone_from(&state.workers);
        }
        if eligible.is_empty() {
            return None;
        }
        let id = self.selector.select(&eligible, facts)?;
        state.backoff.chosen(id, now);
        Some(id)
    }

    /// The instance accepted a request: it is free for all again.
    pub fn succeeded(&self, id: WorkerId) {
        self.state().backoff.succeeded(id);
    }

    /// The instance could not be reached or refused before accepting anything.
    pub fn failed(&self, id: WorkerId, now: Instant) {
        self.state().backoff.failed(id, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(ids: &[u64]) -> Pool {
        let pool = Pool::for_mode(RouterMode::RoundRobin).expect("round-robin is built in");
        pool.set_workers(ids.iter().map(|id| Worker::new(*id)).collect());
        pool
    }

    #[test]
    fn a_failed_worker_is_not_chosen_while_others_exist() {
        let pool = pool(&[1, 2]);
        let now = Instant::now();
        pool.failed(1, now);
        for _ in 0..4 {
            assert_eq!(pool.choose(&RequestFacts::default(), &[], now), Some(2));
        }
    }

    #[test]
    fn a_failed_worker_is_chosen_when_it_is_the_only_one() {
        let pool = pool(&[1]);
        let now = Instant::now();
        pool.failed(1, now);
        assert_eq!(pool.choose(&RequestFacts::default(), &[], now), Some(1));
        assert_eq!(pool.choose(&RequestFacts::default(), &[1], now), Some(1));
    }

    #[test]
    fn a_retry_goes_to_a_worker_not_tried_yet() {
        let pool = pool(&[1, 2, 3]);
        let now = Instant::now();
        for _ in 0..5 {
            assert_eq!(pool.choose(&RequestFacts::default(), &[1, 3], now), Some(2));
        }
    }

    #[test]
    fn a_removed_worker_is_never_chosen() {
        let pool = pool(&[1, 2]);
        pool.set_workers(vec![Worker::new(2)]);
        for _ in 0..4 {
            assert_eq!(pool.choose(&RequestFacts::default(), &[], Instant::now()), Some(2));
        }
        pool.set_workers(Vec::new());
        assert_eq!(pool.choose(&RequestFacts::default(), &[], Instant::now()), None);
    }

    #[test]
    fn kv_mode_is_refused_with_the_way_out() {
        let message = Pool::for_mode(RouterMode::Kv).err().unwrap_or_default();
        assert!(message.contains("round-robin"), "{message}");
    }
}
