//! Finds the files of the model to imitate: local directory, hub cache, or the demo model.
//! It must not download anything.

use std::path::{Path, PathBuf};

use dynamo_runtime::card::CardError;
use dynamo_runtime::{ModelCard, ModelType};
use serde_json::Value;

use crate::flags::EngineArgs;

/// The demo model of the image; `DYN_DEMO_MODEL_PATH` names another place.
const DEMO_MODEL: &str = "/opt/dynamo/models/demo";

/// Token ids an answer is made of.
const ANSWER_TOKENS: std::ops::Range<u32> = 1000..2000;

/// A model that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(
        "model `{asked}` is neither a local directory nor in the hub cache, and the demo model `{}` is missing; \
         give --model-path an existing directory or set DYN_DEMO_MODEL_PATH", .demo.display()
    )]
    NotFound { asked: String, demo: PathBuf },
    #[error(transparent)]
    Card(#[from] CardError),
}

/// A model ready to be served.
#[derive(Clone, Debug)]
pub struct Model {
    pub card: ModelCard,
    /// Ids that exist in the model's vocabulary.
    pub answer_tokens: std::ops::Range<u32>,
}

impl Model {
    /// Looks in this order: local directory, hub cache, demo model (with a warning).
    pub fn find(path: Option<&str>, name: Option<&str>) -> Result<Self, ModelError> {
        let demo = std::env::var_os("DYN_DEMO_MODEL_PATH").map_or_else(|| DEMO_MODEL.into(), PathBuf::from);
        Self::find_in(path, name, &hub_cache(), &demo)
    }

    fn find_in(path: Option<&str>, name: Option<&str>, hub: &Path, demo: &Path) -> Result<Self, ModelError> {
        let asked = path.or(name).unwrap_or("demo");
        let local = Path::new(asked);
        if path.is_some() && local.is_dir() {
            let folder = local.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.map(str::to_owned).or(folder).unwrap_or_else(|| asked.to_owned());
            return Self::load(local, &name, None);
        }
        let name = name.unwrap_or(asked);
        if let Some(snapshot) = hub_snapshot(hub, asked) {
            return Self::load(&snapshot, name, Some(asked));
        }
        if !demo.is_dir() {
            return Err(ModelError::NotFound { asked: asked.to_owned(), demo: demo.to_path_buf() });
        }
        if asked != "demo" {
            tracing::warn!(
                "model `{asked}` is not on this machine; serving it with the tokenizer of the demo model {}",
                demo.display()
            );
        }
        Self::load(demo, name, Some(asked))
    }

    fn load(folder: &Path, name: &str, source: Option<&str>) -> Result<Self, ModelError> {
        let mut card = ModelCard::from_local_dir(folder, name)?;
        if let Some(source) = source {
            card.source_path = Some(source.to_owned());
        }
        let answer_tokens = match vocabulary_size(folder) {
            Some(size) if size < ANSWER_TOKENS.end => (size / 2)..size.max(1),
            _ => ANSWER_TOKENS,
        };
        Ok(Self { card, answer_tokens })
    }

    /// The card with what the imitated engine promises (runtime.md 9.1).
    pub fn describe(&mut self, args: &EngineArgs) {
        let card = &mut self.card;
        if args.is_prefill {
            card.model_type = ModelType::PREFILL;
        }
        card.kv_cache_block_size = u32::try_from(args.block_size).unwrap_or(u32::MAX);
        let runtime = &mut card.runtime_config;
        runtime.total_kv_blocks = Some(args.num_gpu_blocks as u64);
        runtime.max_num_seqs = Some(args.max_num_seqs as u64);
        runtime.max_num_batched_tokens = Some(args.max_num_batched_tokens as u64);
        runtime.data_parallel_size = args.dp_size;
        // There is no worker-local index to ask: routers must not wait for one.
        runtime.enable_local_indexer = false;
    }
}

fn hub_cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")))
        .unwrap_or_else(|| PathBuf::from("/root/.cache/huggingface/hub"))
}

/// A complete snapshot of a hub model: the one `refs/main` names, else any with a tokenizer.
fn hub_snapshot(hub: &Path, id: &str) -> Option<PathBuf> {
    let folder = hub.join(format!("models--{}", id.replace('/', "--")));
    let snapshots = folder.join("snapshots");
    let complete =
        |path: &PathBuf| path.join("tokenizer.json").is_file() && path.join("config.json").is_file();
    let main = std::fs::read_to_string(folder.join("refs/main")).ok();
    let main = main.map(|revision| snapshots.join(revision.trim())).filter(complete);
    main.or_else(|| {
        let entries = std::fs::read_dir(&snapshots).ok()?;
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(complete).collect();
        found.sort();
        found.pop()
    })
}

/// `vocab_size` of `config.json`, `None` when unknown.
fn vocabulary_size(folder: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(folder.join("config.json")).ok()?;
    let config: Value = serde_json::from_str(&text).ok()?;
    let own = config.get("vocab_size");
    let text = config.get("text_config").and_then(|text| text.get("vocab_size"));
    own.or(text).and_then(Value::as_u64).and_then(|size| u32::try_from(size).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(folder: &Path, vocabulary: u32) {
        std::fs::create_dir_all(folder).unwrap();
        let config = format!(r#"{{"max_position_embeddings": 128, "vocab_size": {vocabulary}}}"#);
        std::fs::write(folder.join("config.json"), config).unwrap();
        std::fs::write(folder.join("tokenizer.json"), "{}").unwrap();
    }

    #[test]
    fn a_local_directory_is_served_under_its_own_name() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tiny");
        model(&folder, 4096);
        let found = Model::find_in(folder.to_str(), None, root.path(), root.path()).unwrap();
        assert_eq!(found.card.display_name, "tiny");
        assert_eq!(found.answer_tokens, 1000..2000);
        let named = Model::find_in(folder.to_str(), Some("n"), root.path(), root.path()).unwrap();
        assert_eq!(named.card.display_name, "n");
    }

    #[test]
    fn a_hub_id_is_found_in_the_cache_and_keeps_its_name_as_source() {
        let root = tempfile::tempdir().unwrap();
        let snapshot = root.path().join("models--Org--Tiny/snapshots/abc");
        model(&snapshot, 1500);
        let found = Model::find_in(Some("Org/Tiny"), None, root.path(), Path::new("/none")).unwrap();
        assert_eq!(found.card.display_name, "Org/Tiny");
        assert_eq!(found.card.source_path.as_deref(), Some("Org/Tiny"));
        assert_eq!(found.answer_tokens, 750..1500, "ids stay inside a small vocabulary");
    }

    #[test]
    fn an_absent_model_falls_back_to_the_demo_files_under_the_asked_name() {
        let root = tempfile::tempdir().unwrap();
        let demo = root.path().join("demo");
        model(&demo, 4096);
        let found = Model::find_in(Some("Org/Absent"), Some("served"), root.path(), &demo).unwrap();
        assert_eq!(found.card.display_name, "served");
        assert_eq!(found.card.source_path.as_deref(), Some("Org/Absent"));
        let error = Model::find_in(Some("Org/Absent"), None, root.path(), Path::new("/none")).unwrap_err();
        assert!(error.to_string().contains("Org/Absent"), "{error}");
    }
}
