//! Makes the demo model's files: a byte-level BPE tokenizer trained on `demo_words.txt`, config and chat
//! template. The mocker answers with random ids 1000–1999; here they are whole words.
//!
//! Usage: train_demo_model FOLDER

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

const WORDS: &str = include_str!("demo_words.txt");
const VOCABULARY: usize = 6000;
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|start|>", "<|end|>"];
const CONTEXT: u32 = 8192;
/// Ids the mocker draws from.
const ANSWER_IDS: std::ops::Range<usize> = 1000..2000;
const TEMPLATE: &str = "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n\
                        {% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: train_demo_model FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let tokenizer = train().map_err(|error| error.to_string())?;
    let tokenizer = renumber(serde_json::from_str(&tokenizer)?)?;
    let size = tokenizer["model"]["vocab"].as_object().map_or(0, serde_json::Map::len);
    let config = json!({
        "architectures": ["DemoForCausalLM"], "model_type": "demo", "vocab_size": size,
        "max_position_embeddings": CONTEXT, "bos_token_id": 0, "eos_token_id": 2,
    });
    let tokenizer_config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT, "chat_template": TEMPLATE,
        "bos_token": SPECIAL[0], "eos_token": SPECIAL[2], "add_bos_token": false,
        "clean_up_tokenization_spaces": false,
    });
    let generation = json!({"bos_token_id": 0, "eos_token_id": [2, 0], "do_sample": true});
    for (name, value) in [
        ("config.json", &config),
        ("tokenizer.json", &tokenizer),
        ("tokenizer_config.json", &tokenizer_config),
        ("generation_config.json", &generation),
    ] {
        std::fs::write(folder.join(name), format!("{}\n", serde_json::to_string_pretty(value)?))?;
    }
    eprintln!("{size} tokens in {}", folder.display());
    Ok(())
}

/// The lines repeat each word in the three places it has in a text: after a space, after a line
/// break, and with a capital at the start of a sentence.
fn train() -> Result<String, tokenizers::Error> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let lines = words.iter().flat_map(|word| {
        let capital = word[..1].to_uppercase() + &word[1..];
        let inside = format!("the {word} {word}, {word} {word} {word}.");
        [inside, format!("{word} \n{word}"), capital]
    });
    let mut trainer: TrainerWrapper = BpeTrainer::builder()
        .vocab_size(VOCABULARY)
        .min_frequency(1)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(SPECIAL.iter().map(|token| AddedToken::from(*token, true)).collect())
        .build()
        .into();
    let bytes = ByteLevel::new(false, true, true);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(bytes))
        .with_decoder(Some(bytes))
        .with_post_processor(Some(ByteLevel::new(false, false, true)));
    tokenizer.train(&mut trainer, lines)?;
    tokenizer.to_string(false)
}

/// Gives whole words with their leading space the answer ids. The order of merges, which decides
/// how text is split, stays as trained; only the numbers of the tokens change.
fn renumber(mut tokenizer: Value) -> Result<Value, Box<dyn Error>> {
    let words: HashSet<String> = WORDS.split_whitespace().map(|word| format!("\u{120}{word}")).collect();
    let vocabulary = tokenizer["model"]["vocab"].as_object().ok_or("no vocabulary")?;
    let mut tokens: Vec<(&String, u64)> =
        vocabulary.iter().filter_map(|(token, id)| id.as_u64().map(|id| (token, id))).collect();
    tokens.sort_by_key(|(_, id)| *id);
    let (whole, mut other): (Vec<_>, Vec<_>) =
        tokens.into_iter().partition(|(token, _)| words.contains(*token));
    if whole.len() < ANSWER_IDS.len() || other.len() < ANSWER_IDS.start {
        return Err(format!("only {} whole words and {} others", whole.len(), other.len()).into());
    }
    let (answers, spare) = whole.split_at(ANSWER_IDS.len());
    other.extend(spare);
    let (before, after) = other.split_at(ANSWER_IDS.start);
    let ordered = before.iter().chain(answers).chain(after);
    let ids: HashMap<String, usize> =
        ordered.enumerate().map(|(id, (token, _))| ((*token).clone(), id)).collect();
    for added in tokenizer["added_tokens"].as_array_mut().ok_or("no added tokens")? {
        let content = added["content"].as_str().ok_or("an added token without content")?;
        let id = *ids.get(content).ok_or("an added token outside the vocabulary")?;
        added["id"] = id.into();
    }
    let mut by_id: Vec<(String, usize)> = ids.into_iter().collect();
    by_id.sort_by_key(|(_, id)| *id);
    tokenizer["model"]["vocab"] = by_id.into_iter().map(|(token, id)| (token, Value::from(id))).collect();
    Ok(tokenizer)
}
