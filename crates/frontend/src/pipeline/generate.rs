//! One choice from prepared prompt to shown text: prefill, call, detokenize, stop, migrate (runtime.md 4.5).
//! Must not format answers; it sends deltas, and dropping the receiver kills the work on the worker.

use std::sync::Arc;
use std::time::Instant;

use dynamo_runtime::protocol::RouterConfigOverride;
use dynamo_runtime::{FinishReason, ResponseStream, WorkerOutput, WorkerRequest};
use futures::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;

use super::detokenize::Detokenizer;
use super::dispatch::{Call, Dispatcher};
use super::preprocess::Prepared;
use super::stop::StopFilter;
use super::{prefill, tokenize};
use crate::metrics::{Metrics, Migration, OperationLabel};
use crate::models::Model;
use crate::openai::errors::ApiError;

/// What every generation of this process shares.
#[derive(Debug)]
pub struct Services {
    pub dispatcher: Dispatcher,
    pub metrics: Arc<Metrics>,
    /// `--migration-limit`; the card's own limit counts when it is larger.
    pub migration_limit: u32,
    pub enforce_disagg: bool,
}

/// One choice to generate.
#[derive(Debug, Clone)]
pub struct Job {
    pub model: Arc<Model>,
    pub prepared: Prepared,
    pub request_id: String,
    /// Index of the choice in the answer.
    pub index: u32,
}

/// Why a choice ended, in the words of the OpenAI interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    Stop,
    Length,
    ContentFilter,
}

impl Finish {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Log probability of one token with its alternatives.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    pub token: String,
    pub logprob: f64,
    pub top: Vec<(String, f64)>,
}

/// The workers that served a choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerIds {
    pub prefill: Option<u64>,
    pub decode: Option<u64>,
}

/// Some more of a choice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    pub text: String,
    pub token_ids: Vec<u32>,
    pub logprobs: Vec<TokenLogprob>,
    pub finish: Option<Finish>,
    /// The stop string or token that ended the choice.
    pub stop_reason: Option<Value>,
    pub workers: WorkerIds,
    pub cached_tokens: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A worker has accepted the request.
    Started,
    Delta(Delta),
}

/// What arrives at the HTTP side: the choice's index and its event, or the error that ends the whole answer.
pub type Message = Result<(u32, Event), ApiError>;

/// Starts a choice. The task ends early when the receiver is dropped, which kills the request on its worker.
pub fn spawn(services: Arc<Services>, job: Job, output: mpsc::Sender<Message>) {
    tokio::spawn(async move {
        let outcome = tokio::select! {
            () = output.closed() => return,
            outcome = run(&services, &job, &output) => outcome,
        };
        if let Err(error) = outcome {
            // A closed receiver means that nobody waits for the error.
            let _ = output.send(Err(error)).await;
        }
    });
}

enum Outcome {
    Finished,
    Broken(String),
}

async fn run(services: &Services, job: &Job, output: &mpsc::Sender<Message>) -> Result<(), ApiError> {
    let mut request = job.prepared.request.clone();
    let prompt = request.token_ids.len();
    let mut progress = Progress::new(job);
    let prefilled = prefill::run(services, job, &mut request).await?;
    progress.workers.prefill = prefilled.worker;
    if prefilled.worker.is_some() {
        request.router_config_override =
            Some(RouterConfigOverride { overlap_score_weight: Some(0.0), ..RouterConfigOverride::default() });
    }
    let limit = request.stop_conditions.max_tokens;
    let mut migrations = services.migration_limit.max(job.model.card.migration_limit);
    let mut avoid = Vec::new();
    let model = job.model.name().to_lowercase();
    let pinned =
        request.routing.as_ref().and_then(|routing| routing.decode_worker_id.or(routing.backend_instance_id));
    loop {
        let call = Call {
            model: job.model.name(),
            request: &request,
            id: &job.request_id,
            pinned,
            avoid: &avoid,
            block_size: job.model.card.kv_cache_block_size,
        };
        let accepted = services.dispatcher.open(&job.model.workers, call).await?;
        services.metrics.count_migrations(&model, Migration::New, accepted.retries);
        progress.workers.decode = Some(accepted.worker);
        progress.workers.prefill = prefilled.worker.or(Some(accepted.worker));
        if !progress.started {
            progress.started = true;
            send(output, job.index, Event::Started).await?;
        }
        let mut stream = accepted.stream;
        let reason = match consume(services, job, &mut progress, &mut stream, output, migrations > 0).await? {
            Outcome::Finished => return Ok(()),
            Outcome::Broken(reason) => reason,
        };
        job.model.workers.failed(accepted.worker);
        avoid.push(accepted.worker);
        if migrations == 0 {
            return Err(ApiError::generation(reason));
        }
        migrations -= 1;
        tracing::warn!(
            "request {}: instance {} broke off after {} tokens ({reason}); going on elsewhere",
            job.request_id,
            accepted.worker,
            progress.produced.len()
        );
        services.metrics.count_migrations(&model, Migration::Ongoing, 1);
        continue_from(&mut request, prompt, &progress.produced, limit);
        if request.stop_conditions.max_tokens == Some(0) {
            let delta = progress.end(Finish::Length, None);
            return send(output, job.index, Event::Delta(delta)).await;
        }
    }
}

/// Tokens already produced become part of the prompt and are taken off the limits.
fn continue_from(request: &mut WorkerRequest, prompt: usize, produced: &[u32], limit: Option<u32>) {
    request.token_ids.truncate(prompt);
    request.token_ids.extend_from_slice(produced);
    let made = u32::try_from(produced.len()).unwrap_or(u32::MAX);
    request.stop_conditions.max_tokens = limit.map(|limit| limit.saturating_sub(made));
    request.stop_conditions.min_tokens =
        request.stop_conditions.min_tokens.map(|least| least.saturating_sub(made));
    request.bootstrap_info = None;
    request.prefill_result = None;
}

async fn send(output: &mpsc::Sender<Message>, index: u32, event: Event) -> Result<(), ApiError> {
    output.send(Ok((index, event))).await.map_err(|_| ApiError::generation("the client has left"))
}

async fn consume(
    services: &Services,
    job: &Job,
    progress: &mut Progress<'_>,
    stream: &mut ResponseStream,
    output: &mpsc::Sender<Message>,
    may_migrate: bool,
) -> Result<Outcome, ApiError> {
    while let Some(item) = stream.next().await {
        let item = match item {
            Ok(item) => item,
            Err(failure) => return Ok(Outcome::Broken(failure.to_string())),
        };
        if let Some(message) = item.error_message() {
            if message.contains("Stream ended before generation completed") {
                return Ok(Outcome::Broken(message));
            }
            return Err(ApiError::from_worker(&message));
        }
        let Some(data) = item.data else { continue };
        match &data.finish_reason {
            Some(FinishReason::Error(message)) => return Err(ApiError::from_worker(message)),
            // Nobody here asked for it: the worker is going away in the middle of the answer.
            Some(FinishReason::Cancelled) if may_migrate => {
                return Ok(Outcome::Broken("the worker cancelled the request".to_owned()));
            }
            _ => {}
        }
        let start = Instant::now();
        let delta = progress.take(&data);
        services
            .metrics
            .tokenizer_latency
            .get_or_create(&OperationLabel { operation: "detokenize".to_owned() })
            .observe(start.elapsed().as_secs_f64() * 1000.0);
        let last = delta.finish.is_some();
        send(output, job.index, Event::Delta(delta)).await?;
        if last {
            return Ok(Outcome::Finished);
        }
    }
    // The final frame came without a reason: the worker regards the answer as complete.
    let delta = progress.end(Finish::Stop, None);
    send(output, job.index, Event::Delta(delta)).await?;
    Ok(Outcome::Finished)
}

/// The way back of one choice, across migrations.
struct Progress<'a> {
    job: &'a Job,
    detokenizer: Detokenizer,
    stop: StopFilter,
    produced: Vec<u32>,
    workers: WorkerIds,
    started: bool,
}

impl<'a> Progress<'a> {
    fn new(job: &'a Job) -> Self {
        let prepared = &job.prepared;
        Self {
            job,
            detokenizer: Detokenizer::new(job.model.text.tokenizer.clone(), prepared.skip_special),
            stop: StopFilter::new(prepared.stop_strings.clone(), prepared.include_stop),
            produced: Vec::new(),
            workers: WorkerIds::default(),
            started: false,
        }
    }

    /// The last delta: what was held back, unless a stop string ended the text.
    fn end(&mut self, finish: Finish, stop_reason: Option<Value>) -> Delta {
        let mut delta = Delta { workers: self.workers, ..Delta::default() };
        self.close(&mut delta, finish);
        delta.stop_reason = stop_reason;
        delta
    }

    fn close(&mut self, delta: &mut Delta, finish: Finish) {
        let rest = self.detokenizer.flush();
        let passed = self.stop.push(&rest);
        delta.text.push_str(&passed.text);
        if passed.matched.is_none() {
            delta.text.push_str(&self.stop.flush());
        }
        delta.finish = Some(finish);
    }

    fn take(&mut self, data: &WorkerOutput) -> Delta {
        let cached = data
            .completion_usage
            .as_ref()
            .and_then(|usage| usage.pointer("/prompt_tokens_details/cached_tokens"))
            .and_then(Value::as_u64);
        let mut delta = Delta { workers: self.workers, cached_tokens: cached, ..Delta::default() };
        if data.token_ids.is_empty()
            && let Some(text) = &data.text
            && self.show(&mut delta, text)
        {
            return delta;
        }
        for (position, id) in data.token_ids.iter().enumerate() {
            if self.take_token(&mut delta, data, position, *id) {
                return delta;
            }
        }
        let finish = match &data.finish_reason {
            None => return delta,
            Some(FinishReason::Length) => Finish::Length,
            Some(FinishReason::ContentFilter) => Finish::ContentFilter,
            Some(
                FinishReason::Eos | FinishReason::Stop | FinishReason::Cancelled | FinishReason::Error(_),
            ) => Finish::Stop,
        };
        self.close(&mut delta, finish);
        delta.stop_reason.clone_from(&data.stop_reason);
        delta
    }

    /// Adds one token; true when it ends the choice.
    fn take_token(&mut self, delta: &mut Delta, data: &WorkerOutput, position: usize, id: u32) -> bool {
        self.produced.push(id);
        delta.token_ids.push(id);
        let prepared = &self.job.prepared;
        let enough = self.produced.len() >= prepared.min_tokens as usize;
        if prepared.hidden.contains(&id) && enough {
            self.close(delta, Finish::Stop);
            return true;
        }
        if prepared.wants_logprobs
            && let Some(logprob) = data.log_probs.as_ref().and_then(|list| list.get(position))
        {
            let tokenizer = &self.job.model.text.tokenizer;
            let top = data.top_logprobs.as_ref().and_then(|list| list.get(position));
            delta.logprobs.push(TokenLogprob {
                token: tokenize::token_text(tokenizer, id),
                logprob: *logprob,
                top: top.map(|list| alternatives(tokenizer, list)).unwrap_or_default(),
            });
        }
        let piece = self.detokenizer.push(id);
        if enough {
            return self.show(delta, &piece);
        }
        delta.text.push_str(&piece);
        false
    }

    /// Passes text through the stop filter; true when a stop string ends the choice.
    fn show(&mut self, delta: &mut Delta, text: &str) -> bool {
        let passed = self.stop.push(text);
        delta.text.push_str(&passed.text);
        if let Some(matched) = passed.matched {
            delta.finish = Some(Finish::Stop);
            delta.stop_reason = Some(Value::String(matched));
            return true;
        }
        false
    }
}

fn alternatives(tokenizer: &tokenizers::Tokenizer, list: &Value) -> Vec<(String, f64)> {
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let logprob = entry.get("logprob")?.as_f64()?;
            let given = entry.get("token").and_then(Value::as_str).map(str::to_owned);
            let by_id = || {
                let id = entry.get("token_id")?.as_u64()?;
                Some(tokenize::token_text(tokenizer, u32::try_from(id).ok()?))
            };
            Some((given.or_else(by_id)?, logprob))
        })
        .collect()
}
