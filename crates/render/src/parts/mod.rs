//! Parts of a pod that several builders share.
//! Each is a function of its arguments alone.

pub mod env;
pub mod merge;
pub mod pull_secrets;
pub mod resources;
pub mod volumes;
pub mod yaml;
