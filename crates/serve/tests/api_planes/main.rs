//! The frontend and mockers as programs of their own, over a real etcd and a real NATS server on loopback.
//! Must not need root or Kubernetes; the pinned tools are built when they are missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod etcd;
mod graph;
mod http;
mod nats;
mod program;
