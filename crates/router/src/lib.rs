//! Choice of a worker for a request: selection policies and per-instance back-off.
//! Pure over its inputs (workers, facts, the caller's clock); must not do network I/O.

mod backoff;
mod pool;
mod select;

pub use backoff::Backoff;
pub use pool::Pool;
pub use select::{RandomChoice, RequestFacts, RoundRobin, RouterMode, Selector, Worker, WorkerId};
