//! A validated graph becomes its component deployments and the accounts of its pods (`workload.md` sections 4, 10).
//! Owner references are not rendered here: they belong to whoever applies.

use std::collections::BTreeMap;

use dynamo_api::{
    labels::{self, annotations},
    v1alpha1::{
        DynamoCheckpoint, DynamoComponentDeployment, DynamoComponentDeploymentSpec, DynamoGraphDeployment,
        DynamoGraphDeploymentScalingAdapter, IngressSpec, IngressTls, RestartStatus, ServiceCheckpointStatus,
        SharedSpec,
    },
};
use k8s_openapi::{
    api::{
        core::v1::{EnvVar, ServiceAccount},
        rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{
    adapter, checkpoint,
    claims::{self, Claim},
    component::ComponentType,
    config::{DiscoveryBackend, IngressDefaults, OperatorConfig},
    deployment_config,
    facts::{GraphFacts, Origin},
    names, origin,
    parts::env,
    picker::{self, PickerObjects},
    restart,
    validate::ValidatedGraph,
};

/// Every object that a graph itself owns or needs, and what it says of a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphObjects {
    /// In the order of `spec.pvcs`.
    pub claims: Vec<Claim>,
    /// To be made, since they do not exist yet; owned by nobody.
    pub checkpoints: Vec<DynamoCheckpoint>,
    pub adapters: Vec<DynamoGraphDeploymentScalingAdapter>,
    /// Absent unless pods discover each other through Kubernetes.
    pub discovery: Option<DiscoveryObjects>,
    /// Absent without an endpoint picker.
    pub picker: Option<PickerObjects>,
    /// One per service, sorted by name.
    pub components: Vec<DynamoComponentDeployment>,
    /// What the status says of a restart.
    pub restart: Option<RestartStatus>,
    /// What the status says of the checkpoint of each service that uses one, by service.
    pub checkpoint_uses: BTreeMap<String, ServiceCheckpointStatus>,
}

/// The account of the pods and what it may do.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscoveryObjects {
    pub account: ServiceAccount,
    pub role: Role,
    pub binding: RoleBinding,
}

/// Renders the objects of a graph.
#[must_use]
pub fn build_objects(
    graph: &ValidatedGraph<'_>,
    config: &OperatorConfig,
    facts: &GraphFacts,
) -> GraphObjects {
    let uses_kubernetes = effective_backend(graph.graph.metadata.annotations.as_ref(), config)
        == DiscoveryBackend::Kubernetes.as_str();
    let restart = restart::plan(graph.graph, facts);
    let mut components: Vec<_> = graph
        .services
        .iter()
        .map(|(service, spec)| {
            build_component(graph, service, spec, config, facts, restart.restarted_at.get(service))
        })
        .collect();
    components.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    GraphObjects {
        claims: claims::build_claims(graph),
        checkpoints: checkpoint::build_missing(graph, &components, config, facts),
        adapters: adapter::build_adapters(graph, facts),
        discovery: uses_kubernetes.then(|| build_discovery(graph)),
        picker: picker::build_picker(graph),
        components,
        restart: restart.status,
        checkpoint_uses: checkpoint::describe_uses(graph, facts),
    }
}

/// The discovery backend in force: the annotation as it stands, even empty, else the operator's
/// (`workload.md` section 10).
pub fn effective_backend<'a>(
    annotations: Option<&'a BTreeMap<String, String>>,
    config: &OperatorConfig,
) -> &'a str {
    match annotations.and_then(|all| all.get(annotations::DISCOVERY_BACKEND)) {
        Some(value) => value,
        None => config.discovery_backend.as_str(),
    }
}

fn build_component(
    graph: &ValidatedGraph<'_>,
    service: &str,
    spec: &SharedSpec,
    config: &OperatorConfig,
    facts: &GraphFacts,
    restarted_at: Option<&String>,
) -> DynamoComponentDeployment {
    let mut shared = spec.clone();
    let dynamo_namespace = names::dynamo_namespace_of(graph.namespace, graph.name, spec);
    let component_labels = BTreeMap::from([
        (labels::COMPONENT.to_owned(), service.to_owned()),
        (labels::DYNAMO_NAMESPACE.to_owned(), dynamo_namespace.clone()),
        (labels::GRAPH_NAME.to_owned(), graph.name.to_owned()),
    ]);
    shared.service_name = Some(service.to_owned());
    shared.dynamo_namespace = Some(dynamo_namespace);
    inherit_annotations(&mut shared, graph.graph, facts.origin.as_ref());
    let ours = origin::is_ours(&shared.annotations);
    if !ours {
        // The reference drops them, and they would change the pods of its graphs.
        shared.labels.clear();
    }
    shared.labels.extend(component_labels.clone());
    if let Some(id) = restarted_at {
        shared.annotations.insert(annotations::RESTART_AT.to_owned(), id.clone());
    }
    shared.envs = merge_envs(&graph.graph.spec.envs, &spec.envs);
    let component_type = ComponentType::of(spec);
    // One that cannot be read did not pass validation.
    if let Ok(Some(own)) = deployment_config::read(service, component_type, &shared.envs) {
        own.apply(&mut shared);
    }
    if component_type == ComponentType::Frontend && shared.ingress.is_none() {
        shared.ingress = Some(default_ingress(graph.name, &config.ingress));
    }
    if component_type == ComponentType::Epp
        && let Some(config) = shared.epp_config.as_mut().and_then(|epp| epp.config.as_mut())
    {
        picker::force_type(config);
    }
    if component_type == ComponentType::Planner && !(ours && names_account(spec)) {
        let account = component_type.account().map(ToOwned::to_owned);
        shared.extra_pod_spec.get_or_insert_default().pod_spec.service_account_name = account;
    }
    DynamoComponentDeployment {
        metadata: ObjectMeta {
            name: Some(names::component(graph.name, service)),
            namespace: Some(graph.namespace.to_owned()),
            labels: Some(component_labels),
            ..ObjectMeta::default()
        },
        spec: DynamoComponentDeploymentSpec {
            backend_framework: graph.graph.spec.backend_framework.clone(),
            shared,
            ..DynamoComponentDeploymentSpec::default()
        },
        status: None,
    }
}

fn names_account(spec: &SharedSpec) -> bool {
    let Some(user) = &spec.extra_pod_spec else { return false };
    let named = [&user.pod_spec.service_account_name, &user.pod_spec.service_account];
    named.into_iter().flatten().any(|name| !name.is_empty())
}

/// The graph's own switches reach every component and win there (`workload.md` section 4.1). The origin is what the
/// components have, once there are some.
fn inherit_annotations(shared: &mut SharedSpec, graph: &DynamoGraphDeployment, origin: Option<&Origin>) {
    const INHERITED: [&str; 3] =
        [annotations::ENABLE_METRICS, annotations::DISCOVERY_BACKEND, annotations::ORIGIN_VERSION];
    let of_graph = graph.metadata.annotations.iter().flatten();
    let inherited = of_graph.filter(|(key, _)| INHERITED.contains(&key.as_str()));
    shared.annotations.extend(inherited.map(|(key, value)| (key.clone(), value.clone())));
    match origin {
        Some(Origin(Some(version))) => {
            shared.annotations.insert(annotations::ORIGIN_VERSION.to_owned(), version.clone());
        }
        Some(Origin(None)) => _ = shared.annotations.remove(annotations::ORIGIN_VERSION),
        None => {}
    }
}

/// Union by name in which the service's entry wins; left as written when the graph has none.
pub(crate) fn merge_envs(of_graph: &[EnvVar], of_service: &[EnvVar]) -> Vec<EnvVar> {
    if of_graph.is_empty() {
        return of_service.to_vec();
    }
    env::merge([of_graph, of_service])
}

fn default_ingress(graph: &str, defaults: &IngressDefaults) -> IngressSpec {
    let gateway = defaults.virtual_service_gateway.clone();
    IngressSpec {
        enabled: gateway.is_some() || defaults.class_name.is_some(),
        host: Some(graph.to_owned()),
        use_virtual_service: gateway.is_some(),
        virtual_service_gateway: gateway,
        host_suffix: defaults.host_suffix.clone(),
        ingress_controller_class_name: defaults.class_name.clone(),
        tls: defaults.tls_secret_name.clone().map(|name| IngressTls { secret_name: Some(name) }),
        ..IngressSpec::default()
    }
}

fn build_discovery(graph: &ValidatedGraph<'_>) -> DiscoveryObjects {
    let account = names::discovery_account(graph.name);
    let role = names::discovery_role(graph.name);
    let metadata = |name: &str| ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(graph.namespace.to_owned()),
        labels: Some(BTreeMap::from([
            (labels::APP_COMPONENT.to_owned(), "rbac".to_owned()),
            (labels::APP_NAME.to_owned(), account.clone()),
            (labels::MANAGED_BY.to_owned(), labels::OPERATOR.to_owned()),
        ])),
        ..ObjectMeta::default()
    };
    let rule = |group: &str, resource: &str, verbs: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(ToString::to_string).collect(),
        ..PolicyRule::default()
    };
    let read = ["get", "list", "watch"];
    let all = ["create", "get", "list", "watch", "update", "patch", "delete"];
    DiscoveryObjects {
        role: Role {
            metadata: metadata(&role),
            rules: Some(vec![
                rule("", "endpoints", &read),
                rule("discovery.k8s.io", "endpointslices", &read),
                rule("nvidia.com", "dynamoworkermetadatas", &all),
            ]),
        },
        binding: RoleBinding {
            metadata: metadata(&names::discovery_binding(graph.name)),
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".to_owned(),
                kind: "Role".to_owned(),
                name: role.clone(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: account.clone(),
                namespace: Some(graph.namespace.to_owned()),
                ..Subject::default()
            }]),
        },
        account: ServiceAccount { metadata: metadata(&account), ..ServiceAccount::default() },
    }
}
