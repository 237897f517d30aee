//! Calls to a cluster: another address when one fails, a fresh token when the old one has ended.
//! It must not know what the keys mean.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::proto::{
    AuthenticateRequest, AuthenticateResponse, Empty, LeaseGrantRequest, LeaseRequest, LeaseResponse,
    TxnRequest, TxnResponse, WatchCreate, WatchRequest, WatchResponse,
};
use super::settings::EtcdSettings;
use crate::causes::{join, with_causes};

/// One call at one address.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// A renewal must leave time for another address within half of a lease's life.
const RENEW_LIMIT: Duration = Duration::from_millis(1500);
/// All model cards of a cluster come in one answer.
const ANSWER_LIMIT: usize = 256 * 1024 * 1024;

type Token = MetadataValue<Ascii>;

/// Why no address gave the answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) endpoints: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let advice = match self.status.code() {
            Code::PermissionDenied => "; give the user of ETCD_AUTH_USERNAME readwrite on the prefix v1/",
            Code::Unauthenticated | Code::InvalidArgument => {
                "; check ETCD_AUTH_USERNAME and ETCD_AUTH_PASSWORD"
            }
            Code::Unavailable | Code::DeadlineExceeded => "; check ETCD_ENDPOINTS and that etcd runs",
            _ => "",
        };
        write!(out, "etcd at {}: {}{advice}", self.endpoints, reason(&self.status))
    }
}

fn reason(status: &Status) -> String {
    join(status.message().to_owned(), status.source())
}

pub(super) struct Cluster {
    settings: EtcdSettings,
    /// One for each address; empty after a failure, so that the next use connects anew.
    channels: Vec<Mutex<Option<Channel>>>,
    /// The address that is used until it fails.
    current: AtomicUsize,
    token: Mutex<Option<Token>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Cluster").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn new(settings: EtcdSettings) -> Self {
        let channels = settings.endpoints.iter().map(|_| Mutex::default()).collect();
        Self { settings, channels, current: AtomicUsize::new(0), token: Mutex::default() }
    }

    pub(super) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Failure> {
        self.call("/etcdserverpb.KV/Txn", request, CALL_LIMIT).await
    }

    /// Grants a lease under an id of our choice; one that is there already is ours from an earlier try.
    pub(super) async fn grant(&self, id: i64, life: Duration) -> Result<(), Failure> {
        let ttl = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        let request = LeaseGrantRequest { ttl, id };
        match self.call::<_, LeaseResponse>("/etcdserverpb.Lease/LeaseGrant", request, CALL_LIMIT).await {
            Err(failure) if failure.status.message().contains("lease already exists") => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Ends a lease and with it every key that is bound to it; one that has ended already is no error.
    pub(super) async fn revoke(&self, id: i64) -> Result<(), Failure> {
        let request = LeaseRequest { id };
        match self.call::<_, Empty>("/etcdserverpb.Lease/LeaseRevoke", request, CALL_LIMIT).await {
            Err(failure) if failure.status.code() == Code::NotFound => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Renews a lease; the time it then has, zero when it has ended.
    pub(super) async fn renew(&self, id: i64) -> Result<Duration, Failure> {
        let renewal = move |channel, token| {
            let request = with_token(tokio_stream::once(LeaseRequest { id }), token);
            let renewal = async move {
                let path = PathAndQuery::from_static("/etcdserverpb.Lease/LeaseKeepAlive");
                let codec = ProstCodec::<LeaseRequest, LeaseResponse>::default();
                let mut answers = client(channel).await?.streaming(request, path, codec).await?.into_inner();
                let answer = answers.message().await?;
                answer.ok_or_else(|| Status::unavailable("the renewal was not answered"))
            };
            renewal.boxed()
        };
        let answer = self.each_address(RENEW_LIMIT, renewal).await?;
        Ok(Duration::from_secs(u64::try_from(answer.ttl).unwrap_or(0)))
    }

    /// Follows ranges from a revision on, at one address: the answers end when it fails.
    pub(super) async fn watch(&self, ranges: Vec<WatchCreate>) -> Result<Streaming<WatchResponse>, Failure> {
        let open = move |channel, token| {
            let creates = ranges.clone().into_iter().map(|create| WatchRequest { create: Some(create) });
            // The requests must not end, or the server ends the answers.
            let requests = futures::stream::iter(creates).chain(futures::stream::pending());
            let mut request = with_token(requests, token);
            // An address that has lost the others says so instead of keeping silent.
            request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
            let opening = async move {
                let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
                let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
                Ok(client(channel).await?.streaming(request, path, codec).await?.into_inner())
            };
            opening.boxed()
        };
        self.each_address(CALL_LIMIT, open).await
    }

    /// Forgets the token, so that the next call asks for another.
    pub(super) fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn failure(&self, status: Status) -> Failure {
        Failure { status, endpoints: self.settings.names() }
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q, limit: Duration) -> Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let call = move |channel, token| unary(channel, path, with_token(request.clone(), token)).boxed();
        self.each_address(limit, call).await
    }

    /// Tries the address in use, then each of the others, and the only one twice, as its connection may have been an old
    /// one. An answer that every address would give ends the search.
    async fn each_address<T>(
        &self,
        limit: Duration,
        call: impl Fn(Channel, Option<Token>) -> BoxFuture<'static, Result<T, Status>> + Sync,
    ) -> Result<T, Failure> {
        let mut last = Status::unavailable("no address");
        for _ in 0..self.channels.len().max(2) {
            let at = self.current.load(Ordering::Relaxed) % self.channels.len();
            match tokio::time::timeout(limit, self.at_address(at, &call)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) if !is_of_address(&status) => return Err(self.failure(status)),
                Ok(Err(status)) => last = status,
                Err(_) => {
                    last = Status::deadline_exceeded(format!("no answer within {} s", limit.as_secs_f64()));
                }
            }
            tracing::debug!("etcd at {} failed: {}", self.settings.endpoints[at], reason(&last));
            *self.channels[at].lock().unwrap_or_else(PoisonError::into_inner) = None;
            // Only the first of several calls that fail at once moves on.
            let next = (at + 1) % self.channels.len();
            let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        Err(self.failure(last))
    }

    /// One try at one address, and a second one when the token was too old.
    async fn at_address<T>(
        &self,
        at: usize,
        call: &(impl Fn(Channel, Option<Token>) -> BoxFuture<'static, Result<T, Status>> + Sync),
    ) -> Result<T, Status> {
        let channel = self.channel(at)?;
        if self.settings.user.is_some() && self.token().is_none() {
            self.authenticate(channel.clone()).await?;
        }
        match call(channel.clone(), self.token()).await {
            Err(status) if self.settings.user.is_some() && is_of_token(&status) => {
                self.authenticate(channel.clone()).await?;
                call(channel, self.token()).await
            }
            outcome => outcome,
        }
    }

    fn token(&self) -> Option<Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn authenticate(&self, channel: Channel) -> Result<(), Status> {
        let Some((name, password)) = self.settings.user.clone() else { return Ok(()) };
        let request = Request::new(AuthenticateRequest { name, password });
        let answer = unary(channel, "/etcdserverpb.Auth/Authenticate", request).await;
        let token = match answer {
            Ok(AuthenticateResponse { token }) => token,
            Err(status) if status.message().contains("authentication is not enabled") => {
                tracing::debug!("etcd has no authentication enabled; ETCD_AUTH_USERNAME is not needed");
                return Ok(());
            }
            Err(status) => return Err(status),
        };
        let token = token.parse().map_err(|_| Status::internal("the token holds unusable characters"))?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }

    fn channel(&self, at: usize) -> Result<Channel, Status> {
        let mut channel = self.channels[at].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channel.as_ref() {
            return Ok(channel.clone());
        }
        let endpoint = self.settings.endpoint(&self.settings.endpoints[at]).map_err(Status::unavailable)?;
        Ok(channel.insert(endpoint.connect_lazy()).clone())
    }
}

fn with_token<T>(message: T, token: Option<Token>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("token", token);
    }
    request
}

async fn client(channel: Channel) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(ANSWER_LIMIT);
    grpc.ready().await.map_err(|error| Status::unavailable(with_causes(&error)))?;
    Ok(grpc)
}

async fn unary<Q, A>(channel: Channel, path: &'static str, request: Request<Q>) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let codec = ProstCodec::<Q, A>::default();
    let answer = client(channel).await?.unary(request, PathAndQuery::from_static(path), codec).await?;
    Ok(answer.into_inner())
}

/// Whether another address may do better.
fn is_of_address(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Internal | Code::Cancelled
    )
}

/// Whether a fresh token helps: the old one has ended, or rights have changed since it was made.
fn is_of_token(status: &Status) -> bool {
    let words = ["invalid auth token", "revision of auth store is old", "user name is empty"];
    status.code() == Code::Unauthenticated || words.iter().any(|word| status.message().contains(word))
}
