//! A scripted worker on the real request plane.
//! Must answer only what its script says, so that tests can tell who answered.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dynamo_runtime::discovery::RegistrationHandle;
use dynamo_runtime::{
    Annotated, EndpointId, FinishReason, ModelCard, Registration, RequestPlaneServer, WorkerOutput,
    WorkerRequest,
};
use futures::{Stream, StreamExt, stream};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::{LOCAL, World};
use crate::fixture;

#[derive(Clone)]
pub(super) enum Script {
    /// One token per byte, then `eos`, or `length` at max_tokens.
    Say(&'static str),
    /// Some tokens, then silence until cancelled.
    SayThenHang(&'static str),
    /// Some tokens, then this error.
    SayThenError(&'static str, &'static str),
    /// A prefill worker's answer.
    Prefill,
}

type Items = Pin<Box<dyn Stream<Item = Annotated<WorkerOutput>> + Send>>;

pub(super) struct Worker {
    pub(super) id: u64,
    pub(super) seen: Arc<Mutex<Vec<WorkerRequest>>>,
    pub(super) cancelled: CancellationToken,
    pub(super) handle: RegistrationHandle,
    server: Option<RequestPlaneServer>,
    /// Threads of its own, so that its end is that of a process: every connection breaks.
    threads: Option<Runtime>,
}

impl Worker {
    pub(super) async fn start(world: &World, id: u64, script: Script) -> Self {
        Self::with_card(world, id, script, world.card.clone()).await
    }

    pub(super) async fn with_card(world: &World, id: u64, script: Script, card: ModelCard) -> Self {
        let component = if card.model_type.supports_prefill() { "prefill" } else { "backend" };
        let endpoint = EndpointId::new("ns", component, "generate");
        let threads = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let binding = threads.spawn(RequestPlaneServer::bind(LOCAL, 0));
        let server = binding.await.expect("no panic").expect("a port is free");
        let seen: Arc<Mutex<Vec<WorkerRequest>>> = Arc::default();
        let cancelled = CancellationToken::new();
        let (requests, token) = (seen.clone(), cancelled.clone());
        server.serve_endpoint(&endpoint.path(id), None, move |context, request| {
            let request: WorkerRequest = serde_json::from_value(request).expect("a worker request");
            let items = play(&script, &request);
            requests.lock().expect("not poisoned").push(request);
            let (token, ended) = (token.clone(), context.cancel);
            tokio::spawn(async move {
                ended.cancelled().await;
                token.cancel();
            });
            items
        });
        let registration = Registration::model(server.instance(&endpoint, id), card);
        let handle = world.discovery.register(registration).await.expect("a free key");
        Self { id, seen, cancelled, handle, server: Some(server), threads: Some(threads) }
    }

    /// The worker's process dies; discovery does not know yet.
    pub(super) fn die(&mut self) {
        self.server = None;
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }

    /// The worker refuses new requests and ends when those in work are done.
    pub(super) async fn retire(mut self) {
        if let Some(server) = &self.server {
            server.refuse_new();
            server.drain(Duration::from_secs(5)).await;
        }
        self.die();
    }

    pub(super) fn requests(&self) -> Vec<WorkerRequest> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// Waits until a request has arrived.
    pub(super) async fn busy(&self) {
        for _ in 0..500 {
            if !self.requests().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no request arrived at worker {}", self.id);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.die();
    }
}

fn tokens(text: &str, limit: usize) -> impl Iterator<Item = Annotated<WorkerOutput>> + use<> {
    let ids: Vec<u32> = fixture::ids(text).into_iter().take(limit).collect();
    ids.into_iter().map(|id| {
        Annotated::data(WorkerOutput {
            log_probs: Some(vec![-0.5]),
            top_logprobs: Some(serde_json::json!([[{"token_id": id, "logprob": -0.5}]])),
            ..WorkerOutput::tokens(vec![id])
        })
    })
}

fn play(script: &Script, request: &WorkerRequest) -> Items {
    let limit = request.stop_conditions.max_tokens.map_or(usize::MAX, |limit| limit as usize);
    match script {
        Script::Say(text) => {
            let reason = if text.len() > limit { FinishReason::Length } else { FinishReason::Eos };
            let end = Annotated::data(WorkerOutput::finish(reason));
            Box::pin(stream::iter(tokens(text, limit).chain(std::iter::once(end))))
        }
        Script::SayThenHang(text) => Box::pin(stream::iter(tokens(text, limit)).chain(stream::pending())),
        Script::SayThenError(text, message) => {
            let error = Annotated::error(*message);
            Box::pin(stream::iter(tokens(text, limit).chain(std::iter::once(error))))
        }
        Script::Prefill => {
            let item = Annotated::data(WorkerOutput {
                disaggregated_params: Some(serde_json::json!({"kv": request.token_ids.len()})),
                finish_reason: Some(FinishReason::Length),
                ..WorkerOutput::tokens(vec![65])
            });
            Box::pin(stream::iter([item]))
        }
    }
}
