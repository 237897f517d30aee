//! The text completions request.
//! Must only describe; the rules are in `validate`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::common::Common;

/// Body of POST /v1/completions.
#[derive(Debug, Clone, Deserialize)]
pub struct CompletionRequest {
    pub prompt: Option<Prompt>,
    pub suffix: Option<String>,
    pub echo: Option<bool>,
    pub best_of: Option<u32>,
    pub logprobs: Option<u32>,
    pub prompt_embeds: Option<String>,
    #[serde(flatten)]
    pub common: Common,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// Standard parameters that are accepted and have no effect here.
pub const WITHOUT_EFFECT: &[&str] = &["media_io_kwargs", "metadata", "service_tier", "store"];

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

/// One prompt of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum SinglePrompt {
    Text(String),
    Tokens(Vec<u32>),
}

impl Prompt {
    /// The prompts one by one; several of them make several streams.
    #[must_use]
    pub fn split(&self) -> Vec<SinglePrompt> {
        match self {
            Self::Text(text) => vec![SinglePrompt::Text(text.clone())],
            Self::Tokens(tokens) => vec![SinglePrompt::Tokens(tokens.clone())],
            Self::Texts(texts) => texts.iter().cloned().map(SinglePrompt::Text).collect(),
            Self::TokenLists(lists) => lists.iter().cloned().map(SinglePrompt::Tokens).collect(),
        }
    }
}
