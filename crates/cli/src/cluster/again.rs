//! "Not now" of an API server is no answer: it says when to ask again, as while it takes up the storage of a kind or
//! holds back a flood. kubectl asks again then, and so do all commands.

use std::time::{Duration, Instant};

use http::{Request, Response, header::RETRY_AFTER};
use kube::client::{Body, retry::RetryPolicy};
use tower::{BoxError, retry::Policy};

/// Asks again what was answered with a `Retry-After`, as long as the last attempt begins within `limit` of the first.
/// An answer of another kind, a refused connection among them, stands.
#[derive(Debug, Clone)]
pub struct Again {
    limit: Duration,
    first: Option<Instant>,
}

impl Again {
    pub fn within(limit: Duration) -> Self {
        Self { limit, first: None }
    }
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for Again {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let response = result.as_ref().ok()?;
        if !response.status().is_client_error() && !response.status().is_server_error() {
            return None;
        }
        // The API server gives whole seconds; the other form, a date, is that of caches.
        let seconds: u32 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        let pause = Duration::from_secs(seconds.into());
        let first = self.first?;
        (first.elapsed() + pause <= self.limit).then(|| tokio::time::sleep(pause))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        self.first.get_or_insert_with(Instant::now);
        Policy::<_, Response<B>, _>::clone_request(&mut RetryPolicy::default(), request)
    }
}
