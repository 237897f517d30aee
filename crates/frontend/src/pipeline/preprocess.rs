//! From an OpenAI request to the worker's message: template, tokens, limits, sampling (runtime.md 4.5).
//! Must not choose workers; it only copies the client's wishes about them.

use std::collections::HashSet;
use std::time::Instant;

use dynamo_runtime::protocol::{
    GuidedDecoding, OutputOptions, Routing, SamplingOptions, StopConditions, WorkerRequest,
};
use minijinja::Value as TemplateValue;
use minijinja::value::Serde;
use serde_json::Value;

use super::template::Conversation;
use super::tokenize;
use crate::metrics::{Metrics, OperationLabel};
use crate::models::Model;
use crate::openai::chat::{ChatRequest, Message};
use crate::openai::common::Common;
use crate::openai::completions::{CompletionRequest, SinglePrompt};
use crate::openai::errors::ApiError;

/// A prompt ready for a worker and what the way back needs to know.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub request: WorkerRequest,
    /// The rendered template; completions have their own text.
    pub formatted: Option<String>,
    pub stop_strings: Vec<String>,
    pub include_stop: bool,
    pub skip_special: bool,
    pub min_tokens: u32,
    /// Tokens that end the answer and are not shown; empty with `ignore_eos`.
    pub hidden: HashSet<u32>,
    pub wants_logprobs: bool,
}

/// Request headers that steer routing (runtime.md 4.3).
#[derive(Debug, Clone, Default)]
pub struct RoutingHeaders {
    pub worker: Option<u64>,
    pub prefill: Option<u64>,
    pub local_updates: Option<bool>,
}

/// Prepares a chat request.
///
/// # Errors
/// 400 for messages the template refuses or a prompt beyond the context.
pub fn chat(
    model: &Model,
    request: &ChatRequest,
    headers: &RoutingHeaders,
    metrics: &Metrics,
) -> Result<Prepared, ApiError> {
    let raw = request.common.nvext.as_ref().and_then(|nvext| nvext.use_raw_prompt).unwrap_or(false);
    let mut messages = Vec::with_capacity(request.messages.len());
    let mut plain = Vec::new();
    for message in &request.messages {
        let text = message.content.as_ref().map(crate::openai::chat::Content::text).transpose()?;
        messages.push(template_message(message, text.as_deref()));
        plain.extend(text);
    }
    let formatted = if raw {
        plain.join("\n")
    } else {
        let choice_none = request.tool_choice.as_ref().is_some_and(|choice| choice == "none");
        let tools = request.tools.as_ref().filter(|tools| !tools.is_empty() && !choice_none);
        model.text.template.render(&Conversation {
            messages,
            tools: tools.map(|tools| TemplateValue::from(Serde(tools))),
            arguments: request.common.chat_template_args.clone().unwrap_or_default(),
        })?
    };
    let tokens = match given_tokens(&request.common) {
        Some(tokens) => tokens,
        None => encode(model, &formatted, false, metrics)?,
    };
    let mut prepared = prepare(model, &request.common, tokens, request.limit(), headers)?;
    prepared.request.output_options.logprobs = request.wanted_logprobs();
    prepared.wants_logprobs = request.wanted_logprobs().is_some();
    if let Some(format) = &request.response_format {
        let schema = match format.kind.as_str() {
            "json_schema" => format.json_schema.as_ref().and_then(|schema| schema.schema.clone()),
            "json_object" => Some(serde_json::json!({"type": "object"})),
            _ => None,
        };
        if let Some(schema) = schema {
            prepared.request.sampling_options.guided_decoding.get_or_insert_default().json = Some(schema);
        }
    }
    prepared.formatted = Some(formatted);
    Ok(prepared)
}

/// Prepares one prompt of a completions request.
///
/// # Errors
/// 400 for a prompt that cannot be tokenized or is beyond the context.
pub fn completion(
    model: &Model,
    request: &CompletionRequest,
    prompt: &SinglePrompt,
    headers: &RoutingHeaders,
    metrics: &Metrics,
) -> Result<Prepared, ApiError> {
    let tokens = match (given_tokens(&request.common), prompt) {
        (Some(tokens), _) => tokens,
        (None, SinglePrompt::Tokens(tokens)) => tokens.clone(),
        (None, SinglePrompt::Text(text)) => encode(model, text, true, metrics)?,
    };
    let formatted = match prompt {
        SinglePrompt::Text(text) => text.clone(),
        SinglePrompt::Tokens(tokens) => model.text.tokenizer.decode(tokens, false).unwrap_or_default(),
    };
    let mut prepared = prepare(model, &request.common, tokens, request.common.max_tokens, headers)?;
    prepared.request.output_options.logprobs = request.logprobs;
    prepared.wants_logprobs = request.logprobs.is_some();
    prepared.request.prompt_embeds.clone_from(&request.prompt_embeds);
    prepared.formatted = Some(formatted);
    Ok(prepared)
}

/// Tokens the client made itself; used only together with a chosen instance (runtime.md 4.3).
fn given_tokens(common: &Common) -> Option<Vec<u32>> {
    let nvext = common.nvext.as_ref()?;
    nvext.backend_instance_id?;
    nvext.token_data.clone()
}

fn encode(model: &Model, text: &str, special: bool, metrics: &Metrics) -> Result<Vec<u32>, ApiError> {
    let start = Instant::now();
    let tokens = tokenize::encode(&model.text.tokenizer, text, special)?;
    metrics
        .tokenizer_latency
        .get_or_create(&OperationLabel { operation: "tokenize".to_owned() })
        .observe(start.elapsed().as_secs_f64() * 1000.0);
    Ok(tokens)
}

/// A message as templates expect it: text content, parsed call arguments, no absent fields.
fn template_message(message: &Message, text: Option<&str>) -> TemplateValue {
    let mut fields: Vec<(String, TemplateValue)> = vec![
        ("role".to_owned(), TemplateValue::from(message.role.clone())),
        ("content".to_owned(), text.map_or_else(|| TemplateValue::from(()), TemplateValue::from)),
    ];
    if let Some(calls) = &message.tool_calls {
        let calls: Vec<_> = calls
            .iter()
            .cloned()
            .map(|mut call| {
                let parsed =
                    call.function.arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
                if let Some(arguments) = parsed {
                    call.function.arguments = arguments;
                }
                call
            })
            .collect();
        fields.push(("tool_calls".to_owned(), TemplateValue::from(Serde(calls))));
    }
    fields.extend(message.rest.iter().map(|(name, value)| (name.clone(), value.clone())));
    TemplateValue::from_pairs(fields)
}

fn prepare(
    model: &Model,
    common: &Common,
    token_ids: Vec<u32>,
    limit: Option<u32>,
    headers: &RoutingHeaders,
) -> Result<Prepared, ApiError> {
    let nvext = common.nvext.clone().unwrap_or_default();
    let max_tokens = answer_limit(model, token_ids.len(), limit)?;
    let ignore_eos = common.ignore_eos.unwrap_or(false);
    let eos = model.text.eos_token_ids.clone();
    let stop_strings = common.stop_strings();
    let greedy = nvext.greed_sampling.unwrap_or(false);
    let request = WorkerRequest {
        model: model.name().to_owned(),
        token_ids,
        stop_conditions: StopConditions {
            max_tokens,
            stop: (!stop_strings.is_empty()).then(|| stop_strings.clone()),
            stop_token_ids_hidden: Some(eos.clone()),
            min_tokens: common.min_tokens,
            ignore_eos: common.ignore_eos,
            max_thinking_tokens: nvext.max_thinking_tokens,
        },
        sampling_options: SamplingOptions {
            n: Some(1),
            presence_penalty: common.presence_penalty,
            frequency_penalty: common.frequency_penalty,
            repetition_penalty: common.repetition_penalty,
            temperature: if greedy { Some(0.0) } else { common.temperature },
            top_p: common.top_p.filter(|_| !greedy),
            top_k: common.top_k.filter(|_| !greedy),
            min_p: common.min_p.filter(|_| !greedy),
            seed: common.seed,
            include_stop_str_in_output: common.include_stop_str_in_output,
            guided_decoding: guided(common),
            ..SamplingOptions::default()
        },
        output_options: OutputOptions {
            skip_special_tokens: Some(common.skip_special_tokens.unwrap_or(false)),
            ..OutputOptions::default()
        },
        eos_token_ids: eos.clone(),
        mdc_sum: Some(model.checksum.clone()),
        annotations: common.annotations(),
        routing: routing(model, &nvext, headers),
        ..WorkerRequest::default()
    };
    Ok(Prepared {
        request,
        formatted: None,
        stop_strings,
        include_stop: common.include_stop_str_in_output.unwrap_or(false),
        skip_special: common.skip_special_tokens.unwrap_or(false),
        min_tokens: common.min_tokens.unwrap_or(0),
        hidden: if ignore_eos { HashSet::new() } else { eos.into_iter().collect() },
        wants_logprobs: false,
    })
}

/// The limit on the answer: what the client asks for, else the rest of the context (runtime.md, Weak spots).
fn answer_limit(model: &Model, prompt: usize, limit: Option<u32>) -> Result<Option<u32>, ApiError> {
    let context = model.card.context_length;
    if context == 0 {
        return Ok(limit);
    }
    let room = u32::try_from(prompt).ok().and_then(|prompt| context.checked_sub(prompt)).unwrap_or(0);
    match limit {
        _ if room == 0 => Err(ApiError::bad_request(format!(
            "the prompt has {prompt} tokens, the model's context is {context}; shorten the messages"
        ))),
        Some(limit) if limit > room => Err(ApiError::bad_request(format!(
            "max_tokens {limit} and a prompt of {prompt} tokens are more than the model's context of {context}; \
             ask for at most {room}"
        ))),
        limit => Ok(Some(limit.unwrap_or(room))),
    }
}

fn guided(common: &Common) -> Option<GuidedDecoding> {
    let guided = GuidedDecoding {
        json: common.guided_json.clone().filter(|value| *value != Value::Null),
        regex: common.guided_regex.clone(),
        choice: common.guided_choice.clone(),
        grammar: common.guided_grammar.clone(),
        backend: common.guided_decoding_backend.clone(),
        whitespace_pattern: common.guided_whitespace_pattern.clone(),
    };
    (guided != GuidedDecoding::default()).then_some(guided)
}

fn routing(model: &Model, nvext: &crate::openai::common::Nvext, headers: &RoutingHeaders) -> Option<Routing> {
    let routing = Routing {
        backend_instance_id: headers.worker.or(nvext.backend_instance_id),
        prefill_worker_id: headers.prefill.or(nvext.prefill_worker_id),
        decode_worker_id: headers.worker.or(nvext.decode_worker_id),
        dp_rank: None,
        enable_local_updates: headers.local_updates.or(nvext.enable_local_updates),
        expected_output_tokens: nvext.expected_output_tokens,
        lora_name: model.card.lora.as_ref().map(|lora| lora.name.clone()),
    };
    (routing != Routing::default()).then_some(routing)
}
