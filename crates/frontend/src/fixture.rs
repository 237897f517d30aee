//! A small real model directory for tests: one token per byte, a chat template, an end token.
//! Must stay out of release builds.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenizers::Tokenizer;

pub(crate) const EOS: u32 = 257;

/// Byte-level alphabet: printable bytes stand for themselves, the others for characters from 256 on.
fn byte_char(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte);
    }
    let position = (0..byte).filter(|b| !printable(*b)).count();
    char::from_u32(256 + u32::try_from(position).unwrap_or(0)).unwrap_or(' ')
}

fn tokenizer_json() -> serde_json::Value {
    let vocab: BTreeMap<String, u32> =
        (0..=255u8).map(|b| (byte_char(b).to_string(), u32::from(b))).collect();
    let special = |id: u32, content: &str| {
        serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    };
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": [special(256, "<|user|>"), special(EOS, "<|end|>")],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []},
    })
}

pub(crate) fn tokenizer() -> Arc<Tokenizer> {
    static SHARED: std::sync::OnceLock<Arc<Tokenizer>> = std::sync::OnceLock::new();
    SHARED
        .get_or_init(|| {
            Arc::new(tokenizer_json().to_string().parse::<Tokenizer>().expect("the fixture tokenizer loads"))
        })
        .clone()
}

/// The tokens of a text without special tokens: its bytes.
pub(crate) fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

/// A model directory with 512 tokens of context.
pub(crate) fn model_dir() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let template = "{% for m in messages %}<|user|>{{ m.role }}:{{ m.content }}\n{% endfor %}";
    for (name, value) in [
        ("tokenizer.json", tokenizer_json()),
        ("config.json", serde_json::json!({"max_position_embeddings": 512, "eos_token_id": EOS})),
        ("tokenizer_config.json", serde_json::json!({"chat_template": template, "eos_token": "<|end|>"})),
    ] {
        std::fs::write(folder.path().join(name), value.to_string()).expect("the fixture can be written");
    }
    folder
}
