//! A validated component becomes its Deployment, its Services and its routes (`workload.md` sections 6 to 9).
//! Owner references are not rendered here: they belong to whoever applies.

mod defaults;
mod deployment;
pub(crate) mod ingress;
mod model_service;
pub(crate) mod pod;
mod service;
pub(crate) mod virtual_service;

pub(crate) use defaults::{EPP_PORT, HTTP_PORT, MAIN as MAIN_CONTAINER};
use dynamo_api::{foreign::VirtualService, v1alpha1::SharedSpec};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service, networking::v1::Ingress};

use crate::{
    checkpoint::CheckpointError, config::OperatorConfig, facts::Facts, validate::ValidatedComponent,
};

/// The account of planners.
pub const PLANNER_ACCOUNT: &str = "planner-serviceaccount";
/// The account of endpoint pickers.
pub const EPP_ACCOUNT: &str = "epp-serviceaccount";

/// The value of `componentType`. Any other text is accepted and gets base defaults only (`api.md` section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentType {
    Frontend,
    Worker,
    Prefill,
    Decode,
    Planner,
    Epp,
    Other,
}

/// What a component type means for defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Frontend,
    Worker,
    Planner,
    Epp,
    Plain,
}

impl ComponentType {
    #[must_use]
    pub fn of(spec: &SharedSpec) -> Self {
        match spec.component_type.as_deref().unwrap_or_default() {
            "frontend" => Self::Frontend,
            "worker" => Self::Worker,
            "prefill" => Self::Prefill,
            "decode" => Self::Decode,
            "planner" => Self::Planner,
            "epp" => Self::Epp,
            _ => Self::Other,
        }
    }

    /// The account that the type brings along.
    #[must_use]
    pub fn account(self) -> Option<&'static str> {
        match self {
            Self::Planner => Some(PLANNER_ACCOUNT),
            Self::Epp => Some(EPP_ACCOUNT),
            _ => None,
        }
    }
}

impl Role {
    #[must_use]
    pub fn of(component_type: ComponentType) -> Self {
        match component_type {
            ComponentType::Frontend => Self::Frontend,
            ComponentType::Worker | ComponentType::Prefill | ComponentType::Decode => Self::Worker,
            ComponentType::Planner => Self::Planner,
            ComponentType::Epp => Self::Epp,
            ComponentType::Other => Self::Plain,
        }
    }
}

/// Every object that a component owns.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentObjects {
    pub deployment: Deployment,
    /// The debug pod beside the others (`workload.md` section 6.9).
    pub debug_deployment: Option<Deployment>,
    /// The component's own Service first, then those of the debug pod.
    pub services: Vec<Service>,
    /// The Service of the model, which all components share that serve it.
    pub model_service: Option<Service>,
    pub ingress: Option<Ingress>,
    pub virtual_service: Option<VirtualService>,
}

/// A pod spec could not be put together from what the user wrote.
#[derive(Debug, thiserror::Error)]
#[error("spec.extraPodSpec cannot be merged over the built-in pod: {0}")]
pub struct MergeError(#[from] serde_json::Error);

/// Why the objects of a component cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Renders the objects of a component. `facts` are those of its namespace.
///
/// # Errors
/// When the merged pod does not fit its type, or its checkpoint cannot be used; the message names the offending field.
pub fn build_objects(
    component: &ValidatedComponent<'_>,
    config: &OperatorConfig,
    facts: &Facts,
) -> Result<ComponentObjects, BuildError> {
    Ok(ComponentObjects {
        deployment: deployment::build_deployment(component, config, facts)?,
        debug_deployment: None,
        services: vec![service::build_service(component, config)],
        model_service: model_service::build_model_service(component, facts),
        ingress: ingress::build_ingress(component, config),
        virtual_service: virtual_service::build_virtual_service(component, config),
    })
}
