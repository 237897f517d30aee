//! Tests of the Helm charts live in `tests/charts` and run the real Helm; here is what other tests share of them.
//! Must not know what the charts render: they are YAML and know nothing of this crate.

pub mod alerts;
pub mod dashboards;
