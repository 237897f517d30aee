//! Fixtures for tests against a real control plane: one API server per test binary, namespaces, the operator's own
//! process, its write log, and a stand-in for the nodes. For tests alone: everything here panics with what went wrong.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod audit;
pub mod balancer;
pub mod kubelet;
pub mod nodes;
pub mod operator;
pub mod plane;
pub mod proxy;
pub mod shared;
pub mod wait;
pub mod webhooks;

pub use balancer::Balancer;
pub use kubelet::Kubelet;
pub use operator::Operator;
pub use plane::Plane;
pub use proxy::Proxy;
pub use wait::eventually;
