//! Incremental detokenization: text appears as soon as it cannot change any more.
//! Must never emit half of a character; undecodable ends are held until more tokens arrive or the end.

use std::sync::Arc;

use tokenizers::Tokenizer;

/// Marks bytes that are not (yet) a character.
const INCOMPLETE: char = '\u{FFFD}';

/// The text of one choice, fed token by token.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    tokenizer: Arc<Tokenizer>,
    skip_special: bool,
    ids: Vec<u32>,
    /// Start of the window that is decoded again, so that decoders which look at neighbours see them.
    window: usize,
    /// Tokens before this one have been turned into text.
    done: usize,
}

impl Detokenizer {
    #[must_use]
    pub fn new(tokenizer: Arc<Tokenizer>, skip_special: bool) -> Self {
        Self { tokenizer, skip_special, ids: Vec::new(), window: 0, done: 0 }
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, self.skip_special).unwrap_or_default()
    }

    /// Adds a token and returns the text that became certain; empty when more tokens are needed.
    pub fn push(&mut self, id: u32) -> String {
        self.ids.push(id);
        self.advance(false)
    }

    /// The rest, with replacement characters where bytes never became a character.
    pub fn flush(&mut self) -> String {
        self.advance(true)
    }

    fn advance(&mut self, last: bool) -> String {
        let before = self.decode(&self.ids[self.window..self.done]);
        let now = self.decode(&self.ids[self.window..]);
        if !last && now.ends_with(INCOMPLETE) {
            return String::new();
        }
        let Some(new) = now.strip_prefix(before.as_str()) else {
            // A decoder changed earlier text; it cannot be taken back, so only the new tokens count.
            let text = self.decode(&self.ids[self.done..]);
            self.window = self.done;
            self.done = self.ids.len();
            return text;
        };
        if new.is_empty() {
            return String::new();
        }
        let text = new.to_owned();
        self.window = self.done;
        self.done = self.ids.len();
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture;

    fn incremental(ids: &[u32]) -> String {
        let mut detokenizer = Detokenizer::new(fixture::tokenizer(), false);
        let mut text: String = ids.iter().map(|id| detokenizer.push(*id)).collect();
        text.push_str(&detokenizer.flush());
        text
    }

    #[test]
    fn a_character_over_several_tokens_appears_whole() {
        let mut detokenizer = Detokenizer::new(fixture::tokenizer(), false);
        let ids = fixture::ids("é日");
        let pieces: Vec<String> = ids.iter().map(|id| detokenizer.push(*id)).collect();
        assert_eq!(pieces, ["", "é", "", "", "日"]);
    }

    #[test]
    fn bytes_that_never_become_a_character_are_shown_as_replacement_at_the_end() {
        let mut ids = fixture::ids("ok");
        ids.extend(&fixture::ids("日")[..2]);
        assert!(incremental(&ids).starts_with("ok\u{FFFD}"));
    }

    proptest! {
        #[test]
        fn incremental_text_equals_the_text_decoded_at_once(text in "\\PC{0,40}") {
            prop_assert_eq!(incremental(&fixture::ids(&text)), text);
        }

        #[test]
        fn arbitrary_bytes_give_the_same_text_as_decoding_at_once(ids in proptest::collection::vec(0u32..256, 0..60)) {
            let whole = fixture::tokenizer().decode(&ids, false).unwrap_or_default();
            prop_assert_eq!(incremental(&ids), whole);
        }
    }
}
