//! Development commands: pinned tools, control planes, a single-node cluster, images and the demo.
//! Must not depend on an async runtime or a Kubernetes client, so that it compiles in seconds.

pub mod cache;
pub mod cluster;
pub mod control_plane;
pub mod demo;
pub mod error;
pub mod files;
pub mod images;
pub mod kubectl;
pub mod pki;
pub mod process;
pub mod progress;
pub mod tools;

pub use error::{Error, Result};
