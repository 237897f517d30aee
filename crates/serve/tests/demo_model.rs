//! The demo model shipped in the image: what an answer of random ids reads like.

use std::path::PathBuf;

use tokenizers::Tokenizer;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rootfs/opt/dynamo/models/demo")
}

#[test]
fn every_answer_id_is_a_word_with_a_leading_space() {
    let tokenizer = Tokenizer::from_file(folder().join("tokenizer.json")).unwrap();
    assert!(tokenizer.get_vocab_size(true) >= 2048);
    for id in 1000..2000 {
        let text = tokenizer.decode(&[id], true).unwrap();
        let word = text.strip_prefix(' ').unwrap_or_else(|| panic!("{id} decodes to `{text}`"));
        assert!(!word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase()), "{id}: `{text}`");
    }
}

#[test]
fn any_text_survives_encoding_and_decoding() {
    let tokenizer = Tokenizer::from_file(folder().join("tokenizer.json")).unwrap();
    for text in
        ["Hello, world!", "The river reached the old bridge.", "naïve 東京 🚀\n\ttabs  and  spaces", ""]
    {
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(tokenizer.decode(ids.get_ids(), false).unwrap(), text);
    }
    let special = tokenizer.encode("<|start|>user\n<|end|>", false).unwrap();
    assert_eq!((special.get_ids()[0], special.get_ids().last()), (1, Some(&2)));
}

#[test]
fn the_config_files_agree_with_the_tokenizer() {
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
    };
    let tokenizer = Tokenizer::from_file(folder().join("tokenizer.json")).unwrap();
    let config = read("config.json");
    assert_eq!(config["vocab_size"], tokenizer.get_vocab_size(true));
    assert_eq!(config["max_position_embeddings"], 8192);
    assert_eq!(config["eos_token_id"], tokenizer.token_to_id("<|end|>").unwrap());
    assert!(read("tokenizer_config.json")["chat_template"].as_str().unwrap().contains("messages"));
    assert_eq!(read("generation_config.json")["eos_token_id"][0], config["eos_token_id"]);
}
