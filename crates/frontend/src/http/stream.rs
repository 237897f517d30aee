//! Turns the deltas of all choices into one answer: an event stream or a whole body (runtime.md 4.4).
//! Must end a stream without `[DONE]` after an error, and count it as one.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::observe::Observation;
use crate::openai::answer::{self, Envelope, Usage};
use crate::openai::common::UsageMode;
use crate::openai::errors::ApiError;
use crate::openai::sse;
use crate::pipeline::generate::{Delta, Event, Message, WorkerIds};
use crate::pipeline::preprocess::Prepared;

/// Silence after which a comment tells proxies and clients that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the client asked for.
#[derive(Debug)]
pub struct Options {
    pub envelope: Envelope,
    pub usage: UsageMode,
    pub choices: usize,
    /// Choices of each prompt.
    pub per_prompt: usize,
    pub echo: bool,
    pub timing: bool,
    pub worker_id: bool,
    pub token_ids: bool,
    pub annotations: Vec<String>,
    pub request_id: String,
    pub prompts: Vec<Prepared>,
}

/// One answer in the making.
#[derive(Debug)]
pub struct Answer {
    options: Options,
    observation: Observation,
    input: mpsc::Receiver<Message>,
    /// Per choice: what it holds so far. Streams keep its counts only.
    choices: BTreeMap<u32, Choice>,
    waiting: VecDeque<(u32, Delta)>,
    usage: Usage,
    finished: usize,
}

#[derive(Debug, Default)]
struct Choice {
    echoed: bool,
    begun: bool,
    characters: usize,
    folded: Delta,
}

impl Answer {
    #[must_use]
    pub fn new(options: Options, observation: Observation, input: mpsc::Receiver<Message>) -> Self {
        let prompt: usize = options.prompts.iter().map(|prompt| prompt.request.token_ids.len()).sum();
        let usage = Usage { prompt: prompt as u64, ..Usage::default() };
        Self {
            options,
            observation,
            input,
            choices: BTreeMap::new(),
            waiting: VecDeque::new(),
            usage,
            finished: 0,
        }
    }

    /// Takes an event of a choice; text waits until the answer is written.
    pub fn take(&mut self, index: u32, event: Event) {
        let Event::Delta(mut delta) = event else { return };
        self.observation.delta(&delta);
        self.usage.completion += delta.token_ids.len() as u64;
        if let Some(cached) = delta.cached_tokens {
            self.usage.cached = Some(self.usage.cached.unwrap_or(0).max(cached));
        }
        let choice = self.choices.entry(index).or_default();
        if self.options.echo && !std::mem::replace(&mut choice.echoed, true) {
            let prompt = self.options.prompts.get(index as usize / self.options.per_prompt.max(1));
            if let Some(text) = prompt.and_then(|prompt| prompt.formatted.as_ref()) {
                delta.text.insert_str(0, text);
            }
        }
        if delta.finish.is_some() {
            self.finished += 1;
        }
        let silent = delta.text.is_empty() && delta.finish.is_none() && delta.logprobs.is_empty();
        let tokens_only = silent && !self.options.usage.every && !self.options.token_ids;
        if !tokens_only {
            self.waiting.push_back((index, delta));
        }
    }

    fn complete(&self) -> bool {
        self.finished >= self.options.choices
    }

    fn cut_off() -> ApiError {
        ApiError::generation("the answer ended before all choices were complete")
    }

    /// Waits for the whole answer.
    ///
    /// # Errors
    /// Any choice's error makes the whole answer an error.
    pub async fn fold(mut self) -> Result<answer::Body, ApiError> {
        loop {
            while let Some((index, delta)) = self.waiting.pop_front() {
                answer::fold(&mut self.choices.entry(index).or_default().folded, delta);
            }
            if self.complete() {
                break;
            }
            match self.input.recv().await {
                Some(Ok((index, event))) => self.take(index, event),
                Some(Err(error)) => {
                    self.observation.finish(false);
                    return Err(error);
                }
                None => {
                    self.observation.finish(false);
                    return Err(Self::cut_off());
                }
            }
        }
        let choices = self
            .choices
            .iter()
            .map(|(index, choice)| self.options.envelope.whole_choice(*index, &choice.folded))
            .collect();
        let mut body = self.options.envelope.body(false, choices);
        body.usage = Some(self.usage.json());
        let first = self.choices.values().next().map(|choice| &choice.folded);
        let workers = first.map(|folded| folded.workers).unwrap_or_default();
        let tokens = first.map(|folded| folded.token_ids.as_slice()).unwrap_or_default();
        body.nvext = self.nvext(workers, true, true, tokens);
        self.observation.finish(true);
        Ok(body)
    }

    fn nvext(&self, workers: WorkerIds, first: bool, last: bool, tokens: &[u32]) -> Option<Value> {
        let mut fields = serde_json::Map::new();
        if self.options.worker_id && (first || last) {
            let ids = json!({"prefill_worker_id": workers.prefill, "decode_worker_id": workers.decode});
            fields.insert("worker_id".to_owned(), ids);
        }
        if self.options.timing && last {
            let timing = self.observation.timing();
            let milliseconds = |time: Duration| json!(time.as_secs_f64() * 1000.0);
            let mut value = json!({
                "request_received_ms": timing.received_ms,
                "total_time_ms": milliseconds(timing.total),
            });
            if let Some(ttft) = timing.ttft {
                value["ttft_ms"] = milliseconds(ttft);
            }
            fields.insert("timing".to_owned(), value);
        }
        if self.options.token_ids {
            fields.insert("token_ids".to_owned(), json!(tokens));
        }
        (!fields.is_empty()).then_some(Value::Object(fields))
    }

    /// The event stream. When the client leaves, it is dropped, and with it all work on the workers.
    #[must_use]
    pub fn into_sse(self) -> Response {
        let mut ready = VecDeque::new();
        for name in &self.options.annotations {
            let prompt = self.options.prompts.first();
            match name.as_str() {
                "request_id" => ready.push_back(sse::annotation(name, &self.options.request_id)),
                "formatted_prompt" => {
                    let text = prompt.and_then(|prompt| prompt.formatted.as_ref());
                    ready.push_back(sse::annotation(name, &text));
                }
                "token_ids" => {
                    let tokens = prompt.map(|prompt| &prompt.request.token_ids);
                    ready.push_back(sse::annotation(name, &tokens));
                }
                _ => {}
            }
        }
        let state = Events { answer: self, ready, ended: false };
        let stream = futures::stream::unfold(state, |mut state| async move {
            let bytes = state.next().await?;
            Some((Ok::<Bytes, Infallible>(bytes), state))
        });
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-cache"),
            (header::HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, Body::from_stream(stream)).into_response()
    }

    fn chunk(&mut self, index: u32, delta: &Delta) -> Bytes {
        let last = delta.finish.is_some() && self.complete() && self.waiting.is_empty();
        let choice = self.choices.entry(index).or_default();
        let first = !std::mem::replace(&mut choice.begun, true);
        let offset = choice.characters;
        choice.characters += delta.text.chars().count();
        let value = self.options.envelope.chunk_choice(index, delta, first, offset);
        let mut body = self.options.envelope.body(true, vec![value]);
        if self.options.usage.every {
            body.usage = Some(self.usage.json());
        }
        body.nvext = self.nvext(delta.workers, first, last, &delta.token_ids);
        sse::data(&body)
    }
}

struct Events {
    answer: Answer,
    ready: VecDeque<Bytes>,
    ended: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            if let Some((index, delta)) = self.answer.waiting.pop_front() {
                return Some(self.answer.chunk(index, &delta));
            }
            if self.answer.complete() {
                self.end();
                continue;
            }
            match tokio::time::timeout(KEEP_ALIVE, self.answer.input.recv()).await {
                Err(_) => return Some(Bytes::from_static(sse::KEEP_ALIVE.as_bytes())),
                Ok(Some(Ok((index, event)))) => self.answer.take(index, event),
                Ok(Some(Err(error))) => self.fail(&error),
                Ok(None) => self.fail(&Answer::cut_off()),
            }
        }
    }

    fn end(&mut self) {
        if self.answer.options.usage.last {
            let mut body = self.answer.options.envelope.body(true, Vec::new());
            body.usage = Some(self.answer.usage.json());
            self.ready.push_back(sse::data(&body));
        }
        self.ready.push_back(Bytes::from_static(sse::DONE.as_bytes()));
        self.answer.observation.finish(true);
        self.ended = true;
    }

    fn fail(&mut self, error: &ApiError) {
        tracing::warn!("request {}: {error}", self.answer.options.request_id);
        self.ready.push_back(sse::error(error));
        self.answer.observation.finish(false);
        self.ended = true;
    }
}
