//! Condition types, reasons and states of the API: one spelling each (`api.md` sections 3, 4; `workload.md` 12).
//! Constants only.

pub const TRUE: &str = "True";
pub const FALSE: &str = "False";

/// `status.state` of a graph.
pub mod state {
    pub const PENDING: &str = "pending";
    pub const SUCCESSFUL: &str = "successful";
    pub const FAILED: &str = "failed";
}

/// Condition types.
pub mod types {
    pub const READY: &str = "Ready";
    pub const AVAILABLE: &str = "Available";
    pub const COMPONENT_READY: &str = "DynamoComponentReady";
    pub const VALID: &str = "Valid";
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
    pub const COMPONENT_READY: &str = "ComponentReady";
    pub const COMPONENT_NOT_READY: &str = "ComponentNotReady";
    pub const RECONCILING: &str = "Reconciling";
}
