//! Rules of one component, alike for a service of a graph and a component deployment.
//! What comes out is known to render.

use std::collections::BTreeMap;

use dynamo_api::{
    labels::{self, annotations},
    v1alpha1::{BackendFramework, DynamoComponentDeployment, Pvc, SharedSpec},
};

use super::{FieldErrors, Kind, Policy, Rule, Verdict, claims, epp, pod, resources, rollout, texts};
use crate::{
    backend,
    component::{ComponentType, ingress, pod::merge_main, virtual_service},
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

/// Where a shared spec stands.
pub(super) struct Place<'a> {
    /// `spec`, or `spec.services[<name>]`.
    pub field: &'a str,
    pub kind: Kind,
    pub policy: &'a Policy<'a>,
    /// The value of the label by which the Deployment finds its pods.
    pub selector: &'a str,
    /// The Dynamo namespace that the pods get.
    pub dynamo_namespace: &'a str,
    /// The claims of the graph.
    pub pvcs: &'a [Pvc],
}

/// Checks a component deployment.
///
/// # Errors
/// Every broken rule, with paths under `spec`; the same ones as of [`super::Judged::on_create`].
pub fn component<'a>(
    dcd: &'a DynamoComponentDeployment,
    policy: &Policy<'_>,
) -> Result<ValidatedComponent<'a>, FieldErrors> {
    static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();
    let mut verdict = Verdict::default();
    let backend = judge(dcd, policy, &mut verdict);
    let spec = &dcd.spec.shared;
    verdict.into_result(ValidatedComponent {
        name: dcd.metadata.name.as_deref().unwrap_or_default(),
        namespace: dcd.metadata.namespace.as_deref().unwrap_or_default(),
        spec,
        metadata_labels: dcd.metadata.labels.as_ref().unwrap_or(&NO_LABELS),
        component_type: ComponentType::of(spec),
        backend,
        graph: owner(dcd),
        dynamo_namespace: spec.dynamo_namespace.as_deref().unwrap_or_default(),
    })
}

/// Name of the graph that owns a component, or nothing (`api.md` section 13). One that was made for a graph and lost it
/// (`kubectl delete --cascade=orphan`) keeps its name: with another one its pods would all be replaced.
fn owner(dcd: &DynamoComponentDeployment) -> &str {
    let mut owners = dcd.metadata.owner_references.iter().flatten();
    if let Some(owner) = owners.find(|owner| owner.kind == Kind::Graph.as_str()) {
        return &owner.name;
    }
    let was_made =
        dcd.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(annotations::LAST_APPLIED_HASH));
    let label = dcd.spec.shared.labels.get(labels::GRAPH_NAME).filter(|_| was_made);
    label.map_or("", String::as_str)
}

/// Returns the backend that the component runs.
pub(super) fn judge(
    dcd: &DynamoComponentDeployment,
    policy: &Policy<'_>,
    verdict: &mut Verdict,
) -> Option<BackendFramework> {
    let spec = &dcd.spec.shared;
    let name = dcd.metadata.name.as_deref().unwrap_or_default();
    if !names::is_service_name(name) {
        verdict.invalid(Rule::ServiceNameInvalid, "metadata.name", name, texts::SERVICE_NAME);
    }
    rollout::check_discovery("spec.annotations", &spec.annotations, verdict);
    if let Some(service) = spec.service_name.as_deref().filter(|name| !names::is_label_value(name)) {
        verdict.invalid(Rule::LabelValueInvalid, "spec.serviceName", service, texts::LABEL_VALUE);
    }
    match spec.dynamo_namespace.as_deref().unwrap_or_default() {
        "" => verdict.missing(
            Rule::DynamoNamespaceMissing,
            "spec.dynamoNamespace",
            "is required in a component deployment: set it to the Dynamo namespace its pods register in",
        ),
        value if !names::is_label_value(value) => {
            verdict.invalid(Rule::LabelValueInvalid, "spec.dynamoNamespace", value, texts::LABEL_VALUE);
        }
        _ => {}
    }
    let dynamo_namespace = if spec.global_dynamo_namespace {
        names::GLOBAL_DYNAMO_NAMESPACE.to_owned()
    } else {
        names::dynamo_namespace(dcd.metadata.namespace.as_deref().unwrap_or_default(), owner(dcd))
    };
    let place = Place {
        field: "spec",
        kind: Kind::Component,
        policy,
        selector: name,
        dynamo_namespace: &dynamo_namespace,
        pvcs: &[],
    };
    shared(&place, spec, dcd.spec.backend_framework.as_ref(), verdict)
}

/// The rules of the shared spec; returns the backend that the component runs.
pub(super) fn shared(
    place: &Place<'_>,
    spec: &SharedSpec,
    graph_backend: Option<&BackendFramework>,
    verdict: &mut Verdict,
) -> Option<BackendFramework> {
    let field = place.field;
    // One that cannot be merged is an error of rendering, which names its field.
    let main = merge_main(spec).ok();
    texts::check_service(place, spec, verdict);
    rollout::check(place, spec, verdict);
    check_deprecated(place, spec, verdict);
    if let Some(resources) = main.as_ref().and_then(|main| main.resources.as_ref()) {
        resources::check_main(field, spec, resources, verdict);
    }
    pod::check_variables(&format!("{field}.envs"), &spec.envs, verdict);
    if let Some(secret) = spec.env_from_secret.as_deref().filter(|name| !names::is_dns_subdomain(name)) {
        let field = format!("{field}.envFromSecret");
        verdict.invalid(Rule::SecretNameInvalid, field, secret, texts::SUBDOMAIN);
    }
    let backend = match backend::of(spec, graph_backend) {
        Ok(backend) => backend,
        Err(contradiction) => {
            let field = format!("{field}.extraPodSpec.mainContainer");
            let rule = match contradiction {
                backend::Contradiction::Mismatch { .. } => Rule::BackendMismatch,
                backend::Contradiction::Several(_) => Rule::BackendAmbiguous,
            };
            verdict.missing(rule, field, &contradiction.to_string());
            None
        }
    };
    claims::check_mounts(place, spec, backend.as_ref(), verdict);
    check_ingress(place, spec, verdict);
    check_shared_memory(field, spec, verdict);
    pod::check(place, spec, main.as_ref(), verdict);
    if let Some(replicas) = spec.replicas.filter(|replicas| *replicas < 0) {
        // The words of the contract come first: clients look for them.
        let words = format!("must be non-negative, not {replicas}");
        verdict.missing(Rule::ReplicasNegative, format!("{field}.replicas"), &words);
    }
    epp::check(place, spec, verdict);
    backend
}

fn check_deprecated(place: &Place<'_>, spec: &SharedSpec, verdict: &mut Verdict) {
    let field = place.field;
    let value = spec.dynamo_namespace.as_deref().unwrap_or_default();
    // A component deployment must give one: nothing is replaced when it is the computed one.
    if !value.is_empty() && (place.kind == Kind::Graph || value != place.dynamo_namespace) {
        let computed = place.dynamo_namespace;
        let advice = if place.kind == Kind::Graph {
            "leave it out"
        } else {
            "pods get the latter, but the field is required here"
        };
        let words = format!(
            "is deprecated and ignored. Value '{value}' will be replaced with '{computed}': {advice}"
        );
        verdict.missing(Rule::DynamoNamespaceIgnored, format!("{field}.dynamoNamespace"), &words);
    }
    if spec.autoscaling.is_some() {
        let words = "is deprecated and ignored. Set scalingAdapter.enabled and let HPA, KEDA or the Planner scale the \
                     DynamoGraphDeploymentScalingAdapter";
        verdict.missing(Rule::AutoscalingIgnored, format!("{field}.autoscaling"), words);
    }
    resources::check_ignored(field, spec, verdict);
}

fn check_ingress(place: &Place<'_>, spec: &SharedSpec, verdict: &mut Verdict) {
    let Some(asked) = spec.ingress.as_ref().filter(|ingress| ingress.enabled) else { return };
    let field = format!("{}.ingress", place.field);
    if asked.host.as_deref().unwrap_or_default().is_empty() {
        let words = "is required when ingress is enabled";
        verdict.missing(Rule::IngressHostMissing, format!("{field}.host"), words);
    }
    let has_class = ingress::class_name(asked).is_some();
    if !has_class && virtual_service::gateway(asked, place.policy.config).is_none() {
        let words = "is enabled without effect: give ingressControllerClassName, or useVirtualService and \
                     virtualServiceGateway where the operator has a gateway";
        verdict.missing(Rule::IngressIgnored, field, words);
        // No object is made, and nothing reads what is below.
        return;
    }
    let host = ingress::host_name(asked);
    if asked.host.is_some() && !names::is_dns_subdomain(host.strip_prefix("*.").unwrap_or(&host)) {
        let words = "the host name must be a DNS subdomain: hostPrefix, host, '.' and hostSuffix together, of a-z, 0-9, \
                     '-' and '.'";
        verdict.invalid(Rule::IngressHostInvalid, &field, &host, words);
    }
    texts::check_labels(&format!("{field}.labels"), &asked.labels, verdict);
    texts::check_annotations(&format!("{field}.annotations"), &asked.annotations, verdict);
    let secret = asked.tls.as_ref().and_then(|tls| tls.secret_name.as_deref()).filter(|_| has_class);
    if let Some(secret) = secret.filter(|name| !names::is_dns_subdomain(name)) {
        let field = format!("{field}.tls.secretName");
        verdict.invalid(Rule::SecretNameInvalid, field, secret, texts::SUBDOMAIN);
    }
}

fn check_shared_memory(field: &str, spec: &SharedSpec, verdict: &mut Verdict) {
    let Some(memory) = spec.shared_memory.as_ref().filter(|memory| !memory.disabled) else { return };
    let field = format!("{field}.sharedMemory.size");
    match &memory.size {
        None => {
            verdict.missing(Rule::SharedMemorySizeMissing, field, "is required when disabled is false");
        }
        Some(size) => resources::check_size(field, &size.0, verdict),
    }
}
