//! Pure validation and rendering: a graph becomes component deployments, a component becomes Kubernetes objects.
//! No client, clock, environment or randomness: the same input gives the same bytes, on a laptop as in the operator.

pub mod adapter;
pub mod backend;
pub mod checkpoint;
pub mod claims;
pub mod component;
pub mod config;
pub mod credentials;
pub mod deployment_config;
pub mod facts;
pub mod graph;
pub mod names;
pub mod observed;
pub mod origin;
pub mod parts;
pub mod picker;
pub mod restart;
#[cfg(feature = "testing")]
pub mod testing;
pub mod validate;
pub mod version;

pub use config::OperatorConfig;
pub use facts::{Facts, GraphFacts};
pub use validate::{FieldError, FieldErrors, Policy};
