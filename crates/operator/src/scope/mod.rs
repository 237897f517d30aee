//! Which namespaces this process writes in: exactly one writer per namespace at every moment
//! (`operator-process.md` section 5). It decides; controllers, webhooks and the client's fence ask.
//!
//! Why there are never two writers. `H` is the hand-over time (10 s), `D` the duration of the claim (30 s).
//!
//! *A restricted operator takes over.* Its claim is in etcd at some time C, and it knows at A >= C. A cluster-wide
//! operator writes only by a list of the claims that does not show this namespace. Lists are quorum reads, so such a
//! list began at L < C. A write may start until L + H/2 and must be answered by L + 0.9 H, else its connection is
//! reset. The restricted operator writes from A + H on, and A + H > L + 0.9 H.
//!
//! *A cluster-wide operator takes over.* The restricted one writes as long as an answer can be in by R + D - D/6,
//! where R is when its last successful renewal began. The cluster-wide one saw that renewal after R and writes D after
//! it saw it, or when the holder gave the claim back, which it does after its last write.
//!
//! Both sides use only their own monotonic clock, and only for durations: clocks that differ or jump change nothing.
//! The hand-over time is the one value on which all operators of a cluster must agree.

mod claim;
mod exclusions;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dynamo_kubekit::{
    client::ANSWER_LIMIT,
    fence::{Fence, Refused},
    lease::Term,
};
use futures::{FutureExt, future::BoxFuture};
use tokio::time::Instant;
use tower::BoxError;
use tracing::info;

pub use claim::{Claim, ClaimLost, Ticket};
pub use exclusions::Exclusions;

/// Name of the Lease that claims its namespace.
pub const MARKER: &str = "dynamo-operator-namespace-scope";

/// Namespaces with this in their name are left alone by cluster-wide operators.
const EPHEMERAL: &str = "ephemeral";

/// How many names of passed over namespaces are remembered, so that each is told once.
const REMEMBERED: usize = 10_000;

/// The longest duration that a Lease can say.
const LONGEST: Duration = Duration::from_secs(2_147_483_647);

/// The longest hand-over time.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Times of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    duration: Duration,
    interval: Duration,
    hand_over: Duration,
}

/// Times that cannot work together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    #[error("--namespace-scope-{name}: {value:?}: must be 1s or longer")]
    TooShort { name: &'static str, value: Duration },
    #[error("--namespace-scope-{name}: {value:?}: must not be above {limit:?}")]
    TooLong { name: &'static str, value: Duration, limit: Duration },
    #[error(
        "--namespace-scope-lease-renew-interval: {interval:?}: must be shorter than \
         --namespace-scope-lease-duration ({duration:?})"
    )]
    TooSeldom { interval: Duration, duration: Duration },
}

impl Default for Settings {
    fn default() -> Self {
        let [duration, interval, hand_over] = [30, 10, 10].map(Duration::from_secs);
        Self { duration, interval, hand_over }
    }
}

impl Settings {
    /// `duration` of the claim of a restricted operator, longest pause between the starts of two renewals, and the time
    /// after which no knowledge from before a claim is in use any more. `None` takes the default: 30 s, 10 s, 10 s.
    ///
    /// # Errors
    /// See [`BadSettings`]; the texts name the flags.
    pub fn new(
        duration: Option<Duration>,
        interval: Option<Duration>,
        hand_over: Option<Duration>,
    ) -> Result<Self, BadSettings> {
        let default = Self::default();
        let given = duration.unwrap_or(default.duration);
        let settings = Self {
            // A Lease says whole seconds.
            duration: Duration::from_secs(given.as_secs()),
            interval: interval.unwrap_or(default.interval),
            hand_over: hand_over.unwrap_or(default.hand_over),
        };
        for (name, value, limit) in [
            ("lease-duration", given, LONGEST),
            ("lease-renew-interval", settings.interval, LONGEST),
            ("hand-over", settings.hand_over, HOUR),
        ] {
            if value < Duration::from_secs(1) {
                return Err(BadSettings::TooShort { name, value });
            }
            if value > limit {
                return Err(BadSettings::TooLong { name, value, limit });
            }
        }
        if settings.interval >= given {
            return Err(BadSettings::TooSeldom { interval: settings.interval, duration: given });
        }
        Ok(settings)
    }

    /// How long a list of the claims lets a write start.
    fn freshness(&self) -> Duration {
        self.hand_over / 2
    }

    /// Until when after the begin of that list the write must be answered.
    fn window(&self) -> Duration {
        self.hand_over * 9 / 10
    }

    /// How long a renewal of the claim lets write.
    fn validity(&self) -> Duration {
        self.duration - self.duration / 6
    }

    /// Time between the begins of two renewals. The next one must be answered before the last lets write no more, or
    /// the hand-over time begins anew.
    fn pause(&self) -> Duration {
        self.interval.min(self.validity() / 2)
    }

    /// Renewals in a row that may fail before the process gives up.
    fn failure_limit(&self) -> u32 {
        let renewals = self.duration.as_nanos() / self.interval.as_nanos().max(1);
        u32::try_from(renewals).unwrap_or(u32::MAX).saturating_sub(1).max(1)
    }
}

/// What this process may touch. Cheap to clone; all clones share their knowledge.
#[derive(Debug, Clone)]
pub struct Scope {
    /// `None` without leader election: the process always leads.
    term: Option<Term>,
    realm: Realm,
    told: Arc<Mutex<HashSet<String>>>,
}

#[derive(Debug, Clone)]
enum Realm {
    All(Exclusions),
    Claimed(Ticket),
}

impl Scope {
    /// Every namespace but those that restricted operators claim.
    #[must_use]
    pub fn cluster_wide(exclusions: Exclusions, term: Option<Term>) -> Self {
        Self { term, realm: Realm::All(exclusions), told: Arc::default() }
    }

    /// One namespace, while its claim holds.
    #[must_use]
    pub fn restricted(ticket: Ticket, term: Option<Term>) -> Self {
        Self { term, realm: Realm::Claimed(ticket), told: Arc::default() }
    }

    /// The namespaces of others; `None` for a restricted operator, which knows only its own.
    #[must_use]
    pub fn exclusions(&self) -> Option<&Exclusions> {
        match &self.realm {
            Realm::All(exclusions) => Some(exclusions),
            Realm::Claimed(_) => None,
        }
    }

    /// Whether a restricted operator claims `namespace`.
    #[must_use]
    pub fn excludes(&self, namespace: &str) -> bool {
        self.exclusions().is_some_and(|exclusions| exclusions.contains(namespace))
    }

    /// Whether objects of `namespace` are not to be reconciled: a restricted operator claims it, or its name contains
    /// `ephemeral`. The end of a claim wakes what was passed over.
    #[must_use]
    pub fn passes_over(&self, namespace: &str) -> bool {
        let Realm::All(exclusions) = &self.realm else { return false };
        if namespace.contains(EPHEMERAL) {
            self.tell_once(namespace);
            return true;
        }
        exclusions.contains(namespace)
    }

    fn tell_once(&self, namespace: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= REMEMBERED {
            told.clear();
        }
        if told.insert(namespace.to_owned()) {
            info!(namespace, "left alone: its name contains {EPHEMERAL:?}");
        }
    }
}

impl Fence for Scope {
    fn permit(&self, namespace: Option<&str>) -> BoxFuture<'static, Result<Instant, BoxError>> {
        let (scope, namespace) = (self.clone(), namespace.map(ToOwned::to_owned));
        async move {
            let bound = match (&scope.realm, namespace) {
                (Realm::All(exclusions), Some(namespace)) => exclusions.permit(&namespace).await?,
                (Realm::All(_), None) => Instant::now() + ANSWER_LIMIT,
                (Realm::Claimed(ticket), _) => ticket.permit()?,
            };
            // Looked at last, so that nothing is waited for in between.
            let Some(term) = &scope.term else { return Ok(bound) };
            match term.until().filter(|until| Instant::now() < *until) {
                Some(until) => Ok(bound.min(until)),
                None => Err(Refused("this process does not lead").into()),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn times_that_cannot_work_are_refused_with_the_flag() {
        let refused =
            |duration, interval| Settings::new(duration, interval, None).err().map(|e| e.to_string());
        assert_eq!(refused(None, None), None);
        assert_eq!(refused(Some(S(2)), Some(S(1))), None);
        assert!(refused(Some(Duration::from_millis(900)), None).unwrap().contains("lease-duration: 900ms"));
        let text = refused(Some(S(5)), Some(Duration::from_millis(900))).unwrap();
        assert_eq!(text, "--namespace-scope-lease-renew-interval: 900ms: must be 1s or longer");
        let text = refused(Some(S(10)), None).unwrap();
        assert!(text.contains("renew-interval: 10s: must be shorter than"), "{text}");
    }

    #[test]
    fn times_that_a_lease_cannot_say_or_that_nobody_waits_are_refused() {
        let text = Settings::new(Some(LONGEST + S(1)), None, None).unwrap_err().to_string();
        assert_eq!(text, "--namespace-scope-lease-duration: 2147483648s: must not be above 2147483647s");
        let text = Settings::new(None, None, Some(HOUR + S(1))).unwrap_err().to_string();
        assert_eq!(text, "--namespace-scope-hand-over: 3601s: must not be above 3600s");
        assert!(Settings::new(Some(LONGEST), None, Some(HOUR)).is_ok());
    }

    #[test]
    fn the_limit_of_failures_is_that_of_the_contract() {
        let limit = |duration, interval| {
            Settings::new(Some(S(duration)), Some(S(interval)), None).unwrap().failure_limit()
        };
        assert_eq!([limit(30, 10), limit(30, 5), limit(3, 2), limit(35, 10)], [2, 5, 1, 2]);
    }

    #[test]
    fn knowledge_from_before_a_claim_runs_out_before_its_holder_writes() {
        for hand_over in [1, 4, 10, 60] {
            let settings = Settings::new(None, None, Some(S(hand_over))).unwrap();
            assert!(settings.freshness() < settings.window() && settings.window() < settings.hand_over);
            assert!(settings.validity() < settings.duration);
        }
    }
}
