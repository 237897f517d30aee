//! Text to token ids with the model's own tokenizer.
//! Must not add special tokens to a rendered chat template, which holds them already.

use std::sync::Arc;

use tokenizers::Tokenizer;

use crate::openai::errors::ApiError;

/// Encodes text.
///
/// # Errors
/// 400 when the tokenizer cannot encode the text.
pub fn encode(tokenizer: &Arc<Tokenizer>, text: &str, special_tokens: bool) -> Result<Vec<u32>, ApiError> {
    tokenizer
        .encode_fast(text, special_tokens)
        .map(|encoding| encoding.get_ids().to_vec())
        .map_err(|cause| ApiError::bad_request(format!("the prompt cannot be tokenized: {cause}")))
}

/// The visible form of one token, for log probabilities.
#[must_use]
pub fn token_text(tokenizer: &Tokenizer, id: u32) -> String {
    tokenizer.decode(&[id], false).unwrap_or_default()
}
