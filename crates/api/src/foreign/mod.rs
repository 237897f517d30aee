//! Kinds of other projects that the platform writes: one file each, and only the fields that we write.
//! No CustomResourceDefinition is made from them; their own projects install those.

mod inference_pool;
mod kai;
mod virtual_service;

pub use inference_pool::{
    InferencePool, InferencePoolSelector, InferencePoolSpec, PickerPort, PickerReference, PoolPort,
};
pub use kai::{Queue, QueueResources, QueueShare, QueueSpec};
pub use virtual_service::{
    HttpDestination, HttpMatch, HttpRedirect, HttpRetries, HttpRoute, PortSelector, RouteDestination,
    StringMatch, VirtualService, VirtualServiceSpec,
};
