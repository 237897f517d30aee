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
        let limit = self.settings.interval * 3 / 4;
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
            tokio::time::sleep_until(began + self.settings.interval).await;
        }
    }

    /// Gives the claim back: first said in the Lease, which tells cluster-wide operators that nobody writes any more,
    /// then deleted. Best effort, bounded to 5 s. The caller has ended everything that writes.
    pub async fn release(mut self) {
        self.held.send_replace(None);
        let Some(lease) = self.written.take() else { return };
        let release = async {
            let mut lease = lease;
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = Some(String::new());
            }
            let Some(last) = found(self.api.replace(MARKER, &PostParams::default(), &lease).await)? else {
                return Ok(false);
            };
            let preconditions =
                Preconditions { uid: last.metadata.uid, resource_version: last.metadata.resource_version };
            let params = DeleteParams::default().preconditions(preconditions);
            found(self.api.delete(MARKER, &params).await).map(|deleted| deleted.is_some())
        };
        match tokio::time::timeout(RELEASE_LIMIT, release).await {
            Ok(Ok(true)) => info!(namespace = self.namespace, "claim given back"),
            Ok(Ok(false)) => debug!(namespace = self.namespace, "the claim is somebody else's by now"),
            Ok(Err(error)) => {
                warn!(namespace = self.namespace, error = %chain(&error), "claim not given back, it will run out");
            }
            Err(_) => warn!(namespace = self.namespace, "claim not given back within 5 s, it will run out"),
        }
    }

    /// One renewal; one request when nobody else wrote the Lease.
    async fn write(&mut self) -> Result<Lease, kube::Error> {
        if let Some(written) = &self.written {
            let next = self.renewed(written.clone());
            if let Some(lease) = found(self.api.replace(MARKER, &PostParams::default(), &next).await)? {
                return Ok(lease);
            }
        }
        let Some(present) = self.api.get_opt(MARKER).await? else {
            return self.api.create(&PostParams::default(), &self.first()).await;
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
        self.api.replace(MARKER, &PostParams::default(), &self.renewed(present.clone())).await
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

    fn first(&self) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = LeaseSpec { acquire_time: Some(now), ..LeaseSpec::default() };
        let metadata = ObjectMeta { name: Some(MARKER.to_owned()), ..ObjectMeta::default() };
        self.renewed(Lease { metadata, spec: Some(spec) })
    }

    fn renewed(&self, mut lease: Lease) -> Lease {
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(self.holder.clone());
        spec.lease_duration_seconds = i32::try_from(self.settings.duration.as_secs()).ok();
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        lease
    }
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
    use http::{Request, Response};
    use kube::client::Body;
    use tower::service_fn;

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
}
