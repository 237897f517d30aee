//! The platform chart on a real node, with NATS and etcd running from their real programs.
//! Each test begins with a cluster on which nothing is installed, and takes away what it made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod graph;
mod high_availability;
mod lifecycle;
mod monitoring;
mod monitors;
mod observed;
mod release;
mod servers;
mod stage;
