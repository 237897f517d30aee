//! POST chat and text completions: read, check, prepare, start the choices, hand over to the answer.
//! Must not touch metrics labels before the model is known.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::observe::Observation;
use super::routes::now;
use super::server::App;
use super::stream::{Answer, Options};
use crate::models::Model;
use crate::openai::answer::{Envelope, Kind};
use crate::openai::chat::ChatRequest;
use crate::openai::common::Common;
use crate::openai::completions::CompletionRequest;
use crate::openai::errors::ApiError;
use crate::openai::validate;
use crate::pipeline::generate::{Event, Job, Message, spawn};
use crate::pipeline::preprocess::{self, Prepared, RoutingHeaders};

/// Deltas that may wait for a slow client before the worker's stream is held back.
const BACKLOG: usize = 64;

type Body = Result<Bytes, BytesRejection>;

pub async fn chat(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let outcome = async {
        let request: ChatRequest = read(body)?;
        validate::chat(&request)?;
        let model = find(&app, &request.common)?;
        if !model.card.model_type.supports_chat() {
            return Err(ApiError::model_not_found());
        }
        let routing = routing_headers(&headers)?;
        let common = request.common.clone();
        let metrics = app.services.metrics.clone();
        let prepare = {
            let model = model.clone();
            move || Ok(vec![preprocess::chat(&model, &request, &routing, &metrics)?])
        };
        serve(&app, Kind::Chat, model, &common, &headers, false, prepare).await
    };
    outcome.await.unwrap_or_else(IntoResponse::into_response)
}

pub async fn completions(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let outcome = async {
        let request: CompletionRequest = read(body)?;
        let prompts = validate::completions(&request)?;
        let model = find(&app, &request.common)?;
        if !model.card.model_type.supports_completions() {
            return Err(ApiError::model_not_found());
        }
        let routing = routing_headers(&headers)?;
        let common = request.common.clone();
        let metrics = app.services.metrics.clone();
        let echo = request.echo.unwrap_or(false);
        let prepare = {
            let model = model.clone();
            move || {
                prompts
                    .iter()
                    .map(|prompt| preprocess::completion(&model, &request, prompt, &routing, &metrics))
                    .collect()
            }
        };
        serve(&app, Kind::Completions, model, &common, &headers, echo, prepare).await
    };
    outcome.await.unwrap_or_else(IntoResponse::into_response)
}

fn read<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let bytes = body.map_err(|rejection| {
        let text = format!("{}; DYN_HTTP_BODY_LIMIT_MB sets the limit", rejection.body_text());
        ApiError::new(rejection.status(), text)
    })?;
    serde_json::from_slice(&bytes).map_err(|cause| ApiError::bad_request(cause.to_string()))
}

fn find(app: &App, common: &Common) -> Result<Arc<Model>, ApiError> {
    app.models.find(&common.model).ok_or_else(ApiError::model_not_found)
}

fn routing_headers(headers: &HeaderMap) -> Result<RoutingHeaders, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| match text(name) {
        None => Ok(None),
        Some(value) => value.parse().map(Some).map_err(|_| {
            ApiError::bad_request(format!(
                "header {name} must be an instance id (a whole number), got `{value}`"
            ))
        }),
    };
    let local_updates = match text("x-enable-local-updates") {
        None => None,
        Some("true" | "1") => Some(true),
        Some("false" | "0") => Some(false),
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "header x-enable-local-updates must be true, 1, false or 0, got `{other}`"
            )));
        }
    };
    Ok(RoutingHeaders {
        worker: number("x-worker-instance-id")?,
        prefill: number("x-prefill-instance-id")?,
        local_updates,
    })
}

/// Trace context, `user` if a UUID, the header if a UUID, else a new UUID (runtime.md 4.3).
fn request_id(headers: &HeaderMap, user: Option<&str>) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let uuid = |text: &str| Uuid::parse_str(text.trim()).ok();
    let trace = text("traceparent").and_then(|value| value.split('-').nth(1)).and_then(|part| {
        let legal = part.len() == 32 && part.bytes().any(|byte| byte != b'0');
        if legal { uuid(part) } else { None }
    });
    trace
        .or_else(|| user.and_then(uuid))
        .or_else(|| text("x-dynamo-request-id").and_then(uuid))
        .unwrap_or_else(Uuid::new_v4)
        .to_string()
}

async fn serve(
    app: &Arc<App>,
    kind: Kind,
    model: Arc<Model>,
    common: &Common,
    headers: &HeaderMap,
    echo: bool,
    prepare: impl FnOnce() -> Result<Vec<Prepared>, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let endpoint = match kind {
        Kind::Chat => "chat_completions",
        Kind::Completions => "completions",
    };
    let mut observation = Observation::start(&app.services.metrics, model.name(), endpoint, common.streams());
    let outcome = start(app, &model, common, headers, prepare, &mut observation).await;
    let (output, prompts, id, first) = match outcome {
        Ok(started) => started,
        Err(error) => {
            observation.finish(false);
            return Err(error);
        }
    };
    let options = Options {
        envelope: Envelope::new(kind, &id, model.name(), now()),
        usage: common.usage_mode(),
        choices: common.choices() as usize * prompts.len(),
        per_prompt: common.choices() as usize,
        echo,
        timing: common.wants("timing"),
        worker_id: common.wants("worker_id"),
        token_ids: common.wants("token_ids"),
        annotations: common.annotations(),
        request_id: id,
        prompts,
    };
    let mut answer = Answer::new(options, observation, output);
    if let Some((index, event)) = first {
        answer.take(index, event);
    }
    if common.streams() {
        return Ok(answer.into_sse());
    }
    answer.fold().await.map(|body| Json(body).into_response())
}

type Started = (mpsc::Receiver<Message>, Vec<Prepared>, String, Option<(u32, Event)>);

/// Prepares the prompts off the async threads, starts all choices and waits until a worker has accepted one, so that
/// a refusal still becomes a status.
async fn start(
    app: &Arc<App>,
    model: &Arc<Model>,
    common: &Common,
    headers: &HeaderMap,
    prepare: impl FnOnce() -> Result<Vec<Prepared>, ApiError> + Send + 'static,
    observation: &mut Observation,
) -> Result<Started, ApiError> {
    let prompts = tokio::task::spawn_blocking(prepare)
        .await
        .map_err(|cause| ApiError::generation(format!("the request could not be prepared: {cause}")))??;
    observation.prompt(prompts.iter().map(|prompt| prompt.request.token_ids.len()).sum());
    let id = request_id(headers, common.user.as_deref());
    let (input, mut output) = mpsc::channel(BACKLOG);
    let choices = common.choices();
    let several = prompts.len() > 1;
    for (number, prompt) in (0u32..).zip(&prompts) {
        for choice in 0..choices {
            let mut request_id = id.clone();
            if several {
                request_id = format!("{request_id}-{number}");
            }
            if choice > 0 {
                request_id = format!("{request_id}-{choice}");
            }
            let mut prepared = prompt.clone();
            let sampling = &mut prepared.request.sampling_options;
            sampling.seed = sampling.seed.map(|seed| seed.wrapping_add(i64::from(choice)));
            let job = Job { model: model.clone(), prepared, request_id, index: number * choices + choice };
            spawn(app.services.clone(), job, input.clone());
        }
    }
    drop(input);
    let first = match output.recv().await {
        Some(Ok(first)) => Some(first),
        Some(Err(error)) => return Err(error),
        None => None,
    };
    Ok((output, prompts, id, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_request_id_comes_from_trace_user_header_in_this_order() {
        let (trace, user, own) = (
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "11111111-1111-4111-8111-111111111111",
            "22222222-2222-4222-8222-222222222222",
        );
        let all = headers(&[("traceparent", trace), ("x-dynamo-request-id", own)]);
        assert_eq!(request_id(&all, Some(user)), "0af76519-16cd-43dd-8448-eb211c80319c");
        let header = headers(&[("x-dynamo-request-id", own)]);
        assert_eq!(request_id(&header, Some(user)), user);
        assert_eq!(request_id(&header, Some("alice")), own);
        assert_ne!(request_id(&headers(&[]), None), request_id(&headers(&[]), None));
    }

    #[test]
    fn routing_headers_are_read_and_bad_ones_refused() {
        let good =
            routing_headers(&headers(&[("x-worker-instance-id", "7"), ("x-enable-local-updates", "0")]));
        let good = good.unwrap();
        assert_eq!((good.worker, good.local_updates), (Some(7), Some(false)));
        assert!(routing_headers(&headers(&[("x-prefill-instance-id", "x")])).is_err());
    }
}
