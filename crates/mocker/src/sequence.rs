//! One request's tokens and the blocks it holds in the cache.
//! It must not decide when the request runs (see `scheduler`).

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::cache::{Block, Cache};

/// Tokens of a request, prompt and answer, with the hashes of the full blocks.
#[derive(Debug)]
pub struct Sequence {
    block_size: usize,
    /// Without prefix caching every block gets a random hash, so nothing is shared.
    shared: bool,
    length: usize,
    /// Tokens of the last block, not yet full.
    open: Vec<u32>,
    hashes: Vec<u64>,
    held: Vec<Block>,
}

impl Sequence {
    pub fn new(prompt: &[u32], block_size: usize, shared: bool) -> Self {
        let mut sequence =
            Self { block_size, shared, length: 0, open: Vec::new(), hashes: Vec::new(), held: Vec::new() };
        for token in prompt {
            sequence.append(*token);
        }
        sequence
    }

    /// Tokens of prompt and answer together.
    pub fn token_count(&self) -> usize {
        self.length
    }

    /// Blocks the sequence needs when it runs.
    pub fn blocks(&self) -> usize {
        self.length.div_ceil(self.block_size)
    }

    /// Tokens that are not in the cache.
    pub fn new_tokens(&self, cache: &Cache) -> usize {
        let known = if self.shared { cache.known_prefix(&self.hashes) } else { 0 };
        self.length - (known * self.block_size).min(self.length)
    }

    fn append(&mut self, token: u32) {
        self.length += 1;
        self.open.push(token);
        if self.open.len() == self.block_size {
            let hash = if self.shared {
                let mut hasher = DefaultHasher::new();
                (self.hashes.last(), &self.open).hash(&mut hasher);
                hasher.finish()
            } else {
                rand::random()
            };
            self.hashes.push(hash);
            self.open.clear();
        }
    }

    /// Takes all blocks; on failure none is kept.
    pub fn take_blocks(&mut self, cache: &mut Cache) -> bool {
        let full = self.hashes.iter().map(|hash| Block::Full(*hash));
        let partial = (!self.open.is_empty()).then(|| Block::Partial(rand::random()));
        for block in full.chain(partial) {
            if !cache.take(block) {
                self.give_back(cache);
                return false;
            }
            self.held.push(block);
        }
        true
    }

    /// Gives everything back from the tail, so that suffixes are evicted before prefixes.
    pub fn give_back(&mut self, cache: &mut Cache) {
        while let Some(block) = self.held.pop() {
            cache.give_back(block);
        }
    }

    /// Adds a generated token. False, and nothing changed, when it needs a block and none is free.
    pub fn grow(&mut self, token: u32, cache: &mut Cache) -> bool {
        if self.open.is_empty() {
            self.promote_last(cache);
            let block = Block::Partial(rand::random());
            if !cache.take(block) {
                return false;
            }
            self.held.push(block);
        }
        self.append(token);
        true
    }

    /// The block that was being filled is full by now.
    fn promote_last(&mut self, cache: &mut Cache) {
        let Some(Block::Partial(partial)) = self.held.last().copied() else { return };
        if let Some(hash) = self.hashes.get(self.held.len() - 1) {
            cache.promote(partial, *hash);
            if let Some(last) = self.held.last_mut() {
                *last = Block::Full(*hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_prefixes_share_blocks_and_different_ones_do_not() {
        let mut cache = Cache::new(10);
        let mut first = Sequence::new(&[1, 2, 3, 4, 5], 2, true);
        assert!(first.take_blocks(&mut cache));
        assert_eq!(cache.active(), 3);
        let second = Sequence::new(&[1, 2, 3, 9], 2, true);
        assert_eq!(second.new_tokens(&cache), 2);
        let unshared = Sequence::new(&[1, 2, 3, 4], 2, false);
        assert_eq!(unshared.new_tokens(&cache), 4);
        first.give_back(&mut cache);
        assert_eq!((cache.active(), cache.held()), (0, 2));
    }

    #[test]
    fn a_new_block_is_taken_only_when_the_last_one_is_full() {
        let mut cache = Cache::new(2);
        let mut sequence = Sequence::new(&[1, 2], 2, true);
        assert!(sequence.take_blocks(&mut cache));
        assert!(sequence.grow(3, &mut cache) && sequence.grow(4, &mut cache));
        assert_eq!(cache.active(), 2);
        assert!(!sequence.grow(5, &mut cache));
        assert_eq!((sequence.token_count(), cache.active()), (4, 2));
        assert_eq!(Sequence::new(&[1, 2, 3, 4], 2, true).new_tokens(&cache), 0, "the partial became full");
    }

    #[test]
    fn a_sequence_that_does_not_fit_keeps_nothing() {
        let mut cache = Cache::new(2);
        assert!(!Sequence::new(&[1, 2, 3, 4, 5], 2, true).take_blocks(&mut cache));
        assert_eq!(cache.active(), 0);
    }
}
