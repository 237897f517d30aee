//! Builds a model card from the files of a local model directory.
//! It must not change or download files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    ChatTemplateFile, CheckedFile, GenerationConfig, ModelCard, ModelInfo, ModelInput, ModelType,
    PromptFormatter, TokenizerFile,
};

/// A model directory that makes no card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    #[error("model directory `{}` cannot be read; --model-path must name an existing directory", .path.display())]
    NotADirectory { path: PathBuf },
    #[error("`{}` cannot be read", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not valid JSON", .path.display())]
    Json { path: PathBuf, source: serde_json::Error },
}

/// `blake3:<hex>` of a file's content.
pub fn file_checksum(path: &Path) -> Result<String, CardError> {
    let content =
        std::fs::read(path).map_err(|source| CardError::Read { path: path.to_path_buf(), source })?;
    Ok(format!("blake3:{}", blake3::hash(&content).to_hex()))
}

pub(super) fn from_local_dir(path: &Path, display_name: &str) -> Result<ModelCard, CardError> {
    if !path.is_dir() {
        return Err(CardError::NotADirectory { path: path.to_path_buf() });
    }
    let config = read_json(&path.join("config.json"))?;
    let tokenizer_config = read_json(&path.join("tokenizer_config.json"))?;
    Ok(ModelCard {
        source_path: Some(path.to_string_lossy().into_owned()),
        model_info: checked(path, "config.json")?.map(ModelInfo::HfConfigJson),
        tokenizer: checked(path, "tokenizer.json")?.map(TokenizerFile::HfTokenizerJson),
        prompt_formatter: checked(path, "tokenizer_config.json")?.map(PromptFormatter::HfTokenizerConfigJson),
        chat_template_file: checked(path, "chat_template.jinja")?
            .map(|file| ChatTemplateFile::HfChatTemplate { is_custom: false, file }),
        gen_config: checked(path, "generation_config.json")?.map(GenerationConfig::HfGenerationConfigJson),
        context_length: context_length(config.as_ref(), tokenizer_config.as_ref()),
        model_type: ModelType::CHAT | ModelType::COMPLETIONS,
        model_input: ModelInput::Tokens,
        ..ModelCard::with_name(display_name)
    })
}

fn checked(folder: &Path, name: &str) -> Result<Option<CheckedFile>, CardError> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let checksum = file_checksum(&path)?;
    Ok(Some(CheckedFile { path: path.to_string_lossy().into_owned(), checksum }))
}

fn read_json(path: &Path) -> Result<Option<Value>, CardError> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path)
        .map_err(|source| CardError::Read { path: path.to_path_buf(), source })?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|source| CardError::Json { path: path.to_path_buf(), source })
}

/// Multi-modal models keep the text model's limits in `text_config`. Some tokenizers write a huge
/// number for "no limit", which counts as unknown.
fn context_length(config: Option<&Value>, tokenizer_config: Option<&Value>) -> u32 {
    let from_config = config.and_then(|config| {
        let own = config.get("max_position_embeddings");
        let text = config.get("text_config").and_then(|text| text.get("max_position_embeddings"));
        own.or(text).and_then(Value::as_u64)
    });
    let from_tokenizer = || {
        let value = tokenizer_config?.get("model_max_length")?;
        value.as_u64()
    };
    from_config.or_else(from_tokenizer).and_then(|length| u32::try_from(length).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_directory_becomes_a_card_with_checksums_and_context_length() {
        let folder = model(&[
            ("config.json", r#"{"max_position_embeddings": 4096}"#),
            ("tokenizer.json", "{}"),
            ("tokenizer_config.json", r#"{"model_max_length": 77}"#),
        ]);
        let card = ModelCard::from_local_dir(folder.path(), "Org/Model").unwrap();
        assert_eq!((card.display_name.as_str(), card.slug.as_str()), ("Org/Model", "org_model"));
        assert_eq!(card.context_length, 4096);
        assert_eq!(card.files().len(), 3);
        assert_eq!(card.files()[1].checksum, format!("blake3:{}", blake3::hash(b"{}").to_hex()));
        let value = serde_json::to_value(&card).unwrap();
        assert!(value["model_info"]["hf_config_json"]["path"].is_string(), "{value}");
        assert_eq!(value["model_type"], "Chat | Completions");
        assert_eq!(serde_json::from_value::<ModelCard>(value).unwrap(), card);
    }

    #[test]
    fn the_tokenizer_gives_the_context_length_when_the_config_does_not() {
        let folder = model(&[("tokenizer_config.json", r#"{"model_max_length": 77}"#)]);
        assert_eq!(ModelCard::from_local_dir(folder.path(), "m").unwrap().context_length, 77);
        let folder = model(&[("tokenizer_config.json", r#"{"model_max_length": 1e30}"#)]);
        assert_eq!(ModelCard::from_local_dir(folder.path(), "m").unwrap().context_length, 0);
    }

    #[test]
    fn the_checksum_changes_with_each_part_it_covers() {
        let card = ModelCard { context_length: 1, ..ModelCard::with_name("m") };
        let variants = [
            ModelCard::with_name("n"),
            ModelCard { source_path: Some("s".to_owned()), ..card.clone() },
            ModelCard { context_length: 2, ..card.clone() },
            ModelCard { kv_cache_block_size: 2, ..card.clone() },
        ];
        for variant in variants {
            assert_ne!(variant.checksum(), card.checksum());
        }
        let elsewhere = ModelCard { migration_limit: 3, ..card.clone() };
        assert_eq!(elsewhere.checksum(), card.checksum());
    }

    #[test]
    fn a_card_with_unknown_and_missing_fields_is_read() {
        let card: ModelCard = serde_json::from_str(
            r#"{"display_name":"m","model_type":"Chat","tokenizer":{"gguf":"x"},"later":1,
                "runtime_config":{"total_kv_blocks":null,"unknown":true}}"#,
        )
        .unwrap();
        assert_eq!(card.runtime_config.data_parallel_size, 1);
        assert!(card.model_type.supports_chat());
        assert!(matches!(card.tokenizer, Some(TokenizerFile::Other(_))));
    }

    #[test]
    fn a_missing_directory_is_reported_with_its_path() {
        let error = ModelCard::from_local_dir(Path::new("/no/such/model"), "m").unwrap_err();
        assert!(error.to_string().contains("/no/such/model"));
    }
}
