//! The connection to the API server and the service at the bottom of the client: one place where bytes leave.
//! It asks the fence before a write and bounds it by the right; it never retries.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioIo},
};
use kube::{
    Config,
    client::{Body, ConfigExt},
};
use tokio::net::TcpStream;
use tower::{BoxError, Service};

use crate::fence::{Fence, Guarded, is_write, namespace_of};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A connector whose connections are reset when they are closed. An orderly close lets the kernel deliver what was
/// written for minutes after the request was given up; a write must not arrive that late.
#[derive(Clone)]
pub(crate) struct Resetting(HttpConnector);

impl Service<Uri> for Resetting {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connect = self.0.call(uri);
        Box::pin(async move {
            let stream = connect.await?;
            stream.inner().set_zero_linger()?;
            Ok(stream)
        })
    }
}

/// Sends requests over pooled connections.
#[derive(Clone)]
pub(crate) struct Transport<Connector> {
    client: Client<Connector, Guarded>,
    fence: Option<Arc<dyn Fence>>,
    base: Arc<str>,
}

/// The bottom of a client's stack.
pub(crate) fn connect(
    config: &Config,
    fence: Option<Arc<dyn Fence>>,
) -> Result<Transport<impl Connect + Clone + Send + Sync + 'static>, kube::Error> {
    if let Some(proxy_url) = &config.proxy_url {
        return Err(kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(proxy_url.clone()) });
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_LIMIT));
    let connector = config.rustls_https_connector_with_connector(Resetting(connector))?;
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Ok(Transport { client, fence, base: config.cluster_url.path().into() })
}

impl<Connector> Service<Request<Body>> for Transport<Connector>
where
    Connector: Connect + Clone + Send + Sync + 'static,
{
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.client.clone();
        let fence = self.fence.as_ref().filter(|_| is_write(request.method()));
        let Some(permit) = fence.map(|fence| fence.permit(namespace_of(request.uri().path(), &self.base)))
        else {
            let request = request.map(|body| Guarded::new(body, None));
            return Box::pin(async move { client.request(request).await.map_err(Into::into) });
        };
        Box::pin(async move {
            let until = permit.await?;
            let request = request.map(|body| Guarded::new(body, Some(until)));
            match tokio::time::timeout_at(until, client.request(request)).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err("no answer from the API server before the right to write ended".into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{Api, api::PostParams};
    use tokio::{io::AsyncReadExt, net::TcpListener, time::Instant};

    use super::*;
    use crate::{
        client::{ANSWER_LIMIT, build_fenced},
        fence::refusal,
    };

    /// Gives every write the same time.
    #[derive(Debug)]
    struct For(Duration);

    impl Fence for For {
        fn permit(&self, namespace: Option<&str>) -> BoxFuture<'static, Result<Instant, BoxError>> {
            assert_eq!(namespace, Some("a"));
            let until = Instant::now() + self.0;
            Box::pin(async move { Ok(until) })
        }
    }

    /// Creates an object on a server that never answers; returns the failure, what the server got, and whether the
    /// connection was reset in the end. A right that has not ended before ends when the server has read the head.
    async fn write(right: Duration) -> (kube::Error, Vec<u8>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = Vec::new();
            let mut has_ended = false;
            let mut reset = loop {
                match stream.read_buf(&mut got).await {
                    Ok(0) => break false,
                    Ok(_) => {}
                    Err(_) => break true,
                }
                if !has_ended && got.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                    has_ended = true;
                    // By the clock alone, so that a slow machine has the whole time before.
                    tokio::time::pause();
                    tokio::time::advance(right).await;
                    tokio::time::resume();
                }
            };
            // The end of the bytes may come alone, the reset after it.
            for _ in 0..1000 {
                if reset {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                reset = stream.take_error().unwrap().is_some();
            }
            (got, reset)
        });
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let client = build_fenced(&config, Arc::default(), Arc::new(For(right))).unwrap();
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), "a");
        let error = api.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err();
        drop((api, client));
        let (got, reset) = server.await.unwrap();
        (error, got, reset)
    }

    #[tokio::test]
    async fn a_write_without_an_answer_is_given_up_with_its_right_and_its_connection_reset() {
        let (error, got, reset) = write(ANSWER_LIMIT / 2).await;
        assert!(crate::client::chain(&error).contains("before the right to write ended"), "{error}");
        assert!(got.starts_with(b"POST /api/v1/namespaces/a/configmaps"));
        assert!(reset);
    }

    #[tokio::test]
    async fn a_write_whose_right_has_ended_reaches_nobody() {
        // The request is begun all the same, as by a process that was frozen after it had asked.
        let (error, got, _) = write(Duration::ZERO).await;
        let late = crate::client::chain(&error).contains("before the right to write ended");
        assert!(late || refusal(&error).is_some(), "{error}");
        assert!(!String::from_utf8_lossy(&got).contains("ConfigMap"), "{}", String::from_utf8_lossy(&got));
    }
}
