//! The command line on a real API server. Planes are shared; each test has namespaces of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod benchmark;
mod check;
#[path = "../common/mod.rs"]
mod common;
mod diff;
mod gpus;
mod render;
mod support;
mod validate;
mod world;
