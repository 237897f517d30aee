//! One request from its first byte to its answer: slots, deadline, panics, counting, logging.
//! What the answer says is decided in `judge` and `defaults`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request as HttpRequest, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::post,
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use tracing::{error, info};

use super::{
    Kind, Knowledge, Limits, MUTATING_PATH, WebhookMetrics,
    body::{self, BodyError, Held, Pace},
    defaults, judge,
    metrics::{DenialLabels, ResultLabels, ReviewLabels},
    review::{Answer, Operation, Request, ReviewError},
};

/// A body longer than this is judged on a thread of its own, one such body at a time: it takes milliseconds that the
/// two threads of the runtime need for leases and watches, and its objects take many times its size in memory.
const HEAVY: usize = 256 << 10;

struct Admission {
    knowledge: Knowledge,
    metrics: WebhookMetrics,
    limits: Limits,
    bodies: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    room: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
}

#[derive(Clone, Copy)]
enum Task {
    Validate(Kind),
    Default(Kind),
}

/// The five paths of `operator-process.md` section 6.
pub fn router(knowledge: Knowledge, metrics: WebhookMetrics, limits: Limits) -> Router {
    let admission = Arc::new(Admission {
        knowledge,
        metrics,
        limits,
        bodies: Arc::new(Semaphore::new(limits.bodies)),
        slots: Arc::new(Semaphore::new(limits.requests)),
        room: Arc::new(Semaphore::new(limits.room)),
        heavy: Arc::new(Semaphore::new(1)),
    });
    let validating = Kind::ALL.map(|kind| (kind.validating_path(), Task::Validate(kind)));
    let tasks = validating.into_iter().chain([(MUTATING_PATH, Task::Default(Kind::Graph))]);
    tasks
        .fold(Router::new(), |router, (path, task)| {
            let answer = move |State(admission): State<Arc<Admission>>, request: HttpRequest| async move {
                match admission.answer(task, request).await {
                    Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
                    Err(refusal) => admission.refuse(&refusal),
                }
            };
            router.route(path, post(answer))
        })
        .with_state(admission)
}

/// Why a request has no review as its answer.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0} reviews are in work: try again")]
    Busy(usize),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("content type {0:?}: a review is application/json")]
    ContentType(String),
    #[error(transparent)]
    Review(#[from] ReviewError),
    #[error("the review was not judged in time")]
    SlowVerdict,
    #[error("a defect of the operator ended this review: its log has the details")]
    Defect,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Busy(_) | Self::Body(BodyError::NoRoom) => StatusCode::TOO_MANY_REQUESTS,
            Self::Body(BodyError::TooLong(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Broken(_)) | Self::ContentType(_) | Self::Review(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Body(BodyError::Slow) => StatusCode::REQUEST_TIMEOUT,
            Self::SlowVerdict => StatusCode::GATEWAY_TIMEOUT,
            Self::Defect => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The label it is counted under; defects have a counter of their own.
    fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Busy(_) | Self::Body(BodyError::NoRoom) => Some("overload"),
            Self::Body(BodyError::TooLong(_)) => Some("too_large"),
            Self::Body(BodyError::Broken(_)) | Self::ContentType(_) | Self::Review(_) => Some("unreadable"),
            Self::Body(BodyError::Slow) | Self::SlowVerdict => Some("deadline"),
            Self::Defect => None,
        }
    }
}

/// One of the requests that may be in work: first of those that are read, then of those that are judged. It counts until
/// its work has really ended.
struct Slot {
    in_flight: Gauge,
    permit: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

impl Admission {
    async fn answer(self: &Arc<Self>, task: Task, request: HttpRequest) -> Result<Bytes, Refusal> {
        let start = Instant::now();
        let (head, mut body) = request.into_parts();
        let deadline = start + allowed_time(&head.uri, self.limits.deadline);
        let received = self.receive(&head.headers, &mut body, deadline).await;
        if received.as_ref().is_err_and(|refusal| !matches!(refusal, Refusal::Body(BodyError::Slow))) {
            body::discard(body).await;
        }
        let (slot, body) = received?;
        if body.bytes.len() <= HEAVY {
            return self.guarded(task, &body.bytes, start);
        }
        let turn = timeout_at(deadline, Arc::clone(&self.heavy).acquire_owned());
        let turn = turn.await.map_err(|_| Refusal::SlowVerdict)?.map_err(|_| Refusal::Defect)?;
        let this = Arc::clone(self);
        // The thread cannot be stopped: it keeps the slot, the memory and the turn until it is done.
        let work = tokio::task::spawn_blocking(move || {
            let _held = (slot, turn);
            this.guarded(task, &body.bytes, start)
        });
        timeout_at(deadline, work).await.map_err(|_| Refusal::SlowVerdict)?.map_err(|_| Refusal::Defect)?
    }

    async fn receive(
        &self,
        headers: &HeaderMap,
        body: &mut Body,
        deadline: Instant,
    ) -> Result<(Slot, Held), Refusal> {
        let permit = enter(&self.bodies, self.limits.bodies)?;
        self.metrics.in_flight.inc();
        let mut slot = Slot { in_flight: self.metrics.in_flight.clone(), permit };
        check_content_type(headers)?;
        let pace = Pace { patience: self.limits.patience, rate: self.limits.rate, deadline };
        let body = body::read(body, self.limits.body, &self.room, pace).await?;
        // Only now, or callers that send slowly would keep the others from being judged.
        slot.permit = enter(&self.slots, self.limits.requests)?;
        Ok((slot, body))
    }

    /// A panic ends one review, never the process.
    fn guarded(&self, task: Task, body: &[u8], start: Instant) -> Result<Bytes, Refusal> {
        catch_unwind(AssertUnwindSafe(|| self.review(task, body, start))).unwrap_or_else(|_| {
            self.metrics.panics.inc();
            error!("a review ended in a panic");
            Err(Refusal::Defect)
        })
    }

    fn review(&self, task: Task, body: &[u8], start: Instant) -> Result<Bytes, Refusal> {
        let request = Request::parse(body)?;
        let answer = match task {
            Task::Validate(kind) => {
                let answer = self.validate(kind, &request);
                self.count(kind, request.operation, &answer, start);
                log_denial(kind, &request, &answer);
                answer
            }
            Task::Default(kind) => {
                let answer = self.default(kind, &request);
                log_denial(kind, &request, &answer);
                answer
            }
        };
        answer.encode(&request.uid).map_err(|error| {
            error!(%error, "a review cannot be written");
            Refusal::Defect
        })
    }

    fn validate(&self, kind: Kind, request: &Request<'_>) -> Answer {
        if let Some(mismatch) = judge::mismatch(kind, request) {
            return mismatch;
        }
        if request.is_subresource() || (self.knowledge.excluded)(request.namespace()) {
            return Answer::default();
        }
        judge::validate(kind, request, &self.knowledge)
    }

    fn default(&self, kind: Kind, request: &Request<'_>) -> Answer {
        if let Some(mismatch) = judge::mismatch(kind, request) {
            return mismatch;
        }
        let is_new = request.operation == Operation::Create;
        if !is_new || request.is_subresource() || (self.knowledge.excluded)(request.namespace()) {
            return Answer::default();
        }
        defaults::stamp(request.object, &self.knowledge.version)
    }

    fn count(&self, kind: Kind, operation: Operation, answer: &Answer, start: Instant) {
        let (resource_type, operation) = (kind.name(), operation.as_str());
        let result = if answer.is_allowed() { "allowed" } else { "denied" };
        self.metrics.requests.get_or_create(&ResultLabels { resource_type, operation, result }).inc();
        if let Some(denial) = &answer.denial {
            let labels = DenialLabels { resource_type, operation, reason: denial.class };
            self.metrics.denials.get_or_create(&labels).inc();
        }
        let labels = ReviewLabels { resource_type, operation };
        self.metrics.duration.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        if let Some(cause) = refusal.cause() {
            self.metrics.refuse(cause);
        }
        let status = refusal.status();
        let mut response = (status, refusal.to_string()).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            // The API server asks again after this time, within the time it has.
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

fn enter(places: &Arc<Semaphore>, number: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(places).try_acquire_owned().map_err(|_| Refusal::Busy(number))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(header::CONTENT_TYPE).map_or(b"".as_slice(), |value| value.as_bytes());
    let text = String::from_utf8_lossy(value);
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refusal::ContentType(text.into_owned()))
    }
}

/// The time for one request: that of the API server (`?timeout=10s`, from the webhook's `timeoutSeconds`) less a second
/// for the way back, so that it hears from us and does not just stop waiting. Never more than `longest`: anybody who
/// reaches the port can write a long time.
fn allowed_time(uri: &Uri, longest: Duration) -> Duration {
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut named = pairs.filter_map(|pair| pair.strip_prefix("timeout=")?.strip_suffix('s')?.parse().ok());
    match named.next_back() {
        Some(seconds @ 1..=30_u64) => {
            let whole = Duration::from_secs(seconds);
            (whole / 2).max(whole.saturating_sub(Duration::from_secs(1))).min(longest)
        }
        _ => longest,
    }
}

fn log_denial(kind: Kind, request: &Request<'_>, answer: &Answer) {
    if let Some(denial) = &answer.denial {
        // Quoted, since a client chose parts of the text.
        info!(
            kind = kind.name(),
            namespace = ?request.namespace(),
            name = ?request.name.as_deref().unwrap_or_default(),
            operation = request.operation.as_str(),
            user = ?request.username().unwrap_or_default(),
            denial = ?judge::cut(&denial.message, 2048),
            "denied"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_leaves_the_api_server_time_to_hear_the_answer_and_is_bounded() {
        for (query, milliseconds) in [
            ("", 9000),
            ("?timeout=10s", 9000),
            ("?timeout=30s", 9000),
            ("?timeout=2s", 1000),
            ("?timeout=1s", 500),
            ("?a=b&timeout=5s", 4000),
            ("?timeout=0s", 9000),
            ("?timeout=99999999999999999999s", 9000),
            ("?timeout=1h", 9000),
        ] {
            let uri: Uri = format!("/x{query}").parse().unwrap();
            let time = allowed_time(&uri, Duration::from_secs(9));
            assert_eq!(time, Duration::from_millis(milliseconds), "{query}");
        }
    }
}
