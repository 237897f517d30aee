//! Condition types, reasons and states of the API: one spelling each (`api.md` sections 3, 4, 7, 9, 10, 13;
//! `workload.md` 12).
//! Constants only.

pub const TRUE: &str = "True";
pub const FALSE: &str = "False";

/// `status.state` of a graph, and the states that metrics count objects by.
pub mod state {
    pub const PENDING: &str = "pending";
    pub const SUCCESSFUL: &str = "successful";
    pub const FAILED: &str = "failed";
    pub const READY: &str = "ready";
    pub const NOT_READY: &str = "not_ready";
    pub const UNKNOWN: &str = "unknown";
}

/// Condition types.
pub mod types {
    pub const READY: &str = "Ready";
    pub const AVAILABLE: &str = "Available";
    pub const COMPONENT_READY: &str = "DynamoComponentReady";
    pub const VALID: &str = "Valid";

    pub const VALIDATION: &str = "Validation";
    pub const PROFILING: &str = "Profiling";
    pub const SPEC_GENERATED: &str = "SpecGenerated";
    pub const DEPLOYMENT_READY: &str = "DeploymentReady";

    pub const SERVICES_FOUND: &str = "ServicesFound";
    pub const ENDPOINTS_READY: &str = "EndpointsReady";

    pub const JOB_CREATED: &str = "JobCreated";
    pub const JOB_COMPLETED: &str = "JobCompleted";
    pub const TAR_AVAILABLE: &str = "TarAvailable";
}

/// Condition reasons.
pub mod reason {
    pub const ALL_READY: &str = "all_resources_are_ready";
    pub const SOME_NOT_READY: &str = "some_resources_are_not_ready";
    pub const RECONCILE_FAILED: &str = "failed_to_reconcile_the_resources";
    pub const VALIDATION_FAILED: &str = "ValidationFailed";
    pub const VALIDATION_PASSED: &str = "ValidationPassed";
    pub const DEPLOYMENT_READY: &str = "DeploymentReady";
    pub const DEPLOYMENT_NOT_READY: &str = "DeploymentNotReady";
    /// Of our own: not ready, and waiting is useless until somebody changes something.
    pub const DEPLOYMENT_FAILED: &str = "DeploymentFailed";
    pub const COMPONENT_READY: &str = "ComponentReady";
    pub const COMPONENT_NOT_READY: &str = "ComponentNotReady";
    pub const RECONCILING: &str = "Reconciling";

    pub const JOB_CREATION_FAILED: &str = "JobCreationFailed";
    pub const PROFILING_RUNNING: &str = "ProfilingRunning";
    pub const PROFILING_FAILED: &str = "ProfilingFailed";
    pub const PROFILING_COMPLETED: &str = "ProfilingCompleted";
    pub const SPEC_GENERATED: &str = "SpecGenerated";
    pub const GENERATION_FAILED: &str = "GenerationFailed";
    pub const DEPLOYMENT_CREATED: &str = "DeploymentCreated";
    pub const DEPLOYMENT_DEGRADED: &str = "DeploymentDegraded";
    pub const DEPLOYMENT_DELETED: &str = "DeploymentDeleted";

    pub const SERVICES_FOUND: &str = "ServicesFound";
    pub const NO_SERVICES_FOUND: &str = "NoServicesFound";
    pub const ALL_ENDPOINTS_READY: &str = "AllEndpointsReady";
    pub const ENDPOINTS_DISCOVERED: &str = "EndpointsDiscovered";
    pub const ENDPOINTS_NOT_READY: &str = "NotReady";
    pub const NO_ENDPOINTS: &str = "NoEndpoints";

    pub const JOB_CREATED: &str = "JobCreated";
    pub const JOB_DELETED: &str = "JobDeleted";
    pub const JOB_SUCCEEDED: &str = "JobSucceeded";
    pub const JOB_FAILED: &str = "JobFailed";
    pub const TAR_CREATED: &str = "TarCreated";
}
