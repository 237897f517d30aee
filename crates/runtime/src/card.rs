//! The model card a worker publishes and a frontend builds its pipeline from (runtime.md 6).
//! Reading is lenient; it must not download anything.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::endpoint::slug;

pub use kind::{ModelInput, ModelType};
pub use load::{CardError, file_checksum};

mod kind;
mod load;

/// A null reads as the default, like a missing field.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(input: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// A model as its workers describe it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelCard {
    #[serde(deserialize_with = "or_default")]
    pub display_name: String,
    #[serde(deserialize_with = "or_default")]
    pub slug: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_info: Option<ModelInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_formatter: Option<PromptFormatter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template_file: Option<ChatTemplateFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gen_config: Option<GenerationConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_context: Option<Vec<Value>>,
    /// Tokens of prompt and answer together; 0 when unknown.
    #[serde(deserialize_with = "or_default")]
    pub context_length: u32,
    /// Tokens in one block of the KV cache.
    #[serde(deserialize_with = "or_default")]
    pub kv_cache_block_size: u32,
    #[serde(deserialize_with = "or_default")]
    pub migration_limit: u32,
    #[serde(deserialize_with = "or_default")]
    pub model_type: ModelType,
    #[serde(deserialize_with = "or_default")]
    pub model_input: ModelInput,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Value>,
    #[serde(deserialize_with = "or_default")]
    pub runtime_config: RuntimeConfig,
    pub media_decoder: Option<Value>,
    pub media_fetcher: Option<Value>,
}

/// A file and the checksum of its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedFile {
    /// A local path or a URL (`hf://<source>/<file>`).
    pub path: String,
    /// `blake3:<hex>`.
    pub checksum: String,
}

/// The model's `config.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelInfo {
    HfConfigJson(CheckedFile),
    #[serde(untagged)]
    Other(Value),
}

/// The model's tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerFile {
    HfTokenizerJson(CheckedFile),
    #[serde(untagged)]
    Other(Value),
}

/// Where the chat template and the special tokens are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptFormatter {
    HfTokenizerConfigJson(CheckedFile),
    #[serde(untagged)]
    Other(Value),
}

/// A chat template in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatTemplateFile {
    HfChatTemplate {
        #[serde(default)]
        is_custom: bool,
        file: CheckedFile,
    },
    #[serde(untagged)]
    Other(Value),
}

/// Defaults of the model for generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationConfig {
    HfGenerationConfigJson(CheckedFile),
    #[serde(untagged)]
    Other(Value),
}

/// The adapter a card stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraInfo {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gpu_lora_count: Option<u32>,
}

/// What routing must know about the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeConfig {
    pub total_kv_blocks: Option<u64>,
    pub max_num_seqs: Option<u64>,
    pub max_num_batched_tokens: Option<u64>,
    pub tool_call_parser: Option<String>,
    pub reasoning_parser: Option<String>,
    /// Number of ranks, each with a cache of its own.
    pub data_parallel_size: u32,
    pub enable_local_indexer: bool,
    #[serde(deserialize_with = "or_default")]
    pub runtime_data: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensor_model_config: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disaggregated_endpoint: Option<DisaggregatedEndpoint>,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            total_kv_blocks: None,
            max_num_seqs: None,
            max_num_batched_tokens: None,
            tool_call_parser: None,
            reasoning_parser: None,
            data_parallel_size: 1,
            enable_local_indexer: true,
            runtime_data: BTreeMap::new(),
            tensor_model_config: None,
            disaggregated_endpoint: None,
        }
    }
}

/// Where decode workers reach a prefill worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DisaggregatedEndpoint {
    pub bootstrap_host: Option<String>,
    pub bootstrap_port: Option<u16>,
}

impl ModelCard {
    /// A card with only a name; the caller fills in the rest.
    pub fn with_name(display_name: impl Into<String>) -> Self {
        let display_name = display_name.into();
        Self { slug: slug(&display_name), display_name, ..Self::default() }
    }

    /// Card of a model in a local directory: files with checksums, context length from
    /// `config.json`, else from `tokenizer_config.json` (runtime.md 6). Type and input are chat and
    /// completions over tokens.
    pub fn from_local_dir(path: &Path, display_name: &str) -> Result<Self, CardError> {
        load::from_local_dir(path, display_name)
    }

    /// `mdc_sum`: blake3 over name, source, file checksums, prompt context, context length and
    /// block size; equal cards are served by interchangeable workers (runtime.md 6).
    pub fn checksum(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.display_name.as_bytes());
        hasher.update(self.source_path.as_deref().unwrap_or_default().as_bytes());
        for file in self.files() {
            hasher.update(file.checksum.as_bytes());
        }
        if let Some(context) = &self.prompt_context {
            hasher.update(Value::Array(context.clone()).to_string().as_bytes());
        }
        hasher.update(&self.context_length.to_be_bytes());
        hasher.update(&self.kv_cache_block_size.to_be_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// The files the card names, in the order the checksum takes them.
    pub fn files(&self) -> Vec<&CheckedFile> {
        let mut files = Vec::new();
        if let Some(ModelInfo::HfConfigJson(file)) = &self.model_info {
            files.push(file);
        }
        if let Some(TokenizerFile::HfTokenizerJson(file)) = &self.tokenizer {
            files.push(file);
        }
        if let Some(PromptFormatter::HfTokenizerConfigJson(file)) = &self.prompt_formatter {
            files.push(file);
        }
        if let Some(ChatTemplateFile::HfChatTemplate { file, .. }) = &self.chat_template_file {
            files.push(file);
        }
        if let Some(GenerationConfig::HfGenerationConfigJson(file)) = &self.gen_config {
            files.push(file);
        }
        files
    }
}
