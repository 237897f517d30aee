//! `dynamoctl sanity` on machines that are laid out in a folder: real files, and programs that are real processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod compare;
mod gpu;
mod host;
mod modes;
mod packages;
mod report;
