//! The right to write: every mutating request asks for it before it is sent, and again when its bytes are taken.
//! It knows no rule of its own; the process says when it may write, and until when an answer must be in.
//!
//! A right is an [`Instant`], the end of the time in which the request may have an effect. Three things keep a late
//! request from the API server:
//! - nothing is sent when the right has ended before (a frozen process that goes on, a slow connection): the body of
//!   a request refuses to be read then;
//! - an answer that is not in when the right ends gives the request up;
//! - a connection that is given up is reset, so that the kernel drops what it has not delivered (`transport`).

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Method;
use http_body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use tokio::time::Instant;
use tower::BoxError;

/// Says who may write.
pub trait Fence: std::fmt::Debug + Send + Sync + 'static {
    /// The right to write in `namespace` (`None`: to an object without one): when it ends. Dropping the future must
    /// be harmless.
    ///
    /// Errors: [`Refused`] when the process has no right now; anything else is a failure to find out.
    fn permit(&self, namespace: Option<&str>) -> BoxFuture<'static, Result<Instant, BoxError>>;
}

/// The write was not sent, because it is not for this process to write now. Not a failure: somebody else does it,
/// or this process does it later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not written: {0}")]
pub struct Refused(pub &'static str);

/// The refusal that caused `error`, if it is one.
#[must_use]
pub fn refusal<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Refused> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}

/// Whether a request can change something.
pub(crate) fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The namespace in the path of a request, below `base`, the path of the cluster's own address.
pub(crate) fn namespace_of<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    let path = path.strip_prefix(base.trim_end_matches('/')).unwrap_or(path);
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next()? {
        "api" => drop(parts.next()),
        "apis" => drop((parts.next(), parts.next())),
        _ => return None,
    }
    if parts.next()? == "namespaces" { parts.next() } else { None }
}

/// The body of a request that may be sent until `until`.
#[derive(Debug)]
pub(crate) struct Guarded {
    body: Body,
    until: Option<Instant>,
}

impl Guarded {
    pub(crate) fn new(body: Body, until: Option<Instant>) -> Self {
        Self { body, until }
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Poll::Ready(Some(Err(
                Refused("the right to write ended before the request was sent").into()
            )));
        }
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn the_namespace_of_a_write_is_read_from_its_path() {
        let of = |path| namespace_of(path, "/");
        assert_eq!(of("/api/v1/namespaces/a/services/b"), Some("a"));
        assert_eq!(of("/apis/apps/v1/namespaces/a/deployments"), Some("a"));
        assert_eq!(of("/api/v1/namespaces/a"), Some("a"));
        assert_eq!(of("/api/v1/namespaces"), None);
        assert_eq!(of("/apis/rbac.authorization.k8s.io/v1/clusterroles/namespaces"), None);
        assert_eq!(namespace_of("/k8s/c-1/api/v1/namespaces/a/pods/b", "/k8s/c-1/"), Some("a"));
    }

    #[tokio::test]
    async fn a_body_is_not_read_after_the_right_ended() {
        let now = Instant::now();
        let body = |until| Guarded::new(Body::from(b"{}".to_vec()), Some(until));
        assert!(body(now + Duration::from_secs(60)).collect().await.is_ok());
        let error = body(now).collect().await.err().unwrap();
        assert!(refusal(&*error).is_some(), "{error}");
    }
}
