//! Leader election on a coordination/v1 Lease, as the Kubernetes client libraries do it.
//! Expiry is judged by what this process saw and when, never by the clock of the holder.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Times of the protocol; the defaults are those of the reference (`operator-process.md` section 4).
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a lease holds after the last renewal.
    pub duration: Duration,
    /// How long the holder tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// Pause between two tries.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// Until when this process leads for certain, whatever happens to its renewals: the last one that succeeded began
/// less than the lease's duration ago, with a tenth of it kept as a margin. Judged by the monotonic clock of this
/// process alone, so that it also ends for one that was frozen meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Term(Arc<Mutex<Option<Instant>>>);

impl Term {
    /// When the term ends; `None` while the lease is not held.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// A candidate for one lease.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    term: Term,
    /// The last holder and renewal seen, and when this process first saw that pair.
    seen: Option<(Observation, Instant)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Observation {
    holder: Option<String>,
    version: Option<String>,
}

/// Leadership ended without being given back.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error("leadership lost: lease {name} could not be renewed within {} s", deadline.as_secs())]
    Late { name: String, deadline: Duration },
    #[error("leadership lost: lease {name} is held by another replica")]
    Taken { name: String },
}

/// What one try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    Held,
    HeldByOther,
    /// Somebody wrote the lease at the same moment.
    Conflict,
}

impl Candidate {
    /// `identity` must be unique among the replicas: the pod's name and something random.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: String, timing: Timing) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.to_owned(), identity, timing, term: Term::default(), seen: None }
    }

    /// Tells at any time until when this candidate leads.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term.clone()
    }

    /// The lease was renewed by a try that began then.
    fn renewed(&self, began: Instant) {
        self.term.set(began.checked_add(self.timing.duration - self.timing.duration / 10));
    }

    /// Waits until this process holds the lease. Returns when the try that won began: the lease counts from there at
    /// the latest, since its answer may have been slow.
    pub async fn acquire(&mut self) -> Instant {
        info!(lease = self.name, identity = self.identity, "waiting for leadership");
        loop {
            let began = Instant::now();
            match tokio::time::timeout(self.timing.renew_deadline, self.try_hold()).await {
                Ok(Ok(Try::Held)) => {
                    info!(lease = self.name, "leading");
                    self.renewed(began);
                    return began;
                }
                Ok(Ok(Try::HeldByOther | Try::Conflict)) => {}
                Ok(Err(error)) => {
                    warn!(lease = self.name, error = %crate::client::chain(&error), "cannot take the lease yet");
                }
                Err(_) => warn!(lease = self.name, "cannot take the lease yet: no answer"),
            }
            tokio::time::sleep(crate::backoff::jittered(self.timing.retry)).await;
        }
    }

    /// Renews the lease, held since `renewed`, until that fails for longer than the renewal deadline or another
    /// replica is seen to hold it.
    pub async fn hold(&mut self, mut renewed: Instant) -> Lost {
        let name = self.name.clone();
        loop {
            tokio::time::sleep(self.timing.retry).await;
            let began = Instant::now();
            let left = self.timing.renew_deadline.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.try_hold()).await {
                Ok(Ok(Try::Held)) => {
                    renewed = began;
                    self.renewed(began);
                }
                Ok(Ok(Try::HeldByOther)) => {
                    self.term.set(None);
                    return Lost::Taken { name };
                }
                Ok(Ok(Try::Conflict)) | Err(_) => {}
                Ok(Err(error)) => {
                    warn!(lease = name, error = %crate::client::chain(&error), "cannot renew the lease");
                }
            }
            if renewed.elapsed() >= self.timing.renew_deadline {
                return Lost::Late { name, deadline: self.timing.renew_deadline };
            }
        }
    }

    /// Gives the lease back so that a successor need not wait for its end. Best effort, bounded to 5 s. The caller has
    /// ended everything that writes.
    pub async fn release(&self) {
        self.term.set(None);
        let release = async {
            match self.give_back().await {
                // A renewal that the end cut off came through meanwhile.
                Err(kube::Error::Api(status)) if status.code == 409 => self.give_back().await,
                done => done,
            }
        };
        match tokio::time::timeout(Duration::from_secs(5), release).await {
            Ok(Ok(())) => debug!(lease = self.name, "lease released"),
            Ok(Err(error)) => warn!(lease = self.name, %error, "lease not released, it will run out"),
            Err(_) => warn!(lease = self.name, "lease not released within 5 s, it will run out"),
        }
    }

    /// Empties the lease as it is now, unless another replica holds it.
    async fn give_back(&self) -> Result<(), kube::Error> {
        let lease = self.api.get(&self.name).await?;
        if holder(&lease) != Some(self.identity.as_str()) {
            return Ok(());
        }
        let patch = serde_json::json!({
            "metadata": {"resourceVersion": lease.metadata.resource_version},
            "spec": {"holderIdentity": "", "leaseDurationSeconds": 1},
        });
        self.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
    }

    async fn try_hold(&mut self) -> Result<Try, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let created = self.api.create(&PostParams::default(), &self.fresh()).await;
            return match created {
                Ok(_) => Ok(Try::Held),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(Try::Conflict),
                Err(error) => Err(error),
            };
        };
        let mine = holder(&lease) == Some(self.identity.as_str());
        if !mine && !self.expired(&lease) {
            return Ok(Try::HeldByOther);
        }
        let now = MicroTime(Timestamp::now());
        let mut next = lease.clone();
        let spec = next.spec.get_or_insert_default();
        if !mine {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(self.timing.duration.as_secs()).ok();
        spec.renew_time = Some(now);
        match self.api.replace(&self.name, &PostParams::default(), &next).await {
            Ok(_) => Ok(Try::Held),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Try::Conflict),
            Err(error) => Err(error),
        }
    }

    fn fresh(&self) -> Lease {
        let now = MicroTime(Timestamp::now());
        Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(self.timing.duration.as_secs()).ok(),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    }

    fn expired(&mut self, lease: &Lease) -> bool {
        let observation = Observation {
            holder: holder(lease).map(ToOwned::to_owned),
            version: lease.metadata.resource_version.clone(),
        };
        if observation.holder.as_deref().is_none_or(str::is_empty) {
            return true;
        }
        match &self.seen {
            Some((seen, since)) if *seen == observation => {
                let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
                let duration = seconds
                    .and_then(|s| u64::try_from(s).ok())
                    .map_or(self.timing.duration, Duration::from_secs);
                since.elapsed() > duration
            }
            _ => {
                self.seen = Some((observation, Instant::now()));
                false
            }
        }
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}
