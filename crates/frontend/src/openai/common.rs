//! Request fields that chat and completions share, the extensions at the root and `nvext` (runtime.md 4.3).
//! Must only describe; the rules are in `validate`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Parameters that both kinds of request take.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Common {
    #[serde(default)]
    pub model: String,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub presence_penalty: Option<f32>,
    pub seed: Option<i64>,
    pub stop: Option<OneOrMany>,
    pub n: Option<u32>,
    pub max_tokens: Option<u32>,
    pub logit_bias: Option<BTreeMap<String, f64>>,
    pub user: Option<String>,
    pub ignore_eos: Option<bool>,
    pub min_tokens: Option<u32>,
    pub top_k: Option<i32>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub include_stop_str_in_output: Option<bool>,
    pub guided_json: Option<Value>,
    pub guided_regex: Option<String>,
    pub guided_grammar: Option<String>,
    pub guided_choice: Option<Vec<String>>,
    pub guided_decoding_backend: Option<String>,
    pub guided_whitespace_pattern: Option<String>,
    pub skip_special_tokens: Option<bool>,
    #[serde(alias = "chat_template_kwargs")]
    pub chat_template_args: Option<BTreeMap<String, Value>>,
    pub nvext: Option<Nvext>,
}

impl Common {
    #[must_use]
    pub fn streams(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    #[must_use]
    pub fn stop_strings(&self) -> Vec<String> {
        match &self.stop {
            None => Vec::new(),
            Some(OneOrMany::One(text)) => vec![text.clone()],
            Some(OneOrMany::Many(texts)) => texts.clone(),
        }
    }

    /// Number of choices per prompt.
    #[must_use]
    pub fn choices(&self) -> u32 {
        self.n.unwrap_or(1)
    }

    #[must_use]
    pub fn usage_mode(&self) -> UsageMode {
        let options = self.stream_options.clone().unwrap_or_default();
        UsageMode {
            last: options.include_usage.unwrap_or(false),
            every: options.continuous_usage_stats.unwrap_or(false),
        }
    }

    #[must_use]
    pub fn annotations(&self) -> Vec<String> {
        self.nvext.as_ref().and_then(|nvext| nvext.annotations.clone()).unwrap_or_default()
    }

    /// Whether `nvext.extra_fields` asks for a field.
    #[must_use]
    pub fn wants(&self, field: &str) -> bool {
        let fields = self.nvext.as_ref().and_then(|nvext| nvext.extra_fields.as_ref());
        fields.is_some_and(|fields| fields.iter().any(|name| name == field))
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct StreamOptions {
    pub include_usage: Option<bool>,
    pub continuous_usage_stats: Option<bool>,
}

/// Which chunks of a stream carry `usage`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageMode {
    pub last: bool,
    pub every: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// The vendor object of a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Nvext {
    pub greed_sampling: Option<bool>,
    pub use_raw_prompt: Option<bool>,
    pub annotations: Option<Vec<String>>,
    pub backend_instance_id: Option<u64>,
    pub token_data: Option<Vec<u32>>,
    pub max_thinking_tokens: Option<u32>,
    pub extra_fields: Option<Vec<String>>,
    pub prefill_worker_id: Option<u64>,
    pub decode_worker_id: Option<u64>,
    pub enable_local_updates: Option<bool>,
    pub expected_output_tokens: Option<u32>,
}
