//! What the serving processes share: discovery, request plane, model cards, system server.
//! It must not know the operator, the HTTP API of the frontend or any engine.

pub mod card;
pub mod discovery;
pub mod endpoint;
pub mod identity;
pub mod logging;
pub mod metrics;
pub mod protocol;
pub mod shutdown;
pub mod system;
pub mod transport;

mod causes;
mod settings;

pub use card::{ModelCard, ModelInput, ModelType};
pub use discovery::{Discovery, EndpointInstance, ModelCardEntry, Registration, Snapshot, Transport};
pub use endpoint::EndpointId;
pub use identity::{DynNamespace, PodIdentity, instance_id};
pub use protocol::{Annotated, FinishReason, WorkerOutput, WorkerRequest};
pub use transport::{CallContext, CallError, PushClient, RequestPlaneServer, ResponseStream, StreamError};
