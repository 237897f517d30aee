//! Serves the imitated engine on the request plane and publishes it (runtime.md 9.5).
//! It must not be visible before it can answer.

use std::sync::Arc;

use dynamo_runtime::discovery::DiscoveryError;
use dynamo_runtime::metrics::ComponentMetrics;
use dynamo_runtime::system::SystemHealth;
use dynamo_runtime::transport::{OpenError, RequestContext};
use dynamo_runtime::{
    Annotated, Discovery, EndpointId, FinishReason, Registration, RequestPlaneServer, WorkerOutput,
    WorkerRequest,
};
use futures::Stream;
use rand::RngExt;
use serde_json::{Value, json};
use tokio_stream::wrappers::ReceiverStream;

use crate::engine::{Engine, Event};
use crate::flags::EngineArgs;
use crate::model::Model;
use crate::scheduler::SchedulerSettings;

/// Items of one answer that may wait for a slow caller.
const ANSWER_BUFFER: usize = 64;

/// Why a worker is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
}

impl PublishError {
    /// Whether another try may succeed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Open(_) => true,
            Self::Discovery(error) => error.is_passing(),
        }
    }
}

/// One imitated worker with its ranks.
#[derive(Debug)]
pub struct Worker {
    args: EngineArgs,
    ranks: Vec<Engine>,
    answer_tokens: std::ops::Range<u32>,
}

impl Worker {
    /// Starts one engine for each data-parallel rank.
    pub fn start(args: &EngineArgs, model: &Model) -> Arc<Self> {
        let settings = SchedulerSettings {
            num_gpu_blocks: args.num_gpu_blocks,
            block_size: args.block_size,
            max_num_seqs: args.max_num_seqs,
            max_num_batched_tokens: args.max_num_batched_tokens,
            prefix_caching: args.enable_prefix_caching,
            chunked_prefill: args.enable_chunked_prefill,
            watermark: args.watermark,
            charges_prefill: !args.is_decode,
        };
        let ranks = (0..args.dp_size).map(|_| Engine::start(settings.clone(), args.speedup_ratio)).collect();
        Arc::new(Self { args: args.clone(), ranks, answer_tokens: model.answer_tokens.clone() })
    }

    /// Serves the worker and, once it can answer, publishes it and reports it ready.
    pub async fn publish(
        self: &Arc<Self>,
        server: &RequestPlaneServer,
        discovery: &Discovery,
        health: &SystemHealth,
        metrics: &ComponentMetrics,
        (id, instance_id): (&EndpointId, u64),
        model: &Model,
    ) -> Result<(), PublishError> {
        let worker = self.clone();
        server.serve_endpoint(&id.path(instance_id), Some(metrics.clone()), move |context, request| {
            worker.answer(context, request)
        });
        server.open(id, instance_id).await?;
        let instance = server.instance(id, instance_id);
        discovery.register(Registration::model(instance, model.card.clone())).await?;
        health.set_endpoint(&id.endpoint, true);
        Ok(())
    }

    fn answer(
        self: &Arc<Self>,
        context: RequestContext,
        request: Value,
    ) -> impl Stream<Item = Annotated<WorkerOutput>> + use<> {
        let (items, stream) = tokio::sync::mpsc::channel(ANSWER_BUFFER);
        let worker = self.clone();
        tokio::spawn(async move {
            if let Err(message) = worker.generate(&context, request, &items).await {
                drop(items.send(Annotated::error(message)).await);
            }
        });
        ReceiverStream::new(stream)
    }

    /// Sends the items of one answer; the error is for the caller to read.
    async fn generate(
        &self,
        context: &RequestContext,
        request: Value,
        items: &tokio::sync::mpsc::Sender<Annotated<WorkerOutput>>,
    ) -> Result<(), String> {
        let request: WorkerRequest = serde_json::from_value(request)
            .map_err(|error| format!("the request cannot be read as a worker request: {error}"))?;
        let rank = request.routing.as_ref().and_then(|routing| routing.dp_rank).unwrap_or(0);
        let engine = self.ranks.get(rank as usize).ok_or_else(|| {
            format!("dp_rank {rank} is out of range: this worker has {} rank(s)", self.ranks.len())
        })?;
        let asked = request.stop_conditions.max_tokens;
        let max_tokens = match (self.args.is_prefill, asked) {
            (true, _) => 1,
            (false, Some(0) | None) => {
                return Err("stop_conditions.max_tokens is required and must be at least 1".to_owned());
            }
            (false, Some(tokens)) => tokens as usize,
        };
        let mut answer = engine.submit(request.token_ids, max_tokens);
        loop {
            let event = tokio::select! {
                event = answer.next() => event,
                () = items.closed() => return Ok(()),
                () = context.cancel.cancelled() => {
                    let item = Annotated::data(WorkerOutput::finish(FinishReason::Cancelled));
                    drop(items.send(item).await);
                    return Ok(());
                }
            };
            let last = match event {
                None => return Err("the engine has stopped".to_owned()),
                Some(Event::Refused(refusal)) => return Err(refusal.to_string()),
                Some(Event::Token { last }) => last,
            };
            let token = rand::rng().random_range(self.answer_tokens.clone());
            let mut output = WorkerOutput::tokens(vec![token]);
            if self.args.is_prefill {
                output.disaggregated_params = Some(json!("dummy"));
            }
            if items.send(Annotated::data(output)).await.is_err() {
                return Ok(());
            }
            if last {
                let item = Annotated::data(WorkerOutput::finish(FinishReason::Length));
                drop(items.send(item).await);
                return Ok(());
            }
        }
    }
}
