//! A bound on how many reviews run at once and how many begin in a second.
//! Whoever comes beyond it waits a moment at most.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

/// How long a caller waits for one of the places.
const WAIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Lane {
    places: Semaphore,
    bucket: Mutex<Bucket>,
}

/// A bucket of turns that fills steadily up to one second's worth.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    turns: f64,
    filled: Instant,
}

impl Lane {
    pub(super) fn new(at_once: usize, per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        let bucket = Bucket { per_second, turns: per_second, filled: Instant::now() };
        Self { places: Semaphore::new(at_once), bucket: Mutex::new(bucket) }
    }

    /// A turn, given back when dropped; `None` when there is none to be had soon.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // First the place: a turn is not to be spent by somebody who then gets none.
        let place = timeout(WAIT, self.places.acquire()).await.ok()?.ok()?;
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(Instant::now()).then_some(place)
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let gained = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        self.turns = (self.turns + gained).min(self.per_second);
        self.filled = now;
        if self.turns < 1.0 {
            return false;
        }
        self.turns -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_turns_begin_in_a_second_than_agreed_and_saved_ones_are_bounded() {
        let lane = Lane::new(100, 10);
        let taken = || async {
            let mut taken = 0;
            while lane.turn().await.is_some() {
                taken += 1;
            }
            taken
        };
        assert_eq!(taken().await, 10);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(taken().await, 5);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(taken().await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_waits_a_moment_for_a_place_and_is_then_sent_away() {
        let lane = Lane::new(1, 10);
        let first = lane.turn().await;
        assert!(first.is_some());
        assert!(lane.turn().await.is_none());
        drop(first);
        assert!(lane.turn().await.is_some());
    }
}
