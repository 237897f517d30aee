//! The admission server as the API server meets it: verdicts, bounds, TLS, garbage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bounds;
mod garbage;
mod support;
mod tls;
mod verdicts;
