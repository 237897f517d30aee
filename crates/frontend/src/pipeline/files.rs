//! Finds and loads what a model card names: tokenizer, templates, special tokens (runtime.md 5.3, 6).
//! Must not download; non-local files come from the local model cache or the demo model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dynamo_runtime::ModelCard;
use dynamo_runtime::card::{
    ChatTemplateFile, CheckedFile, GenerationConfig, ModelInfo, PromptFormatter, TokenizerFile, file_checksum,
};
use serde_json::Value;
use tokenizers::Tokenizer;

use super::template::{ChatTemplate, TemplateError};

const DEMO_MODEL_ENV: &str = "DYN_DEMO_MODEL_PATH";
const DEMO_MODEL_PATH: &str = "/opt/dynamo/models/demo";

/// The parts of a model that turn text into tokens and back.
#[derive(Debug)]
pub struct TextModel {
    pub tokenizer: Arc<Tokenizer>,
    pub template: ChatTemplate,
    /// Tokens that end a generation and are never shown.
    pub eos_token_ids: Vec<u32>,
}

/// Why a model cannot be served from this process.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "model `{model}`: the card names no tokenizer.json and no demo model is at {DEMO_MODEL_ENV}; \
         publish the card from a directory with tokenizer.json"
    )]
    NoTokenizer { model: String },
    #[error(
        "model `{model}`: file `{path}` is neither local nor in the model cache (HF_HOME); mount the model \
         into the frontend or set {DEMO_MODEL_ENV}"
    )]
    NotFound { model: String, path: String },
    #[error("model `{model}`: the tokenizer `{}` does not load: {reason}", .path.display())]
    Tokenizer { model: String, path: PathBuf, reason: String },
    #[error("model `{model}`: {source}")]
    Template { model: String, source: TemplateError },
}

/// Loads the model of a card. Blocking: reads files.
///
/// # Errors
/// When the tokenizer is missing or broken, or a template does not compile.
pub fn load(card: &ModelCard) -> Result<TextModel, LoadError> {
    let model = card.display_name.clone();
    let path = match &card.tokenizer {
        Some(TokenizerFile::HfTokenizerJson(file)) => find(&model, file)?,
        _ => demo_file("tokenizer.json").ok_or_else(|| LoadError::NoTokenizer { model: model.clone() })?,
    };
    let tokenizer = Tokenizer::from_file(&path).map_err(|cause| LoadError::Tokenizer {
        model: model.clone(),
        path: path.clone(),
        reason: cause.to_string(),
    })?;
    let optional = |file: Option<&CheckedFile>| file.and_then(|file| find(&model, file).ok());
    let formatter = match &card.prompt_formatter {
        Some(PromptFormatter::HfTokenizerConfigJson(file)) => optional(Some(file)),
        _ => None,
    };
    let config = formatter.as_deref().and_then(read_json).unwrap_or_default();
    let own_template = match &card.chat_template_file {
        Some(ChatTemplateFile::HfChatTemplate { file, .. }) => {
            optional(Some(file)).and_then(|path| std::fs::read_to_string(path).ok())
        }
        _ => None,
    };
    let (default, tool_use) = templates(&config, own_template);
    if default.is_none() {
        tracing::warn!("model `{model}` ships no chat template; messages are joined as plain text");
    }
    let template = ChatTemplate::new(default.as_deref(), tool_use.as_deref(), special_tokens(&config))
        .map_err(|source| LoadError::Template { model: model.clone(), source })?;
    let generation = match &card.gen_config {
        Some(GenerationConfig::HfGenerationConfigJson(file)) => optional(Some(file)),
        _ => None,
    };
    let info = match &card.model_info {
        Some(ModelInfo::HfConfigJson(file)) => optional(Some(file)),
        _ => None,
    };
    let eos_token_ids = [generation, info]
        .into_iter()
        .flatten()
        .filter_map(|path| read_json(&path))
        .map(|value| eos_ids(&value))
        .find(|ids| !ids.is_empty())
        .unwrap_or_else(|| {
            let token = token_of(config.get("eos_token"));
            token.and_then(|token| tokenizer.token_to_id(&token)).into_iter().collect()
        });
    Ok(TextModel { tokenizer: Arc::new(tokenizer), template, eos_token_ids })
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn eos_ids(config: &Value) -> Vec<u32> {
    let number = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match config.get("eos_token_id") {
        Some(Value::Array(ids)) => ids.iter().filter_map(number).collect(),
        Some(id) => number(id).into_iter().collect(),
        None => Vec::new(),
    }
}

/// A special token is a text or an object with the text in `content`.
fn token_of(value: Option<&Value>) -> Option<String> {
    let value = value?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

fn special_tokens(config: &Value) -> BTreeMap<String, String> {
    ["bos_token", "eos_token", "pad_token", "unk_token"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), token_of(config.get(name))?)))
        .collect()
}

/// The default template and the one for tools; a file of its own wins over the tokenizer's configuration.
fn templates(config: &Value, own: Option<String>) -> (Option<String>, Option<String>) {
    if own.is_some() {
        return (own, None);
    }
    match config.get("chat_template") {
        Some(Value::String(text)) => (Some(text.clone()), None),
        Some(Value::Array(named)) => {
            let by_name = |wanted: &str| {
                let entry =
                    named.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some(wanted));
                entry.and_then(|entry| entry.get("template")?.as_str()).map(str::to_owned)
            };
            (by_name("default"), by_name("tool_use"))
        }
        _ => (None, None),
    }
}

/// The local copy of a card's file, with a log line when its content is not what the card says.
fn find(model: &str, file: &CheckedFile) -> Result<PathBuf, LoadError> {
    let local = PathBuf::from(&file.path);
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let found = if local.is_file() {
        Some(local)
    } else if let Some(cached) = file.path.strip_prefix("hf://").and_then(cached_file) {
        Some(cached)
    } else {
        let demo = demo_file(name);
        if let Some(demo) = &demo {
            tracing::warn!(
                "model `{model}`: `{}` is not reachable from here; using {} instead",
                file.path,
                demo.display()
            );
        }
        demo
    };
    let path =
        found.ok_or_else(|| LoadError::NotFound { model: model.to_owned(), path: file.path.clone() })?;
    match file_checksum(&path) {
        Ok(actual) if actual == file.checksum || file.checksum.is_empty() => {}
        Ok(actual) => tracing::error!(
            "model `{model}`: {} has checksum {actual}, the worker's card says {}; tokens may differ from the \
             worker's, give both the same model files",
            path.display(),
            file.checksum
        ),
        Err(cause) => tracing::warn!("model `{model}`: {cause}"),
    }
    Ok(path)
}

fn demo_file(name: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os(DEMO_MODEL_ENV).map_or_else(|| PathBuf::from(DEMO_MODEL_PATH), PathBuf::from);
    Some(folder.join(name)).filter(|path| path.is_file())
}

/// `<org>/<name>/<file>` in the local model cache, the snapshot of `main` first.
fn cached_file(reference: &str) -> Option<PathBuf> {
    let (repository, name) = reference.rsplit_once('/')?;
    let hub = std::env::var_os("HF_HUB_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HF_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/huggingface")))?;
        Some(home.join("hub"))
    })?;
    let model = hub.join(format!("models--{}", repository.replace('/', "--")));
    let main = std::fs::read_to_string(model.join("refs/main")).ok();
    let named = main.map(|revision| model.join("snapshots").join(revision.trim()).join(name));
    named.filter(|path| path.is_file()).or_else(|| {
        let snapshots = std::fs::read_dir(model.join("snapshots")).ok()?;
        snapshots.flatten().map(|entry| entry.path().join(name)).find(|path| path.is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_local_model_directory_loads_with_template_and_end_tokens() {
        let folder = fixture::model_dir();
        let card = ModelCard::from_local_dir(folder.path(), "m").expect("card");
        let model = load(&card).expect("model");
        assert_eq!(model.eos_token_ids, [fixture::EOS]);
        assert_eq!(model.tokenizer.decode(&fixture::ids("hé"), false).expect("decodes"), "hé");
    }

    #[test]
    fn a_file_that_is_nowhere_is_named_with_the_way_out() {
        let card = ModelCard {
            tokenizer: Some(TokenizerFile::HfTokenizerJson(CheckedFile {
                path: "hf://nobody/nothing/tokenizer-of-nobody.json".to_owned(),
                checksum: String::new(),
            })),
            ..ModelCard::with_name("m")
        };
        let text = load(&card).expect_err("not found").to_string();
        assert!(text.contains("tokenizer-of-nobody.json") && text.contains("HF_HOME"), "{text}");
    }

    #[test]
    fn end_tokens_and_templates_are_read_in_all_their_forms() {
        assert_eq!(eos_ids(&serde_json::json!({"eos_token_id": 5})), [5]);
        assert_eq!(eos_ids(&serde_json::json!({"eos_token_id": [5, 6]})), [5, 6]);
        assert_eq!(token_of(Some(&serde_json::json!({"content": "</s>"}))), Some("</s>".to_owned()));
        let named = serde_json::json!({"chat_template": [
            {"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]});
        assert_eq!(templates(&named, None), (Some("a".to_owned()), Some("b".to_owned())));
        assert_eq!(templates(&named, Some("own".to_owned())).0.as_deref(), Some("own"));
    }
}
