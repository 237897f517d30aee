//! Sends a request to a worker of a model: waits for one to appear, retries elsewhere while nothing was accepted.
//! Must not resend a request that a worker may have begun to answer; that is migration's decision.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use dynamo_router::{Pool, RequestFacts, RouterMode, Worker, WorkerId};
use dynamo_runtime::{
    CallContext, CallError, EndpointInstance, ModelCard, PushClient, ResponseStream, WorkerRequest,
};
use tokio::sync::watch;

use crate::openai::errors::ApiError;

/// Attempts of one request, over all instances, before the client hears about it.
const MAX_ATTEMPTS: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One instance with the card it published.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerEntry {
    pub instance: EndpointInstance,
    pub card: Arc<ModelCard>,
}

/// The workers of one model and one role, kept up to date by discovery.
#[derive(Debug)]
pub struct WorkerSet {
    pool: Pool,
    entries: RwLock<BTreeMap<WorkerId, WorkerEntry>>,
    version: watch::Sender<u64>,
}

impl WorkerSet {
    /// An empty set with the policy of `mode`; `kv` is refused at start-up and falls back to round-robin here.
    #[must_use]
    pub fn new(mode: RouterMode) -> Self {
        let pool =
            Pool::for_mode(mode).unwrap_or_else(|_| Pool::new(Box::<dynamo_router::RoundRobin>::default()));
        Self { pool, entries: RwLock::default(), version: watch::Sender::new(0) }
    }

    /// Replaces the workers; waiting requests look again.
    pub fn set(&self, entries: BTreeMap<WorkerId, WorkerEntry>) {
        let workers = entries.iter().map(|(id, entry)| Worker {
            id: *id,
            data_parallel_size: entry.card.runtime_config.data_parallel_size,
        });
        self.pool.set_workers(workers.collect());
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = entries;
        self.version.send_modify(|version| *version += 1);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pool.is_empty()
    }

    #[must_use]
    pub fn entry(&self, id: WorkerId) -> Option<WorkerEntry> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Whether any worker offers decode workers a place to meet (prefill with bootstrap).
    #[must_use]
    pub fn offers_bootstrap(&self) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().any(|entry| entry.card.runtime_config.disaggregated_endpoint.is_some())
    }

    /// Chooses without calling.
    #[must_use]
    pub fn choose(&self, facts: &RequestFacts<'_>) -> Option<WorkerEntry> {
        self.pool.choose(facts, &[], Instant::now()).and_then(|id| self.entry(id))
    }

    /// An answer of this worker broke off; it is avoided for a while.
    pub fn failed(&self, id: WorkerId) {
        self.pool.failed(id, Instant::now());
    }
}

/// An accepted request.
#[derive(Debug)]
pub struct Accepted {
    pub worker: WorkerId,
    pub stream: ResponseStream,
    /// Attempts on other instances before this one.
    pub retries: u32,
}

/// What one call needs besides the set.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub model: &'a str,
    pub request: &'a WorkerRequest,
    pub id: &'a str,
    /// The only instance that may be used.
    pub pinned: Option<WorkerId>,
    /// Instances that failed this request before.
    pub avoid: &'a [WorkerId],
    pub block_size: u32,
}

/// Calls workers.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    pub client: PushClient,
    /// How long a request waits for an instance, since discovery may lag during a roll.
    pub patience: Duration,
}

impl Dispatcher {
    /// Sends the request to one worker of the set.
    ///
    /// # Errors
    /// 503 when no instance shows up or accepts in time; the worker's own error otherwise.
    pub async fn open(&self, set: &WorkerSet, call: Call<'_>) -> Result<Accepted, ApiError> {
        let deadline = Instant::now() + self.patience;
        let mut changes = set.version.subscribe();
        let mut tried: Vec<WorkerId> = call.avoid.to_vec();
        let mut last_failure = None;
        let facts = RequestFacts { token_ids: &call.request.token_ids, block_size: call.block_size };
        let mut retries = 0;
        loop {
            changes.borrow_and_update();
            let chosen = match call.pinned {
                Some(id) => set.entry(id),
                None => set.pool.choose(&facts, &tried, Instant::now()).and_then(|id| set.entry(id)),
            };
            let Some(entry) = chosen else {
                if !wait_until(deadline, changes.changed()).await {
                    return Err(unavailable(&call, last_failure.as_ref()));
                }
                continue;
            };
            let worker = entry.instance.instance_id;
            let failure =
                match self.client.call(&entry.instance, call.request, CallContext::new(call.id)).await {
                    Ok(stream) => {
                        set.pool.succeeded(worker);
                        return Ok(Accepted { worker, stream, retries });
                    }
                    Err(failure) if failure.is_retryable() => failure,
                    Err(failure) => return Err(refused(&failure)),
                };
            // The way to many instances is down at once: not one of the attempts that speak against them.
            let way_is_down = matches!(failure, CallError::PlaneDown { .. });
            let again = tried.contains(&worker) || call.pinned.is_some();
            if again && matches!(failure, CallError::TooLargeForPlane { .. }) {
                return Err(refused(&failure));
            }
            if way_is_down {
                tracing::debug!("request {}: {failure}; trying another instance", call.id);
            } else {
                tracing::warn!("request {}: {failure}; trying another instance", call.id);
                retries += 1;
            }
            if failure.blames_instance() {
                set.failed(worker);
            }
            tried.push(worker);
            last_failure = Some(failure);
            if retries >= MAX_ATTEMPTS {
                return Err(unavailable(&call, last_failure.as_ref()));
            }
            if again {
                let pause = FIRST_PAUSE.saturating_mul(1 << retries.min(6)).min(LONGEST_PAUSE);
                if Instant::now() + pause > deadline {
                    return Err(unavailable(&call, last_failure.as_ref()));
                }
                // A change of the set ends the pause early: it may bring a fresh instance.
                let _ = tokio::time::timeout(pause, changes.changed()).await;
            }
        }
    }
}

/// True when the set changed before the deadline.
async fn wait_until<T, E>(deadline: Instant, change: impl Future<Output = Result<T, E>>) -> bool {
    matches!(tokio::time::timeout_at(deadline.into(), change).await, Ok(Ok(_)))
}

fn unavailable(call: &Call<'_>, last: Option<&CallError>) -> ApiError {
    let model = call.model;
    let what = match (call.pinned, last) {
        (Some(id), None) => format!("instance {id} of model `{model}` is not available"),
        (None, None) => format!("no instance of model `{model}` is available"),
        (_, Some(failure)) => format!("no instance of model `{model}` accepted the request ({failure})"),
    };
    ApiError::unavailable(format!("{what}; try again in a moment"))
}

fn refused(failure: &CallError) -> ApiError {
    match failure {
        CallError::Worker { message, .. } => ApiError::from_worker(message),
        CallError::TooLarge { .. } | CallError::TooLargeForPlane { .. } => {
            ApiError::bad_request(failure.to_string())
        }
        other => ApiError::generation(other),
    }
}
