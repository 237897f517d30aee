//! Gauges that are one or zero: who leads, which optional APIs are there.
//! Set by those who know.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::optional_apis::OptionalApis;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LeaseLabels {
    name: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct GroupLabels {
    group: &'static str,
}

/// Whether this process leads, by the name of the Lease.
#[derive(Debug, Clone, Default)]
pub struct LeaderMetrics(Family<LeaseLabels, Gauge>);

impl LeaderMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "leader_election_master_status",
            "1 for the replica that holds the Lease, 0 for one that waits for it",
            self.0.clone(),
        );
    }

    pub fn set(&self, lease: &str, leads: bool) {
        self.0.get_or_create(&LeaseLabels { name: lease.to_owned() }).set(leads.into());
    }
}

/// Optional APIs by group.
#[derive(Debug, Clone, Default)]
pub struct OptionalApiMetrics(Family<GroupLabels, Gauge>);

impl OptionalApiMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "dynamo_operator_optional_api",
            "1 when the API group is served by the cluster, 0 when it is not",
            self.0.clone(),
        );
    }

    pub fn set(&self, apis: &OptionalApis) {
        for (group, served) in apis.groups() {
            self.0.get_or_create(&GroupLabels { group }).set(served.into());
        }
    }
}
