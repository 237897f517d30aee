//! Rules of a whole graph: its services, the names derived from them, and what they need of the cluster.
//! What comes out is known to render.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_api::{
    labels::annotations,
    v1alpha1::{DynamoGraphDeployment, SharedSpec},
};

use super::{
    FieldErrors, Kind, Policy, Rule, Verdict, claims, component, configured, findings, pod, restart, rollout,
    texts,
};
use crate::{
    component::ComponentType,
    config::DiscoveryBackend,
    graph::effective_backend,
    names::{self, GROVE_LIMIT},
    version,
};

/// On a graph: `false` keeps it off Grove (`api.md` section 12).
const ENABLE_GROVE: &str = "nvidia.com/enable-grove";

/// A graph that met every rule.
#[derive(Debug, Clone)]
pub struct ValidatedGraph<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub graph: &'a DynamoGraphDeployment,
    pub services: &'a BTreeMap<String, SharedSpec>,
}

/// Checks a graph.
///
/// # Errors
/// Every broken rule, with paths under `spec` such as `spec.services[Worker].replicas`; the same ones as of
/// [`super::Judged::on_create`].
pub fn graph<'a>(
    dgd: &'a DynamoGraphDeployment,
    policy: &Policy<'_>,
) -> Result<ValidatedGraph<'a>, FieldErrors> {
    let mut verdict = Verdict::default();
    judge(dgd, policy, &mut verdict);
    verdict.into_result(ValidatedGraph {
        name: dgd.metadata.name.as_deref().unwrap_or_default(),
        namespace: dgd.metadata.namespace.as_deref().unwrap_or_default(),
        graph: dgd,
        services: &dgd.spec.services,
    })
}

pub(super) fn judge(dgd: &DynamoGraphDeployment, policy: &Policy<'_>, verdict: &mut Verdict) {
    let spec = &dgd.spec;
    check_metadata(dgd, policy, verdict);
    if spec.services.is_empty() {
        verdict.missing(Rule::ServicesMissing, "spec.services", "must have at least one service");
    }
    claims::check_pvcs(&spec.pvcs, verdict);
    pod::check_variables("spec.envs", &spec.envs, verdict);
    if let Some(restart) = &spec.restart {
        restart::check(restart, &spec.services, verdict);
    }
    check_services(dgd, policy, verdict);
}

fn check_metadata(dgd: &DynamoGraphDeployment, policy: &Policy<'_>, verdict: &mut Verdict) {
    let name = dgd.metadata.name.as_deref().unwrap_or_default();
    let namespace = dgd.metadata.namespace.as_deref().unwrap_or_default();
    let mut derived = Vec::new();
    if dgd.spec.services.values().any(|service| !service.global_dynamo_namespace) {
        derived.push(names::dynamo_namespace(namespace, name));
    }
    if effective_backend(dgd.metadata.annotations.as_ref(), policy.config)
        == DiscoveryBackend::Kubernetes.as_str()
    {
        derived.push(names::discovery_account(name));
    }
    for value in derived.iter().filter(|value| !names::is_label_value(value)) {
        verdict.invalid(Rule::GraphNameInvalid, "metadata.name", value, texts::LABEL_VALUE);
    }
    let own = dgd.metadata.annotations.iter().flatten();
    if let Some((key, value)) = own.clone().find(|(key, _)| *key == annotations::ORIGIN_VERSION)
        && version::parse(value).is_none()
    {
        let text = format!(
            "metadata.annotations: annotation {key} has invalid value {value:?}: must be valid semver, such as 0.9.0; leave it out to have \
             it set"
        );
        verdict.say(Rule::OriginVersionInvalid, "metadata.annotations", Some(value.clone()), text);
    }
    if let Some(all) = &dgd.metadata.annotations {
        rollout::check_discovery("metadata.annotations", all, verdict);
    }
}

fn check_services(dgd: &DynamoGraphDeployment, policy: &Policy<'_>, verdict: &mut Verdict) {
    let name = dgd.metadata.name.as_deref().unwrap_or_default();
    let namespace = dgd.metadata.namespace.as_deref().unwrap_or_default();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let mut epp: Option<&str> = None;
    let mut told = BTreeSet::new();
    for (service, shared) in &dgd.spec.services {
        if !names::is_label_value(service) {
            // Its paths could be of any length, and nothing of it will run.
            let field = format!("spec.services[{}]", findings::cut(service.clone(), names::LABEL_LIMIT));
            verdict.invalid(Rule::LabelValueInvalid, field, service, texts::LABEL_VALUE);
            continue;
        }
        let field = format!("spec.services[{service}]");
        let derived = names::component(name, service);
        if !names::is_service_name(&derived) {
            verdict.invalid(Rule::ServiceNameInvalid, &field, &derived, texts::SERVICE_NAME);
        }
        if let Some(other) = taken.insert(derived.clone(), service) {
            let words =
                format!("is also the derived name of service {other}: names must differ in more than case");
            verdict.invalid(Rule::ServiceNameTaken, &field, &derived, &words);
        }
        check_grove_name(&field, name, service, dgd, verdict);
        if ComponentType::of(shared) == ComponentType::Epp
            && let Some(first) = epp.replace(service)
        {
            let words =
                format!("is epp like service {first}: a graph has at most one EPP component, take one out");
            verdict.invalid(Rule::EppRepeated, format!("{field}.componentType"), "epp", &words);
        }
        let dynamo_namespace = names::dynamo_namespace_of(namespace, name, shared);
        let place = component::Place {
            field: &field,
            kind: Kind::Graph,
            policy,
            selector: &derived,
            dynamo_namespace: &dynamo_namespace,
            pvcs: &dgd.spec.pvcs,
        };
        let configured = configured::service(dgd, service, shared, &mut told, verdict);
        component::shared(&place, &configured, dgd.spec.backend_framework.as_ref(), verdict);
    }
}

fn is_opted_out(dgd: &DynamoGraphDeployment) -> bool {
    let all = dgd.metadata.annotations.as_ref();
    all.and_then(|all| all.get(ENABLE_GROVE)).is_some_and(|value| value.eq_ignore_ascii_case("false"))
}

/// Grove counts the names of the set, the scaling group and the clique together (`multinode.md` 4.1, 4.5). No graph
/// uses Grove yet, so that this is advice for later.
fn check_grove_name(
    field: &str,
    graph: &str,
    service: &str,
    dgd: &DynamoGraphDeployment,
    verdict: &mut Verdict,
) {
    let nodes = dgd.spec.services.get(service).and_then(|spec| spec.multinode.as_ref());
    let parts = names::grove_parts(graph, service, nodes.is_some_and(|nodes| nodes.node_count > 1));
    let length: usize = parts.iter().map(String::len).sum();
    if length <= GROVE_LIMIT || is_opted_out(dgd) {
        return;
    }
    let words = format!(
        "makes the names {} with {length} characters together: Grove allows {GROVE_LIMIT} characters; shorten the \
         name of the graph or the service before it is to run under Grove",
        parts.join(" + ")
    );
    verdict.invalid(Rule::GroveNameLong, field, service, &words);
}
