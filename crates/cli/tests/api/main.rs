//! The command line on a real API server. One plane for all; each test has namespaces of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod diff;
mod render;
mod support;
mod validate;
