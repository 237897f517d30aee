//! Who may read `/metrics` on the listener of `--metrics-secure-bind-address`: a caller whose bearer token the API
//! server knows and whose user may `get` the path `/metrics` (`operator-process.md` sections 1, 11).
//! It decides nothing itself and remembers answers for a short time; what cannot be decided is not served. A flood of
//! tokens is turned away here and does not reach the API server.

mod lane;
mod memory;
mod review;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use dynamo_kubekit::client::chain;
use kube::Client;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tower::limit::GlobalConcurrencyLimitLayer;
use tracing::warn;

use crate::webhook::server::Bounds;
use lane::Lane;
use memory::Memory;
pub use review::Verdict;
use review::review;

/// The path that is served, and judged.
const PATH: &str = "/metrics";
/// Readers are few: scrapers, and people with a question.
pub const BOUNDS: Bounds = Bounds { connections: 64, per_peer: 16 };
/// Pages that are written at once.
const RENDERINGS: usize = 4;
/// No token of an API server comes near this.
const LONGEST_TOKEN: usize = 16 * 1024;
/// Both reviews of one token; scrapers give up after 10 s.
const DEADLINE: Duration = Duration::from_secs(8);
/// Pause between two lines about the same trouble.
const QUIET: Duration = Duration::from_secs(60);

/// How long and how many answers are remembered, and how often the API server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long somebody who may read may go on without another review.
    pub allowed: Duration,
    /// How long somebody who may not is told so without another review.
    pub denied: Duration,
    /// Tokens that are remembered.
    pub tokens: usize,
    /// Reviews at once and per second, of tokens that were never allowed. Those that were have as many of their own,
    /// so that strangers cannot keep them out.
    pub at_once: usize,
    pub per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allowed: Duration::from_secs(120),
            denied: Duration::from_secs(10),
            tokens: 1024,
            at_once: 4,
            per_second: 10,
        }
    }
}

/// Judges requests by the API server's answers.
pub struct Gate {
    client: Client,
    memory: Mutex<Memory>,
    strangers: Lane,
    acquaintances: Lane,
    complained: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

/// Why a request is not served.
#[derive(Debug)]
enum Refusal {
    /// No token, or one that the API server does not know.
    NotAuthenticated(&'static str),
    Forbidden(String),
    /// Too many tokens at once.
    Busy,
    Undecided,
}

impl Gate {
    /// A gate that asks with `client`, which needs the rights to create TokenReviews and SubjectAccessReviews.
    #[must_use]
    pub fn new(client: Client, limits: Limits) -> Self {
        let lane = || Lane::new(limits.at_once, limits.per_second);
        Self {
            client,
            memory: Mutex::new(Memory::new(limits)),
            strangers: lane(),
            acquaintances: lane(),
            complained: Mutex::default(),
        }
    }

    /// `routes` for those alone who may read; other paths than `/metrics` are not judged, and not there.
    pub fn guard(self, routes: Router) -> Router {
        let gate = Arc::new(self);
        limited(routes).layer(from_fn_with_state(gate, pass))
    }

    async fn judge(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = bearer(headers)?;
        let key: [u8; 32] = Sha256::digest(token).into();
        let known = match self.memory().look(&key, Instant::now()) {
            memory::Look::Fresh(verdict) => return answer(verdict),
            memory::Look::Stale => true,
            memory::Look::Unknown => false,
        };
        let lane = if known { &self.acquaintances } else { &self.strangers };
        let _turn = lane.turn().await.ok_or(Refusal::Busy)?;
        // Whoever had the turn before may have asked about the same token.
        if let memory::Look::Fresh(verdict) = self.memory().look(&key, Instant::now()) {
            return answer(verdict);
        }
        let verdict = review(&self.client, token, PATH).await.map_err(|error| {
            self.complain(&chain(&error));
            Refusal::Undecided
        })?;
        self.memory().remember(key, verdict.clone(), Instant::now());
        answer(verdict)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line in a while: callers come every few seconds.
    fn complain(&self, error: &str) {
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= QUIET) {
            *last = Some(Instant::now());
            warn!(error, "cannot find out who may read the metrics");
        }
    }
}

/// `routes` with a bound on what is worked on at once, for everybody.
pub fn limited(routes: Router) -> Router {
    routes.layer(GlobalConcurrencyLimitLayer::new(RENDERINGS))
}

async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if request.uri().path() != PATH {
        return StatusCode::NOT_FOUND.into_response();
    }
    match tokio::time::timeout(DEADLINE, gate.judge(request.headers())).await {
        Ok(Ok(())) => next.run(request).await,
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => {
            gate.complain(&format!("no answer from the API server within {} s", DEADLINE.as_secs()));
            Refusal::Undecided.into_response()
        }
    }
}

/// The token of the request.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let header = headers.get(header::AUTHORIZATION).ok_or(Refusal::NotAuthenticated("no bearer token"))?;
    let (scheme, token) = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(Refusal::NotAuthenticated("no bearer token"))?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > LONGEST_TOKEN {
        return Err(Refusal::NotAuthenticated("no bearer token"));
    }
    Ok(token)
}

fn answer(verdict: Verdict) -> Result<(), Refusal> {
    match verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Unknown => Err(Refusal::NotAuthenticated("the API server does not know this token")),
        Verdict::Forbidden { user } => Err(Refusal::Forbidden(user)),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, header, text) = match self {
            Self::NotAuthenticated(why) => (
                StatusCode::UNAUTHORIZED,
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
                format!("{why}: send the token of a service account that may get {PATH}\n"),
            ),
            Self::Forbidden(user) => (
                StatusCode::FORBIDDEN,
                None,
                format!(
                    "user {user:?} may not get {PATH}: bind a ClusterRole with the rule {{nonResourceURLs: \
                     [\"{PATH}\"], verbs: [\"get\"]}} to it by a ClusterRoleBinding; the chart has one whose name \
                     ends with metrics-reader\n"
                ),
            ),
            Self::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
                "too many tokens are being reviewed: try again\n".to_owned(),
            ),
            Self::Undecided => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
                "the API server does not say who this is and what it may do: the log of the operator has the \
                 reason\n"
                    .to_owned(),
            ),
        };
        let mut response = (status, text).into_response();
        response.headers_mut().extend(header);
        response
    }
}

#[cfg(test)]
mod tests;
