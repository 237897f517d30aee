//! For tests of this and other crates, behind the feature `testing`: the cases of the rules, and random graphs.
//! Must not be part of anything that is shipped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod cases;
pub mod cluster;
pub mod graphs;

pub use cases::{Case, CasePolicy, RuleCases, cases};
