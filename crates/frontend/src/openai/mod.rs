//! The OpenAI-compatible surface: request and answer types, their rules, errors and event framing.
//! Must not know about workers or discovery.

pub mod answer;
pub mod chat;
pub mod common;
pub mod completions;
pub mod errors;
pub mod sse;
pub mod validate;
