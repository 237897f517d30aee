//! The tool against a real kube-apiserver, etcd and controller manager.
//! One control plane serves all tests; each has a namespace of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
