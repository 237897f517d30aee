//! Turns of namespaces: what one pass is about to make is not made by another at the same time.

use std::hash::BuildHasher;

use tokio::sync::{Mutex, MutexGuard};

/// Lets one pass at a time write in a namespace, so that graphs made together do not race for the same names.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Few namespaces share a lock, and many locks are cheap.
    locks: [Mutex<()>; 32],
    hasher: std::hash::RandomState,
}

impl Turns {
    pub(crate) async fn take(&self, namespace: &str) -> Option<MutexGuard<'_, ()>> {
        let count = u64::try_from(self.locks.len()).ok()?;
        let at = usize::try_from(self.hasher.hash_one(namespace) % count).ok()?;
        Some(self.locks.get(at)?.lock().await)
    }
}
