//! What `/metrics` shows (`operator-process.md` section 11), beside the counters of `dynamo-kubekit`.
//! It counts and never decides; every label has a bounded set of values.

mod process;
mod reconcile;
mod resources;
mod states;

use std::sync::Arc;

use dynamo_kubekit::metrics::{ApiMetrics, ReconcileMetrics};
use prometheus_client::registry::Registry;

pub use process::ProcessMetrics;
pub(crate) use reconcile::observe;
pub use resources::{Resources, Source};
pub use states::{LeaderMetrics, OptionalApiMetrics};

/// Every family of the process.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub api: Arc<ApiMetrics>,
    pub reconcile: ReconcileMetrics,
    pub resources: Resources,
    pub leader: LeaderMetrics,
    pub optional_apis: OptionalApiMetrics,
    pub process: ProcessMetrics,
}

impl Metrics {
    /// Adds all families to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        // Destructured so that a new family cannot be forgotten here.
        let Self { api, reconcile, resources, leader, optional_apis, process } = self;
        api.register(registry);
        reconcile.register(registry);
        resources.register(registry);
        leader.register(registry);
        optional_apis.register(registry);
        process.register(registry);
    }
}
