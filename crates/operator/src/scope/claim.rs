//! The claim of a restricted operator on its namespace: the marker Lease, its renewals and its end
//! (`operator-process.md` section 5). Only the leader claims; whoever held the Lease before is overwritten.

use std::time::Duration;

use dynamo_kubekit::{client::chain, fence::Refused};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use tokio::{sync::watch, time::Instant};
use tower::BoxError;
use tracing::{debug, info, warn};

use super::{MARKER, Settings};

/// How long giving the claim back may take.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// The claim and what keeps it.
#[derive(Debug)]
pub struct Claim {
    api: Api<Lease>,
    namespace: String,
    holder: String,
    settings: Settings,
    /// The form that this process wrote last.
    written: Option<Lease>,
    /// The `renewTime` sent last; it tells a form whose answer never came from one that another process wrote.
    sent: Option<MicroTime>,
    /// The last try failed, maybe after it had an effect.
    unsure: bool,
    held: watch::Sender<Option<Held>>,
}

/// When this process may write.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    from: Instant,
    until: Instant,
}

/// Renewals failed too often in a row.
#[derive(Debug, thiserror::Error)]
#[error(
    "the claim on namespace {namespace} is lost: Lease {MARKER} could not be written {failures} times in a row, last: \
     {last}"
)]
pub struct ClaimLost {
    namespace: String,
    failures: u32,
    last: String,
}

/// Tells whether the claim lets this process write. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ticket(watch::Receiver<Option<Held>>);

impl Ticket {
    /// Resolves when writing is allowed: the claim is made and the hand-over time is over.
    pub async fn granted(&mut self) {
        loop {
            let held = match self.0.wait_for(Option::is_some).await {
                Ok(held) => *held,
                // The claim is gone for good.
                Err(_) => std::future::pending().await,
            };
            let Some(held) = held else { continue };
            tokio::time::sleep_until(held.from).await;
            if self.permit().is_ok() {
                return;
            }
            // It ran out meanwhile: wait for the next form.
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(super) fn permit(&self) -> Result<Instant, BoxError> {
        let now = Instant::now();
        match *self.0.borrow() {
            Some(held) if now < held.from => {
                Err(Refused("the claim is new: its former writer may not know").into())
            }
            Some(held) if now < held.until => Ok(held.until),
            _ => Err(Refused("the claim on the namespace has run out").into()),
        }
    }
}

impl Claim {
    /// A claim on `namespace` by an operator of that `version`; nothing is written yet.
    #[must_use]
    pub fn new(client: Client, namespace: &str, version: &semver::Version, settings: Settings) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            holder: format!("namespace-restricted-operator-{version}"),
            settings,
            written: None,
            sent: None,
            unsure: false,
            held: watch::Sender::new(None),
        }
    }

    /// Tells when the claim lets write.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket(self.held.subscribe())
    }

    /// Makes the claim and renews it until that fails too often in a row.
    pub async fn keep(&mut self) -> ClaimLost {
        // A call ends before the next one is due.
        let pause = self.settings.pause();
        let limit = pause * 3 / 4;
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let last = match tokio::time::timeout(limit, self.write()).await {
                Ok(Ok(lease)) => {
                    failures = 0;
                    self.note(lease, began);
                    None
                }
                Ok(Err(error)) => Some(chain(&error)),
                Err(_) => Some(format!("no answer within {limit:?}")),
            };
            self.unsure = last.is_some();
            if let Some(last) = last {
                failures += 1;
                warn!(namespace = self.namespace, failures, error = last, "cannot write the claim");
                if failures >= self.settings.failure_limit() {
                    return ClaimLost { namespace: self.namespace.clone(), failures, last };
                }
            }
            tokio::time::sleep_until(began + pause).await;
        }
    }

    /// Gives the claim back: first said in the Lease, which tells cluster-wide operators that nobody writes any more,
    /// then deleted. Best effort, bounded to 5 s. The caller has ended everything that writes.
    pub async fn release(self) {
        self.held.send_replace(None);
        match tokio::time::timeout(RELEASE_LIMIT, self.give_back()).await {
            Ok(Ok(true)) => info!(namespace = self.namespace, "claim given back"),
            Ok(Ok(false)) => debug!(namespace = self.namespace, "the claim is somebody else's by now"),
            Ok(Err(error)) => {
                warn!(namespace = self.namespace, error = %chain(&error), "claim not given back, it will run out");
            }
            Err(_) => warn!(namespace = self.namespace, "claim not given back within 5 s, it will run out"),
        }
    }

    /// Whether there was a claim of this process to give back.
    async fn give_back(&self) -> Result<bool, kube::Error> {
        let emptied = match &self.written {
            Some(written) => self.empty(written.clone()).await?,
            None => None,
        };
        let last = match emptied {
            Some(last) => last,
            None if self.sent.is_none() => return Ok(false),
            // The end may have cut off a renewal that came through.
            None => match self.api.get_opt(MARKER).await? {
                Some(present) if self.is_ours(&present) => match self.empty(present).await? {
                    Some(last) => last,
                    None => return Ok(false),
                },
                _ => return Ok(false),
            },
        };
        let preconditions =
            Preconditions { uid: last.metadata.uid, resource_version: last.metadata.resource_version };
        let params = DeleteParams::default().preconditions(preconditions);
        found(self.api.delete(MARKER, &params).await).map(|deleted| deleted.is_some())
    }

    /// Takes the holder out of `lease`, if it is still in that form.
    async fn empty(&self, mut lease: Lease) -> Result<Option<Lease>, kube::Error> {
        lease.spec.get_or_insert_default().holder_identity = Some(String::new());
        found(self.api.replace(MARKER, &PostParams::default(), &lease).await)
    }

    /// The name of the holder alone is also that of another replica.
    fn is_ours(&self, lease: &Lease) -> bool {
        lease.spec.as_ref().is_some_and(|spec| {
            spec.holder_identity.as_ref() == Some(&self.holder) && spec.renew_time == self.sent
        })
    }

    /// One renewal; one request when nobody else wrote the Lease.
    async fn write(&mut self) -> Result<Lease, kube::Error> {
        if let Some(written) = self.written.clone() {
            let next = self.renewed(written);
            if let Some(lease) = found(self.api.replace(MARKER, &PostParams::default(), &next).await)? {
                return Ok(lease);
            }
        }
        let Some(present) = self.api.get_opt(MARKER).await? else {
            let first = self.first();
            return self.api.create(&PostParams::default(), &first).await;
        };
        let holder = present.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        if self.written.is_some() && !self.unsure {
            warn!(
                namespace = self.namespace,
                holder, "Lease {MARKER} was written by somebody else: is there a second restricted operator?"
            );
        } else if self.written.is_none() {
            info!(namespace = self.namespace, holder, "taking over the claim of another process");
        }
        let next = self.renewed(present.clone());
        self.api.replace(MARKER, &PostParams::default(), &next).await
    }

    /// The claim was written by a call that began at `began` and has been answered now.
    fn note(&mut self, lease: Lease, began: Instant) {
        let answered = Instant::now();
        let same = self.written.as_ref().is_some_and(|written| written.metadata.uid == lease.metadata.uid);
        self.written = Some(lease);
        let until = began + self.settings.validity();
        self.held.send_modify(|held| {
            let from = match *held {
                // Never interrupted: no cluster-wide operator can have seen it end.
                Some(held) if same && answered < held.until => held.from,
                _ => {
                    info!(namespace = self.namespace, hand_over = ?self.settings.hand_over, "namespace claimed");
                    answered + self.settings.hand_over
                }
            };
            *held = Some(Held { from, until });
        });
    }

    fn first(&mut self) -> Lease {
        let now = now();
        let spec = LeaseSpec { acquire_time: Some(now), ..LeaseSpec::default() };
        let metadata = ObjectMeta { name: Some(MARKER.to_owned()), ..ObjectMeta::default() };
        self.renewed(Lease { metadata, spec: Some(spec) })
    }

    fn renewed(&mut self, mut lease: Lease) -> Lease {
        let now = now();
        self.sent = Some(now.clone());
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(self.holder.clone());
        spec.lease_duration_seconds = i32::try_from(self.settings.duration.as_secs()).ok();
        spec.renew_time = Some(now);
        lease
    }
}

/// To the microsecond, as a Lease keeps it.
fn now() -> MicroTime {
    let now = Timestamp::now();
    MicroTime(Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
}

/// `None` when the Lease is gone or no longer in the form that was meant.
fn found<T>(answer: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::client::Body;
    use tower::{Service, service_fn};

    use super::*;

    const RENEWAL: Duration = Duration::from_secs(10);

    /// A claim of which nothing is sent: answers are told to it by hand.
    fn claim() -> Claim {
        let nobody = service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>("nobody is asked") });
        let version = semver::Version::new(0, 9, 0);
        Claim::new(Client::new(nobody, "default"), "a", &version, Settings::default())
    }

    fn lease(uid: &str) -> Lease {
        let metadata = ObjectMeta { uid: Some(uid.to_owned()), ..ObjectMeta::default() };
        Lease { metadata, ..Lease::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_lets_write_after_the_hand_over_time_and_until_its_renewal_is_nearly_run_out() {
        let mut claim = claim();
        let ticket = claim.ticket();
        assert!(ticket.permit().is_err());
        claim.note(lease("1"), Instant::now());
        tokio::time::advance(RENEWAL - Duration::from_millis(1)).await;
        assert!(ticket.permit().is_err());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(ticket.permit().unwrap(), Instant::now() + Duration::from_secs(15));
        claim.note(lease("1"), Instant::now());
        assert_eq!(ticket.permit().unwrap(), Instant::now() + Duration::from_secs(25));
        tokio::time::advance(Duration::from_secs(25)).await;
        assert!(ticket.permit().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_lapsed_or_was_made_anew_waits_the_hand_over_time_again() {
        let mut claim = claim();
        let ticket = claim.ticket();
        claim.note(lease("1"), Instant::now());
        tokio::time::advance(RENEWAL).await;
        // The renewal began in time, but its answer came when the claim had run out.
        let began = Instant::now();
        tokio::time::advance(Duration::from_secs(16)).await;
        claim.note(lease("1"), began);
        tokio::time::advance(RENEWAL / 2).await;
        claim.note(lease("1"), Instant::now());
        assert!(ticket.permit().is_err());
        tokio::time::advance(RENEWAL / 2).await;
        assert!(ticket.permit().is_ok());
        claim.note(lease("2"), Instant::now());
        assert!(ticket.permit().is_err(), "somebody deleted the first Lease");
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_is_renewed_in_time_is_never_interrupted_whatever_the_accepted_times() {
        for (duration, interval) in [(30, 10), (12, 11), (30, 26), (30, 29), (2, 1), (3, 2), (60, 5)] {
            let [duration, interval] = [duration, interval].map(Duration::from_secs);
            let settings = Settings::new(Some(duration), Some(interval), None).unwrap();
            // Each answer takes nearly as long as `keep` waits for one.
            let slow = settings.pause() * 3 / 4 - Duration::from_millis(1);
            let (server, _) = server(slow);
            let version = semver::Version::new(0, 9, 0);
            let mut claim = Claim::new(Client::new(server, "default"), "a", &version, settings);
            let mut ticket = claim.ticket();
            let look = async {
                ticket.granted().await;
                let start = Instant::now();
                while start.elapsed() < duration * 4 {
                    assert!(ticket.permit().is_ok(), "{settings:?} after {:?}", start.elapsed());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::select! {
                lost = claim.keep() => panic!("{lost}"),
                done = tokio::time::timeout(Duration::from_secs(600), look) => done.unwrap(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_given_back_though_its_end_cut_off_a_renewal_that_came_through() {
        // The end falls into the first write, then into the first renewal.
        for seconds in [1, 11] {
            let (server, stored) = server(Duration::from_secs(5));
            let version = semver::Version::new(0, 9, 0);
            let mut claim = Claim::new(Client::new(server, "default"), "a", &version, Settings::default());
            assert!(tokio::time::timeout(Duration::from_secs(seconds), claim.keep()).await.is_err());
            assert!(stored.lock().unwrap().is_some(), "the cut off write came through");
            assert!(claim.give_back().await.unwrap());
            assert!(stored.lock().unwrap().is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_a_replica_of_the_same_name_renewed_is_not_given_back() {
        let (server, stored) = server(Duration::ZERO);
        let version = semver::Version::new(0, 9, 0);
        let client = Client::new(server, "default");
        let mut ours = Claim::new(client.clone(), "a", &version, Settings::default());
        let written = ours.write().await.unwrap();
        ours.note(written, Instant::now());
        std::thread::sleep(Duration::from_millis(2));
        Claim::new(client, "a", &version, Settings::default()).write().await.unwrap();
        assert!(!ours.give_back().await.unwrap());
        let stored = stored.lock().unwrap();
        let holder = stored.as_ref().and_then(|lease| lease.spec.as_ref()?.holder_identity.clone());
        assert_eq!(holder, Some("namespace-restricted-operator-0.9.0".to_owned()));
    }

    type Stored = Arc<Mutex<Option<Lease>>>;

    /// Stores one Lease as an API server does: at once, under versions; it answers a write after `delay`.
    fn server(
        delay: Duration,
    ) -> (
        impl Service<
            Request<Body>,
            Response = Response<Body>,
            Error = std::convert::Infallible,
            Future: Send + 'static,
        > + Send
        + Clone
        + 'static,
        Stored,
    ) {
        let stored = Stored::default();
        let answer = {
            let stored = Arc::clone(&stored);
            move |request: Request<Body>| {
                let stored = Arc::clone(&stored);
                async move {
                    let method = request.method().clone();
                    let body = request.into_body().collect_bytes().await.unwrap();
                    let (code, text) = answer(&mut stored.lock().unwrap(), &method, &body);
                    if matches!(method.as_str(), "POST" | "PUT") {
                        tokio::time::sleep(delay).await;
                    }
                    Ok(Response::builder().status(code).body(Body::from(text.into_bytes())).unwrap())
                }
            }
        };
        (service_fn(answer), stored)
    }

    fn answer(stored: &mut Option<Lease>, method: &http::Method, body: &[u8]) -> (u16, String) {
        let refusal = |code: u16| {
            let reason = if code == 404 { "NotFound" } else { "Conflict" };
            let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "message": "", "reason": reason, "code": code});
            (code, status.to_string())
        };
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        let next = match (method.as_str(), stored.take()) {
            ("POST", None) => {
                let mut lease: Lease = serde_json::from_slice(body).unwrap();
                lease.metadata.uid = Some("1".to_owned());
                lease.metadata.resource_version = Some("1".to_owned());
                lease
            }
            ("PUT", Some(present)) => {
                let mut lease: Lease = serde_json::from_slice(body).unwrap();
                if version(&lease) != version(&present) {
                    *stored = Some(present);
                    return refusal(409);
                }
                let number: u64 = version(&present).unwrap().parse().unwrap();
                lease.metadata.resource_version = Some((number + 1).to_string());
                lease
            }
            ("GET", Some(present)) => present,
            ("DELETE", Some(present)) => return (200, serde_json::to_string(&present).unwrap()),
            (_, present) => {
                let code = if present.is_some() { 409 } else { 404 };
                *stored = present;
                return refusal(code);
            }
        };
        let text = serde_json::to_string(&next).unwrap();
        *stored = Some(next);
        (200, text)
    }
}
