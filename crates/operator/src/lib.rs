//! The controllers of the platform and the process around them: flags, caches, admission, certificates, scope,
//! leadership, probes and metrics.
//! What the objects look like is decided in `dynamo-render`; how they are written, in `dynamo-kubekit`.

pub mod accounts;
pub mod adapter;
pub mod certs;
pub mod checkpoint;
pub mod component;
pub mod context;
pub mod copied;
pub mod etcd_auth;
mod failure;
pub mod flags;
pub mod graph;
pub mod kai_queues;
pub mod logging;
pub mod metrics;
pub mod metrics_access;
mod observed;
pub mod optional_apis;
pub mod pods;
pub mod process;
pub mod registry;
pub mod scope;
pub mod self_signed;
pub mod server;
mod turns;
pub mod viewed;
pub mod webhook;
pub mod wiring;
mod writes;
