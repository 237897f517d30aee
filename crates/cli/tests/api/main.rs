//! `dynamoctl` against a real API server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod benchmark;
mod check;
mod gpus;
mod kubelet;
mod world;
