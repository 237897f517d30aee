//! Rules of one component, alike for a service of a graph and a component deployment.
//! What comes out is known to render.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::{BackendFramework, DynamoComponentDeployment, SharedSpec};

use super::{FieldError, FieldErrors, quantities};
use crate::{
    backend,
    component::{ComponentType, Role},
    names,
};

/// A component deployment that met every rule, with what was parsed on the way.
#[derive(Debug, Clone)]
pub struct ValidatedComponent<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub spec: &'a SharedSpec,
    pub metadata_labels: &'a BTreeMap<String, String>,
    pub component_type: ComponentType,
    pub backend: Option<BackendFramework>,
    /// Name of the graph that owns it; empty for one written by hand.
    pub graph: &'a str,
    /// Kept apart from the spec because it decides the selector of the Service.
    pub dynamo_namespace: &'a str,
}

/// Checks a component deployment.
///
/// # Errors
/// Every broken rule, with paths under `spec`.
pub fn component<'a>(dcd: &'a DynamoComponentDeployment) -> Result<ValidatedComponent<'a>, FieldErrors> {
    static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();
    let mut errors = FieldErrors::default();
    let spec = &dcd.spec.shared;
    let name = dcd.metadata.name.as_deref().unwrap_or_default();
    errors.check(names::check_service_name("metadata.name", name));
    let backend = shared("spec", spec, dcd.spec.backend_framework.as_ref(), &mut errors);
    let graph = dcd
        .metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.kind == "DynamoGraphDeployment")
        .map_or("", |owner| owner.name.as_str());
    let dynamo_namespace = spec.dynamo_namespace.as_deref().unwrap_or_default();
    if dynamo_namespace.is_empty() {
        errors.push(FieldError::missing(
            "spec.dynamoNamespace",
            "is required in a component deployment: set it to the Dynamo namespace its pods register in",
        ));
    } else {
        errors.check(names::check_label_value("spec.dynamoNamespace", dynamo_namespace));
    }
    errors.into_result(ValidatedComponent {
        name,
        namespace: dcd.metadata.namespace.as_deref().unwrap_or_default(),
        spec,
        metadata_labels: dcd.metadata.labels.as_ref().unwrap_or(&NO_LABELS),
        component_type: ComponentType::of(spec),
        backend,
        graph,
        dynamo_namespace,
    })
}

/// The rules of the shared spec under `field`; returns the backend that the component runs.
pub(super) fn shared(
    field: &str,
    spec: &SharedSpec,
    graph_backend: Option<&BackendFramework>,
    errors: &mut FieldErrors,
) -> Option<BackendFramework> {
    if spec.replicas.is_some_and(|replicas| replicas < 0) {
        let replicas = spec.replicas.unwrap_or_default().to_string();
        // The words of the contract come first: clients look for them.
        let rule = format!("must be non-negative, not {replicas}");
        errors.push(FieldError::missing(format!("{field}.replicas"), rule));
    }
    check_image(field, spec, errors);
    if let Some(resources) = &spec.resources {
        quantities::check(&format!("{field}.resources"), resources, errors);
    }
    check_shared_memory(field, spec, errors);
    if let Some(ingress) = spec.ingress.as_ref().filter(|ingress| ingress.enabled)
        && ingress.host.as_deref().unwrap_or_default().is_empty()
    {
        errors.push(FieldError::missing(
            format!("{field}.ingress.host"),
            "is required when ingress is enabled",
        ));
    }
    let backend = match backend::of(spec, graph_backend) {
        Ok(backend) => backend,
        Err(rule) => {
            errors.push(FieldError::missing(format!("{field}.extraPodSpec.mainContainer"), rule));
            None
        }
    };
    check_volume_mounts(field, spec, backend.as_ref(), errors);
    backend
}

fn check_image(field: &str, spec: &SharedSpec, errors: &mut FieldErrors) {
    let pod = spec.extra_pod_spec.as_ref();
    let image = pod.and_then(|pod| pod.main_container.as_ref()?.image.as_deref());
    if image.unwrap_or_default().is_empty() {
        errors.push(FieldError::missing(
            format!("{field}.extraPodSpec.mainContainer.image"),
            "is required: there is no default image",
        ));
    }
}

fn check_shared_memory(field: &str, spec: &SharedSpec, errors: &mut FieldErrors) {
    let Some(memory) = spec.shared_memory.as_ref().filter(|memory| !memory.disabled) else { return };
    let field = format!("{field}.sharedMemory.size");
    match &memory.size {
        None => errors.push(FieldError::missing(field, "is required when disabled is false")),
        Some(size) if !quantities::is_quantity(&size.0) => {
            errors.push(FieldError::new(field, &size.0, "is not a quantity, such as \"16Gi\""));
        }
        Some(_) => {}
    }
}

fn check_volume_mounts(
    field: &str,
    spec: &SharedSpec,
    backend: Option<&BackendFramework>,
    errors: &mut FieldErrors,
) {
    let has_cache_default =
        Role::of(ComponentType::of(spec)) == Role::Worker && backend == Some(&BackendFramework::Vllm);
    let mut taken = BTreeMap::new();
    for (at, mount) in spec.volume_mounts.iter().enumerate() {
        let field = format!("{field}.volumeMounts[{at}]");
        if mount.name.is_empty() {
            errors.push(FieldError::missing(format!("{field}.name"), "is required: the name of the claim"));
        }
        let point = mount.mount_point.as_deref().unwrap_or_default();
        if let Some(other) =
            taken.insert(point, &mount.name).filter(|other| !point.is_empty() && *other != &mount.name)
        {
            let rule = format!("is already taken by {other}: each claim needs a place of its own");
            errors.push(FieldError::new(format!("{field}.mountPoint"), point, rule));
        }
        if point.is_empty() {
            if !mount.use_as_compilation_cache {
                errors.push(FieldError::missing(
                    format!("{field}.mountPoint"),
                    "is required when useAsCompilationCache is false",
                ));
            } else if !has_cache_default {
                errors.push(FieldError::missing(
                    format!("{field}.mountPoint"),
                    "is required: only the vllm backend has a default place for its compilation cache",
                ));
            }
        }
    }
}
