//! The ranges of runtime.md 4.3, checked before anything else happens with a request.
//! Must not look at models or workers.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

use super::chat::{self, ChatRequest};
use super::common::Common;
use super::completions::{self, CompletionRequest, SinglePrompt};
use super::errors::ApiError;

type Checked = Result<(), ApiError>;

fn within(name: &str, value: Option<f32>, low: f32, high: f32) -> Checked {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            Err(ApiError::validation(format!("{name} must be between {low} and {high}, got {value}")))
        }
        _ => Ok(()),
    }
}

fn at_most(name: &str, value: Option<u32>, high: u32) -> Checked {
    match value {
        Some(value) if value > high => {
            Err(ApiError::validation(format!("{name} must be between 0 and {high}, got {value}")))
        }
        _ => Ok(()),
    }
}

fn positive(name: &str, value: Option<u32>) -> Checked {
    match value {
        Some(0) => Err(ApiError::validation(format!("{name} must be greater than 0, got 0"))),
        _ => Ok(()),
    }
}

fn unsupported(rest: &BTreeMap<String, Value>, known: &[&str]) -> Checked {
    let names: Vec<String> =
        rest.keys().filter(|name| !known.contains(&name.as_str())).map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("Unsupported parameter(s): {}", names.join(", "))))
}

fn check_common(common: &Common, prompts: usize) -> Checked {
    if common.model.trim().is_empty() {
        return Err(ApiError::validation("model must not be empty; GET /v1/models lists the names"));
    }
    within("temperature", common.temperature, 0.0, 2.0)?;
    within("top_p", common.top_p, 0.0, 1.0)?;
    within("min_p", common.min_p, 0.0, 1.0)?;
    within("frequency_penalty", common.frequency_penalty, -2.0, 2.0)?;
    within("presence_penalty", common.presence_penalty, -2.0, 2.0)?;
    if let Some(value) = common.repetition_penalty
        && !(value > 0.0 && value <= 2.0)
    {
        return Err(ApiError::validation(format!(
            "repetition_penalty must be greater than 0 and at most 2, got {value}"
        )));
    }
    if let Some(value) = common.top_k
        && value != -1
        && value < 1
    {
        return Err(ApiError::validation(format!("top_k must be -1 or at least 1, got {value}")));
    }
    positive("max_tokens", common.max_tokens)?;
    check_choices(common, prompts)?;
    for (token, bias) in common.logit_bias.iter().flatten() {
        if !(-100.0..=100.0).contains(bias) {
            return Err(ApiError::validation(format!(
                "logit_bias of token `{token}` must be between -100 and 100, got {bias}"
            )));
        }
    }
    let stop = common.stop_strings();
    if stop.len() > 4 {
        return Err(ApiError::validation(format!("stop takes at most 4 sequences, got {}", stop.len())));
    }
    if stop.iter().any(String::is_empty) {
        return Err(ApiError::validation("stop must not hold an empty sequence"));
    }
    if common.user.as_ref().is_some_and(|user| user.trim().is_empty()) {
        return Err(ApiError::validation("user must not be blank; leave it out instead"));
    }
    if common.stream_options.is_some() && !common.streams() {
        return Err(ApiError::bad_request("stream_options is only allowed when stream is true"));
    }
    Ok(())
}

fn check_choices(common: &Common, prompts: usize) -> Checked {
    let n = common.choices();
    if !(1..=128).contains(&n) {
        return Err(ApiError::validation(format!("n must be between 1 and 128, got {n}")));
    }
    if n > 1 && common.temperature.is_some_and(|temperature| temperature <= 0.0) {
        return Err(ApiError::validation(format!("n = {n} needs a temperature greater than 0")));
    }
    let total = prompts.saturating_mul(n as usize);
    if total > 128 {
        return Err(ApiError::validation(format!(
            "choices times prompts must be at most 128, got {n} times {prompts}"
        )));
    }
    Ok(())
}

/// Checks a chat request.
///
/// # Errors
/// 400 with the field, the value and the rule; 501 for the retired function fields.
pub fn chat(request: &ChatRequest) -> Checked {
    unsupported(&request.rest, chat::WITHOUT_EFFECT)?;
    for (name, field) in [("functions", &request.functions), ("function_call", &request.function_call)] {
        if field.is_some() {
            return Err(ApiError::not_implemented(format!(
                "Validation: `{name}` is not supported; use `tools` and `tool_choice`"
            )));
        }
    }
    check_common(&request.common, 1)?;
    if request.messages.is_empty() {
        return Err(ApiError::bad_request("messages must hold at least one message"));
    }
    positive("max_completion_tokens", request.max_completion_tokens)?;
    at_most("top_logprobs", request.top_logprobs, 20)?;
    if request.top_logprobs.is_some() && !request.logprobs.unwrap_or(false) {
        return Err(ApiError::validation("top_logprobs needs logprobs set to true"));
    }
    check_tools(request)?;
    match &request.response_format {
        Some(format) if format.kind == "json_schema" => {
            let schema = format.json_schema.as_ref();
            let named = schema.and_then(|schema| schema.name.as_deref()).is_some_and(|name| !name.is_empty());
            if !named || schema.is_none_or(|schema| schema.schema.is_none()) {
                return Err(ApiError::validation("response_format json_schema needs `name` and `schema`"));
            }
            Ok(())
        }
        Some(format) if !matches!(format.kind.as_str(), "text" | "json_object") => Err(ApiError::validation(
            format!("response_format type `{}` is not one of text, json_object, json_schema", format.kind),
        )),
        _ => Ok(()),
    }
}

fn check_tools(request: &ChatRequest) -> Checked {
    let tools = request.tools.as_deref().unwrap_or_default();
    if tools.len() > 128 {
        return Err(ApiError::validation(format!("tools takes at most 128 entries, got {}", tools.len())));
    }
    for tool in tools {
        let length = tool.function.name.chars().count();
        if length == 0 || length > 64 {
            return Err(ApiError::validation(format!(
                "tools: the function name `{}` must have 1 to 64 characters, has {length}",
                tool.function.name
            )));
        }
    }
    Ok(())
}

/// Checks a completions request and returns its prompts.
///
/// # Errors
/// 400 with the field, the value and the rule.
pub fn completions(request: &CompletionRequest) -> Result<Vec<SinglePrompt>, ApiError> {
    unsupported(&request.rest, completions::WITHOUT_EFFECT)?;
    let prompts = request.prompt.as_ref().map(completions::Prompt::split).unwrap_or_default();
    check_common(&request.common, prompts.len().max(1))?;
    at_most("best_of", request.best_of, 20)?;
    if let Some(best_of) = request.best_of
        && best_of < request.common.choices()
    {
        return Err(ApiError::validation(format!(
            "best_of must be at least n, got best_of {best_of} with n {}",
            request.common.choices()
        )));
    }
    at_most("logprobs", request.logprobs, 5)?;
    if let Some(suffix) = &request.suffix
        && suffix.chars().count() > 10_000
    {
        return Err(ApiError::validation("suffix must have at most 10000 characters"));
    }
    if let Some(embeds) = &request.prompt_embeds {
        let size = base64::engine::general_purpose::STANDARD
            .decode(embeds)
            .map_err(|_| ApiError::validation("prompt_embeds must be base64"))?
            .len();
        if !(100..=10 * 1024 * 1024).contains(&size) {
            return Err(ApiError::validation(format!(
                "prompt_embeds must decode to 100 bytes up to 10 MB, got {size} bytes"
            )));
        }
    }
    let empty = |prompt: &SinglePrompt| match prompt {
        SinglePrompt::Text(text) => text.is_empty(),
        SinglePrompt::Tokens(tokens) => tokens.is_empty(),
    };
    if request.prompt_embeds.is_none() && (prompts.is_empty() || prompts.iter().any(empty)) {
        return Err(ApiError::validation("prompt must not be empty"));
    }
    Ok(prompts)
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
