//! Types and CustomResourceDefinitions of the API group nvidia.com
//! Must not know a client, a runtime or a cluster: the command line, the webhook and tests all build on it.

pub mod conditions;
pub mod crds;
mod decode;
pub mod field_reference;
pub mod foreign;
pub mod labels;
pub mod schema;
pub mod v1alpha1;

pub use decode::{DecodeError, decode, decode_text};
