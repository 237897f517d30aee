//! Messages between a frontend or router and a worker (runtime.md 4.5).
//! Reading is lenient (missing, null and unknown fields pass); it must not do any I/O.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use finish::FinishReason;

mod finish;

/// A null reads as the default, like a missing field.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(input: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// What a worker is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerRequest {
    #[serde(deserialize_with = "or_default")]
    pub model: String,
    #[serde(deserialize_with = "or_default")]
    pub token_ids: Vec<u32>,
    #[serde(deserialize_with = "or_default")]
    pub stop_conditions: StopConditions,
    #[serde(deserialize_with = "or_default")]
    pub sampling_options: SamplingOptions,
    #[serde(deserialize_with = "or_default")]
    pub output_options: OutputOptions,
    #[serde(deserialize_with = "or_default")]
    pub eos_token_ids: Vec<u32>,
    pub mdc_sum: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub annotations: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    pub router_config_override: Option<RouterConfigOverride>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill_result: Option<PrefillResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap_info: Option<BootstrapInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_embeds: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_modal_data: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_args: Option<Value>,
}

/// When a generation ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StopConditions {
    pub max_tokens: Option<u32>,
    pub stop: Option<Vec<String>>,
    pub stop_token_ids_hidden: Option<Vec<u32>>,
    pub min_tokens: Option<u32>,
    pub ignore_eos: Option<bool>,
    pub max_thinking_tokens: Option<u32>,
}

/// How tokens are drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingOptions {
    pub n: Option<u32>,
    pub best_of: Option<u32>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<i32>,
    pub min_p: Option<f32>,
    pub use_beam_search: Option<bool>,
    pub length_penalty: Option<f32>,
    pub seed: Option<i64>,
    pub include_stop_str_in_output: Option<bool>,
    pub guided_decoding: Option<GuidedDecoding>,
}

/// Constraints on the form of the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuidedDecoding {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grammar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whitespace_pattern: Option<String>,
}

/// What the worker adds to its answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputOptions {
    pub logprobs: Option<u32>,
    pub prompt_logprobs: Option<u32>,
    pub skip_special_tokens: Option<bool>,
    pub formatted_prompt: Option<bool>,
}

/// Which worker the caller wants; unset fields leave the choice to the router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routing {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_instance_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill_worker_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_worker_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dp_rank: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_local_updates: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_name: Option<String>,
}

/// Router settings for this request only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouterConfigOverride {
    pub overlap_score_weight: Option<f64>,
    pub router_temperature: Option<f64>,
}

/// What the prefill worker answered, handed to the decode worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrefillResult {
    pub disaggregated_params: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_details: Option<Value>,
}

/// Where the decode worker meets the prefill worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootstrapInfo {
    pub bootstrap_host: String,
    pub bootstrap_port: u16,
    pub bootstrap_room: u64,
}

/// One item of an answer stream with its side information.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Annotated<T> {
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Vec<String>>,
}

/// Event name of an item that reports a failure.
pub const ERROR_EVENT: &str = "error";

impl<T> Annotated<T> {
    /// An item with data only.
    pub fn data(data: T) -> Self {
        Self { data: Some(data), id: None, event: None, comment: None }
    }

    /// An item that reports a failure; the text travels in the comment.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            data: None,
            id: None,
            event: Some(ERROR_EVENT.to_owned()),
            comment: Some(vec![message.into()]),
        }
    }

    /// An annotation: event name and text, no data.
    pub fn annotation(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { data: None, id: None, event: Some(name.into()), comment: Some(vec![text.into()]) }
    }

    /// The text of a failure, `None` for every other item.
    pub fn error_message(&self) -> Option<String> {
        if self.event.as_deref() != Some(ERROR_EVENT) {
            return None;
        }
        let text = self.comment.as_ref().map(|lines| lines.join(", ")).unwrap_or_default();
        Some(if text.is_empty() { "the worker reported an error without text".to_owned() } else { text })
    }

    /// The same item with its data changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Annotated<U> {
        Annotated { data: self.data.map(change), id: self.id, event: self.event, comment: self.comment }
    }
}

/// One step of a worker's answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerOutput {
    #[serde(deserialize_with = "or_default")]
    pub token_ids: Vec<u32>,
    pub tokens: Option<Vec<Option<String>>>,
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_type: Option<String>,
    pub cum_log_probs: Option<f64>,
    pub log_probs: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<Value>,
    pub finish_reason: Option<FinishReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<Value>,
    pub index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disaggregated_params: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_args: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_usage: Option<Value>,
}

impl WorkerOutput {
    /// A step that adds tokens.
    pub fn tokens(token_ids: Vec<u32>) -> Self {
        Self { token_ids, ..Self::default() }
    }

    /// A last step without tokens.
    pub fn finish(reason: FinishReason) -> Self {
        Self { finish_reason: Some(reason), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_with_missing_null_and_unknown_fields_is_read() {
        let request: WorkerRequest = serde_json::from_value(json!({
            "model": "m", "token_ids": [1, 2], "annotations": null, "sampling_options": null,
            "stop_conditions": {"max_tokens": 5, "new_field": 1}, "added_later": {"x": 1},
            "bootstrap_info": {"bootstrap_host": "h", "bootstrap_port": 9, "bootstrap_room": u64::MAX},
        }))
        .unwrap();
        assert_eq!(request.token_ids, [1, 2]);
        assert_eq!(request.stop_conditions.max_tokens, Some(5));
        assert_eq!(request.bootstrap_info.unwrap().bootstrap_room, u64::MAX);
    }

    #[test]
    fn optional_parts_are_absent_and_the_router_override_is_null() {
        let value = serde_json::to_value(WorkerRequest::default()).unwrap();
        let object = value.as_object().unwrap();
        for absent in ["routing", "prefill_result", "bootstrap_info", "prompt_embeds", "extra_args"] {
            assert!(!object.contains_key(absent), "{absent}");
        }
        assert_eq!(object["router_config_override"], Value::Null);
        assert_eq!(object["stop_conditions"]["max_tokens"], Value::Null);
    }

    #[test]
    fn an_output_item_survives_the_round_trip() {
        let item = Annotated::data(WorkerOutput {
            finish_reason: Some(FinishReason::Error("boom".to_owned())),
            ..WorkerOutput::tokens(vec![1500])
        });
        let text = serde_json::to_string(&item).unwrap();
        assert!(text.contains(r#""finish_reason":{"error":"boom"}"#), "{text}");
        assert_eq!(serde_json::from_str::<Annotated<WorkerOutput>>(&text).unwrap(), item);
    }

    #[test]
    fn failures_travel_as_event_and_comment() {
        let item: Annotated<WorkerOutput> =
            serde_json::from_str(r#"{"event":"error","comment":["no","room"]}"#).unwrap();
        assert_eq!(item.error_message().as_deref(), Some("no, room"));
        assert_eq!(Annotated::<()>::data(()).error_message(), None);
    }
}
