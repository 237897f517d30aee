//! The tool against a real kube-apiserver, etcd and controller manager.
//! One control plane serves all tests; each has a namespace of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod completion;
mod forward;
mod lifecycle;
mod logs;
mod running;
mod status;
mod top;
