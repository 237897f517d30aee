//! The cluster that graphs are rendered for: the operator's configuration, the optional APIs, and the objects of a
//! namespace that rendering looks at. Described by arguments, or read from a cluster; nothing is rendered here.

pub mod cluster;
pub mod described;
mod installation;
pub mod live;

use dynamo_operator::optional_apis::OptionalApis;
use dynamo_render::credentials::Credentials;

pub use self::{installation::Installation, live::Live};

/// Everything that rendering depends on beside the graph.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub installation: Installation,
    pub apis: OptionalApis,
    pub credentials: Credentials,
    pub live: Live,
}
