//! The client of a controller: bounded answers, no hidden retries, every write counted.
//! Retrying belongs to the work queue, which does not hold a slot while it waits.

use std::{sync::Arc, task, time::Duration};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
};
use tower::{BoxError, Layer, Service, ServiceBuilder};

use crate::{
    fence::{Fence, refusal},
    metrics::{ApiMetrics, Sent},
    transport,
};

/// How long the API server may take until the headers of an answer.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// A client with a limit of [`ANSWER_LIMIT`] up to the response headers and a count of every request by verb and
/// resource. Watches are not cut: their limit applies to the headers only. Its writes ask nobody: it is for what a
/// process writes about itself, such as leases and certificates.
///
/// # Errors
/// When the TLS set-up or the credentials of `config` cannot be used.
pub fn build(config: &Config, metrics: Arc<ApiMetrics>) -> Result<Client, kube::Error> {
    assemble(config, metrics, None)
}

/// The same, but each write needs a right from `fence`: for everything that belongs to one writer at a time.
///
/// # Errors
/// When the TLS set-up or the credentials of `config` cannot be used.
pub fn build_fenced(
    config: &Config,
    metrics: Arc<ApiMetrics>,
    fence: Arc<dyn Fence>,
) -> Result<Client, kube::Error> {
    assemble(config, metrics, Some(fence))
}

fn assemble(
    config: &Config,
    metrics: Arc<ApiMetrics>,
    fence: Option<Arc<dyn Fence>>,
) -> Result<Client, kube::Error> {
    let config = &without_needless_authorities(config.clone());
    let host = config.cluster_url.authority().map_or("", |authority| authority.as_str()).into();
    let service = ServiceBuilder::new()
        .layer(Bounded { metrics, host })
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .service(transport::connect(config, fence)?);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// `config`, without the authorities of the system where no certificate is checked against them. They would be read all
/// the same, and their absence, as in a small image, would be an error.
#[must_use]
pub fn without_needless_authorities(mut config: Config) -> Config {
    let checks = config.cluster_url.scheme_str() == Some("https") && !config.accept_invalid_certs;
    if config.root_cert.is_none() && !checks {
        config.root_cert = Some(Vec::new());
    }
    config
}

/// The messages of an error and its causes, joined by `: `, without repeating a cause that its parent already shows.
/// Of an answer of the API server only the message is taken, not the whole status.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let answer = answer(error);
        let message = answer.clone().unwrap_or_else(|| error.to_string());
        if !text.contains(&message) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&message);
        }
        // Below an answer there is only its status once more.
        next = if answer.is_some() { None } else { error.source() };
    }
    text
}

/// What the API server said, if that is what the error is about.
fn answer(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use kube::runtime::watcher::Error as Watch;
    let (what, cause) = match error.downcast_ref::<Watch>() {
        Some(Watch::InitialListFailed(cause)) => ("cannot list: ", cause),
        Some(Watch::WatchStartFailed(cause) | Watch::WatchFailed(cause)) => ("cannot watch: ", cause),
        // A boxed source shows itself as a box.
        _ => match error.downcast_ref::<Box<kube::Error>>() {
            Some(boxed) => ("", &**boxed),
            None => ("", error.downcast_ref::<kube::Error>()?),
        },
    };
    match cause {
        kube::Error::Api(status) if !status.message.is_empty() => Some(format!("{what}{}", status.message)),
        _ => None,
    }
}

#[derive(Clone)]
struct Bounded {
    metrics: Arc<ApiMetrics>,
    /// Of the API server: requests do not carry it yet where they are counted.
    host: Arc<str>,
}

impl<S> Layer<S> for Bounded {
    type Service = BoundedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BoundedService { inner, metrics: Arc::clone(&self.metrics), host: Arc::clone(&self.host) }
    }
}

#[derive(Clone)]
struct BoundedService<S> {
    inner: S,
    metrics: Arc<ApiMetrics>,
    host: Arc<str>,
}

impl<S, B> Service<Request<Body>> for BoundedService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> task::Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let metrics = Arc::clone(&self.metrics);
        let (verb, resource) = classify(request.method(), request.uri());
        let sent = Sent { method: request.method().to_string(), host: self.host.to_string(), verb, resource };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = match tokio::time::timeout(ANSWER_LIMIT, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => {
                    Err(format!("no answer from the API server within {} s", ANSWER_LIMIT.as_secs()).into())
                }
            };
            let refused = answer.as_ref().err().is_some_and(|error: &BoxError| refusal(&**error).is_some());
            if !refused {
                let code = answer.as_ref().ok().map(|answer: &Response<B>| answer.status().as_u16());
                metrics.count(sent, code);
            }
            answer
        })
    }
}

/// The API verb and the resource (with subresource) of a request path.
fn classify(method: &Method, uri: &http::Uri) -> (&'static str, String) {
    let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
    match parts.next() {
        Some("api") => drop(parts.next()),
        Some("apis") => {
            parts.next();
            parts.next();
        }
        _ => return (verb(method, uri, true), "none".to_owned()),
    }
    let mut parts: Vec<&str> = parts.collect();
    if parts.first() == Some(&"namespaces") && parts.len() > 2 {
        parts.drain(..2);
    }
    let resource = match parts[..] {
        [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
        [resource, ..] => resource.to_owned(),
        [] => "none".to_owned(),
    };
    (verb(method, uri, parts.len() > 1), resource)
}

fn verb(method: &Method, uri: &http::Uri, named: bool) -> &'static str {
    let watch = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    match (method.as_str(), named) {
        ("GET", _) if watch => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_shows_the_message_of_an_answer_once_and_not_the_whole_status() {
        let status =
            kube::core::Status { message: "it is full".into(), code: 507, ..kube::core::Status::default() };
        let error = kube::Error::Api(Box::new(status));
        assert_eq!(chain(&error), "it is full");
        let boxed: Box<kube::Error> = Box::new(kube::Error::Api(Box::new(kube::core::Status {
            message: "it is full".into(),
            ..kube::core::Status::default()
        })));
        assert_eq!(chain(&boxed), "it is full");
        let error = kube::runtime::watcher::Error::WatchStartFailed(error);
        assert_eq!(chain(&error), "cannot watch: it is full");
    }

    #[test]
    fn requests_are_classified_by_verb_and_resource() {
        let of = |method: Method, uri: &str| {
            let (verb, resource) = classify(&method, &uri.parse().unwrap());
            format!("{verb} {resource}")
        };
        assert_eq!(of(Method::GET, "/api/v1/pods?watch=true"), "watch pods");
        assert_eq!(of(Method::GET, "/api/v1/namespaces/a/pods?limit=500"), "list pods");
        assert_eq!(of(Method::GET, "/api/v1/namespaces/a"), "get namespaces");
        assert_eq!(
            of(Method::PATCH, "/apis/apps/v1/namespaces/a/deployments/b?force=true"),
            "patch deployments"
        );
        assert_eq!(
            of(Method::PATCH, "/apis/nvidia.com/v1alpha1/namespaces/a/dynamographdeployments/b/status"),
            "patch dynamographdeployments/status"
        );
        assert_eq!(of(Method::GET, "/readyz"), "get none");
    }
}
