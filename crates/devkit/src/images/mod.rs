//! The product's container images: built without a container engine, loaded without a registry.
//! Must not push anything anywhere.

pub mod oci;
