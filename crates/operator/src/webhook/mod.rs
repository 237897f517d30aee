//! The admission server: the API server's questions in, verdicts out (`operator-process.md` sections 6, 7, 11).
//! Asks nobody while it answers: all it knows is in [`Knowledge`], and the rules are those of `dynamo-render`.

mod body;
mod defaults;
mod handler;
mod judge;
mod metrics;
mod review;
pub mod server;

use std::{fmt, time::Duration};

use dynamo_render::config::OperatorConfig;

use crate::optional_apis::OptionalApis;

pub use handler::router;
pub use metrics::WebhookMetrics;

/// What the process knows beside the question. Each part must answer from memory.
pub struct Knowledge {
    pub config: OperatorConfig,
    /// Written into new graphs as their origin.
    pub version: String,
    /// True when the operator works in one namespace only.
    pub restricted: bool,
    /// Full names (`system:serviceaccount:NAMESPACE:NAME`) of those who may change replicas that an adapter owns.
    pub trusted: Vec<String>,
    /// Whether a restricted operator owns the namespace; its objects are allowed here without a look.
    pub excluded: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// What the cluster offers now.
    pub optional_apis: Box<dyn Fn() -> OptionalApis + Send + Sync>,
}

impl fmt::Debug for Knowledge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Knowledge")
            .field("version", &self.version)
            .field("restricted", &self.restricted)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

/// Bounds of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body. A review carries two objects, and the API server takes about 3 MB each.
    pub body: usize,
    /// Bytes of all bodies that are held at once.
    pub room: usize,
    /// Bodies that are read at once; one more is refused.
    pub bodies: usize,
    /// Requests that are judged at once; one more is refused.
    pub requests: usize,
    /// How far a body may fall behind `rate`.
    pub patience: Duration,
    /// Bytes per second that a body must bring.
    pub rate: u32,
    /// Longest time for one request. A caller may name less (the API server does), not more.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 << 20,
            room: 48 << 20,
            bodies: 256,
            requests: 64,
            patience: Duration::from_secs(2),
            rate: 1 << 20,
            deadline: Duration::from_secs(9),
        }
    }
}

/// A kind that is judged here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Component,
    Graph,
    Model,
    Request,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Component, Self::Graph, Self::Model, Self::Request];

    fn name(self) -> &'static str {
        match self {
            Self::Component => "DynamoComponentDeployment",
            Self::Graph => "DynamoGraphDeployment",
            Self::Model => "DynamoModel",
            Self::Request => "DynamoGraphDeploymentRequest",
        }
    }

    fn resource(self) -> &'static str {
        match self {
            Self::Component => "dynamocomponentdeployments",
            Self::Graph => "dynamographdeployments",
            Self::Model => "dynamomodels",
            Self::Request => "dynamographdeploymentrequests",
        }
    }

    fn validating_path(self) -> &'static str {
        match self {
            Self::Component => "/validate-nvidia-com-v1alpha1-dynamocomponentdeployment",
            Self::Graph => "/validate-nvidia-com-v1alpha1-dynamographdeployment",
            Self::Model => "/validate-nvidia-com-v1alpha1-dynamomodel",
            Self::Request => "/validate-nvidia-com-v1alpha1-dynamographdeploymentrequest",
        }
    }
}

const MUTATING_PATH: &str = "/mutate-nvidia-com-v1alpha1-dynamographdeployment";
