//! What a cluster-wide operator knows of the claims of restricted ones: one watch on Leases of one name, and a list
//! of them when a write needs newer knowledge. It judges by what this process saw and when, never by a foreign clock.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dynamo_kubekit::{
    cache::{Cache, Change, Feed},
    client::ANSWER_LIMIT,
    fence::Refused,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::ListParams, runtime::watcher};
use tokio::{sync::Notify, time::Instant};
use tower::BoxError;
use tracing::info;

use super::{MARKER, Settings};

/// A claim that does not say how long it holds.
const UNSAID: Duration = Duration::from_secs(30);

/// The namespaces that restricted operators own. Cheap to clone; all clones share their knowledge.
#[derive(Debug, Clone)]
pub struct Exclusions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    api: Api<Lease>,
    settings: Settings,
    markers: Mutex<HashMap<String, Marker>>,
    changed: Notify,
    /// When the newest complete list of the claims began.
    confirmed: Mutex<Option<Instant>>,
    /// Whoever holds it lists; the others wait for that list.
    turn: tokio::sync::Mutex<()>,
}

/// The last known claim of a namespace. It stays when it has ended: an answer that is older than the end must not
/// bring the claim back.
#[derive(Debug)]
struct Marker {
    version: Option<u64>,
    seen: Instant,
    /// `None` when the end has been told.
    ends: Option<Instant>,
}

impl Marker {
    /// Whether a form of `version` that arrives now tells nothing new. Versions grow, and a list and the watch may
    /// tell theirs in the wrong order, but only within the time that an answer may take; a smaller version after that
    /// comes from a database that was restored.
    fn is_not_before(&self, version: Option<u64>, now: Instant) -> bool {
        match (self.version, version) {
            (Some(known), Some(new)) if new < known => now < self.seen + ANSWER_LIMIT,
            (known, new) => known.is_some() && known == new,
        }
    }
}

/// The claims could not be listed.
#[derive(Debug, thiserror::Error)]
enum Unconfirmed {
    #[error("cannot confirm that no restricted operator claims the namespace")]
    Failed(#[source] kube::Error),
    #[error("cannot confirm that no restricted operator claims the namespace: no answer within {0:?}")]
    Late(Duration),
}

impl Exclusions {
    /// Knows nothing yet; [`Exclusions::feed`] teaches it.
    #[must_use]
    pub fn new(client: Client, settings: Settings) -> Self {
        Self(Arc::new(Shared {
            api: Api::all(client),
            settings,
            markers: Mutex::default(),
            changed: Notify::new(),
            confirmed: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// The watch to run, and its cache, whose first list is to be waited for.
    ///
    /// That a claim is gone is nothing to learn from: its holder gave it back before, or has not stopped. A Lease that
    /// somebody else deleted counts to its end, and its holder makes it again.
    pub fn feed(&self) -> (impl Future<Output = ()> + Send + use<>, Cache<Lease>) {
        let config = watcher::Config::default().fields(&format!("metadata.name={MARKER}"));
        let mut feed = Feed::<Lease>::new(self.0.api.clone().into_client(), None, config);
        let exclusions = self.clone();
        feed.on_change(move |change| {
            if let Change::Applied { now, .. } = change {
                exclusions.observe(now, Instant::now());
            }
        });
        let cache = feed.cache();
        (feed.run(), cache)
    }

    /// Whether a restricted operator owns `namespace`, as far as the watch tells.
    #[must_use]
    pub fn contains(&self, namespace: &str) -> bool {
        let markers = self.markers();
        markers.get(namespace).and_then(|marker| marker.ends).is_some_and(|ends| Instant::now() < ends)
    }

    /// Calls `wake` with each namespace whose claim ends, until dropped.
    pub async fn run(self, wake: impl Fn(&str)) {
        loop {
            let (ended, next) = self.take_ended(Instant::now());
            for namespace in ended {
                info!(namespace, "its restricted operator is gone: the namespace is ours");
                wake(&namespace);
            }
            let next_end = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = next_end => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// The right to write in `namespace`: by a list of the claims that began a short while ago.
    pub(super) async fn permit(&self, namespace: &str) -> Result<Instant, BoxError> {
        const REFUSED: Refused = Refused("a restricted operator owns the namespace");
        if self.contains(namespace) {
            return Err(REFUSED.into());
        }
        let began = self.confirm().await?;
        if self.contains(namespace) {
            return Err(REFUSED.into());
        }
        Ok(began + self.0.settings.window())
    }

    /// When a list of the claims began that is new enough; makes one if there is none. Concurrent callers share it.
    async fn confirm(&self) -> Result<Instant, Unconfirmed> {
        if let Some(began) = self.fresh() {
            return Ok(began);
        }
        let _turn = self.0.turn.lock().await;
        if let Some(began) = self.fresh() {
            return Ok(began);
        }
        let limit = self.0.settings.freshness();
        let began = Instant::now();
        // Without a resource version the answer is not older than the request.
        let params = ListParams::default().fields(&format!("metadata.name={MARKER}"));
        let list = match tokio::time::timeout(limit, self.0.api.list(&params)).await {
            Ok(Ok(list)) => list,
            Ok(Err(error)) => return Err(Unconfirmed::Failed(error)),
            Err(_) => return Err(Unconfirmed::Late(limit)),
        };
        let now = Instant::now();
        for lease in &list {
            self.observe(lease, now);
        }
        *self.0.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        Ok(began)
    }

    fn fresh(&self) -> Option<Instant> {
        let confirmed = *self.0.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.filter(|began| began.elapsed() < self.0.settings.freshness())
    }

    /// Takes note of a form of a claim that was seen at `now`. Each form counts once, from when it was first seen.
    fn observe(&self, lease: &Lease, now: Instant) {
        let Some(namespace) = lease.metadata.namespace.clone() else { return };
        let version = lease.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
        let mut markers = self.markers();
        let known = markers.get(&namespace);
        if known.is_some_and(|known| known.is_not_before(version, now)) {
            return;
        }
        let active = known.and_then(|known| known.ends).is_some_and(|ends| now < ends);
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
        let ends = if holder == Some("") {
            // Given back. An end that has passed untold is still to be told.
            known.is_some_and(|known| known.ends.is_some()).then_some(now)
        } else {
            if !active {
                info!(namespace, holder, "left to a restricted operator");
            }
            Some(now + claimed_for(spec.and_then(|spec| spec.lease_duration_seconds)))
        };
        markers.insert(namespace, Marker { version, seen: now, ends });
        drop(markers);
        self.0.changed.notify_one();
    }

    /// Namespaces whose claim has ended since the last call, and when the next claim ends.
    fn take_ended(&self, now: Instant) -> (Vec<String>, Option<Instant>) {
        let mut ended = Vec::new();
        let mut next: Option<Instant> = None;
        for (namespace, marker) in self.markers().iter_mut() {
            match marker.ends {
                Some(ends) if ends <= now => {
                    marker.ends = None;
                    ended.push(namespace.clone());
                }
                Some(ends) => next = Some(next.map_or(ends, |next| next.min(ends))),
                None => {}
            }
        }
        (ended, next)
    }

    fn markers(&self) -> MutexGuard<'_, HashMap<String, Marker>> {
        self.0.markers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn claimed_for(seconds: Option<i32>) -> Duration {
    seconds.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0).map_or(UNSAID, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower::service_fn;

    use super::*;

    /// Exclusions over an API server that answers every list with `items`, and how often it was asked.
    fn exclusions(items: Value) -> (Exclusions, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let list = json!({"kind": "LeaseList", "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"resourceVersion": "9"}, "items": items});
        let server = service_fn(move |request: Request<Body>| {
            assert!(request.uri().query().unwrap().contains("fieldSelector=metadata.name"));
            count.fetch_add(1, Ordering::Relaxed);
            let body = Body::from(list.to_string().into_bytes());
            async move { Ok::<_, std::convert::Infallible>(Response::new(body)) }
        });
        (Exclusions::new(Client::new(server, "default"), Settings::default()), asked)
    }

    fn lease(version: u32, holder: &str) -> Lease {
        // The times of the holder are years off and must not matter.
        serde_json::from_value(json!({
            "metadata": {"namespace": "a", "name": MARKER, "resourceVersion": version.to_string()},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 30,
                "renewTime": "2001-01-01T00:00:00.000000Z"},
        }))
        .unwrap()
    }

    async fn seconds(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_counts_from_when_a_new_form_of_it_was_seen_whatever_the_clock_of_its_holder() {
        let (exclusions, _) = exclusions(json!([]));
        exclusions.observe(&lease(1, "r"), Instant::now());
        seconds(29).await;
        assert!(exclusions.contains("a"));
        // Seen again after the watch was interrupted: nothing new.
        exclusions.observe(&lease(1, "r"), Instant::now());
        seconds(2).await;
        assert!(!exclusions.contains("a"));
        assert_eq!(exclusions.take_ended(Instant::now()).0, ["a"]);
        assert!(exclusions.take_ended(Instant::now()).0.is_empty(), "told twice");
        exclusions.observe(&lease(2, "r"), Instant::now());
        assert!(exclusions.contains("a") && !exclusions.contains("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_is_given_back_ends_at_once_and_an_older_answer_does_not_revive_it() {
        let (exclusions, _) = exclusions(json!([]));
        exclusions.observe(&lease(1, "r"), Instant::now());
        exclusions.observe(&lease(3, ""), Instant::now());
        assert!(!exclusions.contains("a"));
        assert_eq!(exclusions.take_ended(Instant::now()).0, ["a"]);
        exclusions.observe(&lease(2, "r"), Instant::now());
        assert!(!exclusions.contains("a"));
        // Later than any answer takes: the database was restored.
        seconds(60).await;
        exclusions.observe(&lease(2, "r"), Instant::now());
        assert!(exclusions.contains("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_told_also_when_the_claim_is_given_back_after_it_and_only_once() {
        let (exclusions, _) = exclusions(json!([]));
        exclusions.observe(&lease(1, "r"), Instant::now());
        seconds(31).await;
        exclusions.observe(&lease(2, ""), Instant::now());
        assert_eq!(exclusions.take_ended(Instant::now()).0, ["a"]);
        exclusions.observe(&lease(3, ""), Instant::now());
        assert!(exclusions.take_ended(Instant::now()).0.is_empty(), "told twice");
    }

    #[tokio::test(start_paused = true)]
    async fn writers_share_one_list_which_lets_none_start_after_half_of_the_hand_over_time() {
        let (exclusions, asked) = exclusions(json!([]));
        let start = Instant::now();
        let rights = futures::future::join_all((0..20).map(|_| exclusions.permit("a"))).await;
        assert!(rights.iter().all(|right| *right.as_ref().unwrap() == start + Duration::from_secs(9)));
        seconds(4).await;
        assert_eq!(exclusions.permit("b").await.unwrap(), start + Duration::from_secs(9));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        seconds(1).await;
        assert_eq!(exclusions.permit("a").await.unwrap(), start + Duration::from_secs(14));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_only_the_list_shows_refuses_the_write() {
        let (exclusions, _) = exclusions(json!([lease(7, "r")]));
        assert!(!exclusions.contains("a"));
        let refused = exclusions.permit("a").await.unwrap_err();
        assert!(refused.is::<Refused>(), "{refused}");
        assert!(exclusions.permit("b").await.is_ok());
    }
}
