//! The imitated KV cache: shared blocks with counts and a pool of unused ones (runtime.md 9.4).
//! It must not know requests, only blocks.

use std::collections::{BTreeMap, HashMap};

/// A block of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Block {
    /// Filled; equal content has equal hashes.
    Full(u64),
    /// Being filled; belongs to one sequence.
    Partial(u64),
}

/// Blocks in use with their counts, and freed full blocks in the order they were freed.
#[derive(Debug)]
pub struct Cache {
    capacity: usize,
    active: HashMap<Block, usize>,
    /// Order of freeing, oldest first.
    inactive: BTreeMap<u64, u64>,
    freed_at: HashMap<u64, u64>,
    clock: u64,
}

impl Cache {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            active: HashMap::new(),
            inactive: BTreeMap::new(),
            freed_at: HashMap::new(),
            clock: 0,
        }
    }

    /// Blocks in use.
    pub fn active(&self) -> usize {
        self.active.len()
    }

    /// Blocks in use and blocks kept for reuse.
    pub fn held(&self) -> usize {
        self.active.len() + self.inactive.len()
    }

    /// Takes a block: shares it, revives it, or makes room for it. False when every block is in use.
    pub fn take(&mut self, block: Block) -> bool {
        if let Some(count) = self.active.get_mut(&block) {
            *count += 1;
            return true;
        }
        if !self.revive(block) && self.held() >= self.capacity && !self.evict() {
            return false;
        }
        self.active.insert(block, 1);
        true
    }

    fn revive(&mut self, block: Block) -> bool {
        let Block::Full(hash) = block else { return false };
        let freed = self.freed_at.remove(&hash);
        freed.is_some_and(|at| self.inactive.remove(&at).is_some())
    }

    /// Forgets the block that was freed longest ago.
    fn evict(&mut self) -> bool {
        let oldest = self.inactive.pop_first();
        oldest.is_some_and(|(_, hash)| self.freed_at.remove(&hash).is_some())
    }

    /// Gives a block back; a full one without users is kept for reuse, a partial one is destroyed.
    pub fn give_back(&mut self, block: Block) {
        let Some(count) = self.active.get_mut(&block) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.active.remove(&block);
        if let Block::Full(hash) = block {
            self.clock += 1;
            self.inactive.insert(self.clock, hash);
            self.freed_at.insert(hash, self.clock);
        }
    }

    /// A filled partial block becomes a full one; needs no room.
    pub fn promote(&mut self, partial: u64, hash: u64) {
        self.active.remove(&Block::Partial(partial));
        self.revive(Block::Full(hash));
        *self.active.entry(Block::Full(hash)).or_insert(0) += 1;
    }

    /// Number of leading blocks that are present, in use or not.
    pub fn known_prefix(&self, hashes: &[u64]) -> usize {
        hashes
            .iter()
            .take_while(|hash| {
                self.active.contains_key(&Block::Full(**hash)) || self.freed_at.contains_key(*hash)
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_block_freed_longest_ago_is_evicted_first() {
        let mut cache = Cache::new(3);
        for hash in [1, 2, 3] {
            assert!(cache.take(Block::Full(hash)));
        }
        for hash in [2, 3, 1] {
            cache.give_back(Block::Full(hash));
        }
        assert!(cache.take(Block::Full(4)));
        assert_eq!(cache.known_prefix(&[2]), 0);
        assert_eq!(cache.known_prefix(&[3, 1, 4]), 3);
    }

    #[test]
    fn a_shared_block_stays_active_until_its_last_user_is_gone() {
        let mut cache = Cache::new(1);
        assert!(cache.take(Block::Full(1)) && cache.take(Block::Full(1)));
        cache.give_back(Block::Full(1));
        assert!(!cache.take(Block::Full(2)), "the only block is in use");
        cache.give_back(Block::Full(1));
        assert!(cache.take(Block::Full(2)));
    }

    #[test]
    fn partial_blocks_are_destroyed_and_promoted_ones_are_found() {
        let mut cache = Cache::new(2);
        assert!(cache.take(Block::Partial(1)));
        cache.give_back(Block::Partial(1));
        assert_eq!(cache.held(), 0);
        assert!(cache.take(Block::Partial(2)));
        cache.promote(2, 9);
        assert_eq!((cache.active(), cache.known_prefix(&[9])), (1, 1));
    }

    proptest! {
        #[test]
        fn the_cache_never_holds_more_than_its_capacity(
            capacity in 1_usize..8,
            steps in proptest::collection::vec((any::<bool>(), 0_u64..12), 0..200),
        ) {
            let mut cache = Cache::new(capacity);
            let mut users: HashMap<u64, usize> = HashMap::new();
            for (take, hash) in steps {
                if take {
                    if cache.take(Block::Full(hash)) {
                        *users.entry(hash).or_default() += 1;
                    }
                } else if let Some(count) = users.get_mut(&hash).filter(|count| **count > 0) {
                    *count -= 1;
                    cache.give_back(Block::Full(hash));
                }
                prop_assert!(cache.held() <= capacity);
                let in_use = users.values().filter(|count| **count > 0).count();
                prop_assert_eq!(cache.active(), in_use);
                prop_assert_eq!(cache.inactive.len(), cache.freed_at.len());
            }
        }
    }
}
