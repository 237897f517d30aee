//! What the charts install, rendered by the real Helm (charts.md sections 1 to 13).
//! Must not need a network; without Helm or the API server the tests that need them say so and fail only in CI.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking; clippy exempts only the tests"
)]

mod arguments;
mod certificates;
mod clouds;
mod cluster;
mod cluster_installs;
mod cluster_kinds;
mod cluster_rights;
mod conflicts;
mod dependencies;
mod etcd;
mod failures;
mod files;
mod gaie;
mod helm;
mod monitors;
mod names;
mod nats;
mod nats_server;
mod nats_values;
mod notes;
mod observability;
mod plane;
mod queues;
mod recorded;
mod recorded_objects;
mod recorded_refusals;
mod recorded_webhooks;
mod reference;
mod registry;
mod rights;
mod robustness;
mod scenarios;
mod schemas;
mod stand_in;
mod upgrade;
mod values;
mod webhooks;
