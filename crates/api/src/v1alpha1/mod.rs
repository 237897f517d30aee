//! Version v1alpha1 of the API group nvidia.com (`api.md`): the kinds and the parts they share.
//! Only data: no defaults beyond the schema's own, no validation rule, no rendering.

mod checkpoint;
mod component;
mod epp;
mod graph;
mod lenient;
mod model;
mod open_enum;
mod pod;
mod request;
mod resources;
mod scaling_adapter;
mod shared;
mod state;
mod status;
mod worker_metadata;

pub use checkpoint::{
    CheckpointIdentity, CheckpointJob, CheckpointMode, CheckpointPhase, CheckpointStorageType,
    DynamoCheckpoint, DynamoCheckpointSpec, DynamoCheckpointStatus, ServiceCheckpointConfig,
};
pub use component::{DynamoComponentDeployment, DynamoComponentDeploymentSpec};
pub use epp::{
    EndpointPickerConfig, EppConfig, PluginSpec, SaturationDetector, SchedulingPlugin, SchedulingProfile,
};
pub use graph::{
    DynamoGraphDeployment, DynamoGraphDeploymentSpec, Pvc, RestartSpec, RestartStrategy, RestartStrategyType,
};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
pub use model::{DynamoModel, DynamoModelSpec, DynamoModelStatus, ModelEndpoint, ModelSource, ModelType};
pub use pod::{ExtraPodMetadata, ExtraPodSpec};
pub use request::{
    BaseGraphRef, DeploymentOverrides, DynamoGraphDeploymentRequest, DynamoGraphDeploymentRequestSpec,
    DynamoGraphDeploymentRequestStatus, ProfilingConfig, RequestDeploymentStatus, RequestState,
};
pub use resources::{ResourceClaim, ResourceItem, Resources};
pub use scaling_adapter::{
    DynamoGraphDeploymentScalingAdapter, DynamoGraphDeploymentScalingAdapterSpec,
    DynamoGraphDeploymentScalingAdapterStatus, GraphServiceRef,
};
pub use shared::{
    AutoscalingSpec, BackendFramework, IngressSpec, IngressTls, ModelReference, MultinodeSpec,
    ScalingAdapterSpec, ServiceVolumeMount, SharedMemorySpec, SharedSpec,
};
pub use state::State;
pub use status::{
    ComponentKind, DynamoComponentDeploymentStatus, DynamoGraphDeploymentStatus, RestartPhase, RestartStatus,
    ServiceCheckpointStatus, ServiceReplicaStatus,
};
pub use worker_metadata::{DynamoWorkerMetadata, DynamoWorkerMetadataSpec};
