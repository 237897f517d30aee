//! The chat completions request.
//! Must keep the order of keys in tools and arguments, since templates print them.

use std::collections::BTreeMap;

use minijinja::Value as TemplateValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::Common;
use super::errors::ApiError;

/// Body of POST /v1/chat/completions.
#[derive(Debug, Clone, Deserialize)]
pub struct ChatRequest {
    #[serde(default)]
    pub messages: Vec<Message>,
    pub max_completion_tokens: Option<u32>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u32>,
    pub tools: Option<Vec<Tool>>,
    pub tool_choice: Option<Value>,
    pub response_format: Option<ResponseFormat>,
    pub functions: Option<Value>,
    pub function_call: Option<Value>,
    #[serde(flatten)]
    pub common: Common,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// Standard parameters that are accepted and have no effect here.
pub const WITHOUT_EFFECT: &[&str] = &[
    "audio",
    "media_io_kwargs",
    "metadata",
    "modalities",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "reasoning_effort",
    "safety_identifier",
    "service_tier",
    "store",
    "verbosity",
    "web_search_options",
];

/// One message of the conversation. Unknown fields go to the template as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    pub role: String,
    pub content: Option<Content>,
    pub tool_calls: Option<Vec<ToolCall>>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, TemplateValue>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, Deserialize)]
pub struct Part {
    #[serde(rename = "type")]
    pub kind: String,
    pub text: Option<String>,
}

impl Content {
    /// The text of all parts, one per line.
    ///
    /// # Errors
    /// 400 for a part that is not text: images, audio and video are not supported here.
    pub fn text(&self) -> Result<String, ApiError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Parts(parts) => {
                let texts: Result<Vec<&str>, ApiError> = parts
                    .iter()
                    .map(|part| match (part.kind.as_str(), &part.text) {
                        ("text" | "input_text" | "output_text" | "refusal", Some(text)) => Ok(text.as_str()),
                        (kind, _) => Err(ApiError::bad_request(format!(
                            "messages: content part of type `{kind}` is not supported; send text parts with a `text` field"
                        ))),
                    })
                    .collect();
                Ok(texts?.join("\n"))
            }
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ToolCall {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(rename = "type", default = "function_kind")]
    pub kind: String,
    pub function: CalledFunction,
}

fn function_kind() -> String {
    "function".to_owned()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CalledFunction {
    pub name: String,
    /// JSON text in requests; templates get the parsed value.
    #[serde(default)]
    pub arguments: TemplateValue,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tool {
    #[serde(rename = "type")]
    pub kind: String,
    pub function: ToolFunction,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ToolFunction {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<TemplateValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ResponseFormat {
    #[serde(rename = "type")]
    pub kind: String,
    pub json_schema: Option<JsonSchemaFormat>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct JsonSchemaFormat {
    pub name: Option<String>,
    pub schema: Option<Value>,
}

impl ChatRequest {
    /// The limit on the answer: `max_completion_tokens`, else `max_tokens` (runtime.md 4.3).
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.max_completion_tokens.or(self.common.max_tokens)
    }

    /// How many alternatives per token the worker reports; none when logprobs are off.
    #[must_use]
    pub fn wanted_logprobs(&self) -> Option<u32> {
        self.logprobs.unwrap_or(false).then(|| self.top_logprobs.unwrap_or(0))
    }
}
