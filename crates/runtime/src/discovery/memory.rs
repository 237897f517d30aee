//! A registry inside one process, for tests and single-process use.
//! It must not outlive or leave the process.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::record::Registry;
use super::{DiscoveryError, Snapshot};

#[derive(Debug)]
pub(super) struct Memory {
    own: Mutex<Registry>,
    visible: watch::Sender<Arc<Snapshot>>,
}

impl Default for Memory {
    fn default() -> Self {
        let empty = Registry::default();
        let visible = watch::Sender::new(Arc::new(empty.snapshot()));
        Self { own: Mutex::new(empty), visible }
    }
}

impl Memory {
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<(), DiscoveryError>,
    ) -> Result<(), DiscoveryError> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut own)?;
        self.visible.send_replace(Arc::new(own.snapshot()));
        Ok(())
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.visible.subscribe()
    }
}
