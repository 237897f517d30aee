//! The HTTP server: routes, shared state, life cycle.
//! Must not hold logic of its own beyond turning requests into calls of the pipeline.

pub mod generate;
pub mod health;
pub mod observe;
pub mod openapi;
pub mod routes;
pub mod server;
pub mod stream;
