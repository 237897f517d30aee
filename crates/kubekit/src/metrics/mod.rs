//! Counters of what the process asks of the API server and of what its reconciles do, under the names that the Go
//! libraries made customary (`operator-process.md` section 11). Labels are bounded sets: verbs, kinds, results and
//! namespaces, never names of objects or messages.

mod queue;
mod reconcile;
mod requests;

pub use queue::Queue;
pub use reconcile::{Attempt, ReconcileMetrics, Verdict};
pub use requests::ApiMetrics;
pub(crate) use requests::Sent;
