//! Names derived from a graph and its services (`workload.md` section 2), and what Kubernetes takes as a name.
//! Predicates only: which field a name comes from is known to validation.

use dynamo_api::v1alpha1::SharedSpec;
use sha2::{Digest, Sha256};

/// Longest name of a Service, label value and most other names here.
pub const LABEL_LIMIT: usize = 63;
/// Longest name of objects that are no DNS label.
const SUBDOMAIN_LIMIT: usize = 253;
/// Longest sum of the names of a PodCliqueSet, a scaling group and a clique (`multinode.md` section 4.5).
pub const GROVE_LIMIT: usize = 45;
/// The Dynamo namespace that services with `globalDynamoNamespace` share.
pub const GLOBAL_DYNAMO_NAMESPACE: &str = "dynamo";

/// Name of the component deployment of a service, which is also that of its Deployment and its Service.
#[must_use]
pub fn component(graph: &str, service: &str) -> String {
    format!("{graph}-{}", service.to_lowercase())
}

/// Names whose lengths Grove adds up: the set and the clique, with a scaling group between them for several nodes.
#[must_use]
pub fn grove_parts(graph: &str, service: &str, several_nodes: bool) -> Vec<String> {
    let service = service.to_lowercase();
    if several_nodes {
        vec![graph.to_owned(), service.clone(), format!("{service}-ldr")]
    } else {
        vec![graph.to_owned(), service]
    }
}

/// Dynamo namespace of a graph's services.
#[must_use]
pub fn dynamo_namespace(namespace: &str, graph: &str) -> String {
    format!("{namespace}-{graph}")
}

/// Dynamo namespace of one service of a graph.
#[must_use]
pub fn dynamo_namespace_of(namespace: &str, graph: &str, service: &SharedSpec) -> String {
    match service.global_dynamo_namespace {
        true => GLOBAL_DYNAMO_NAMESPACE.to_owned(),
        false => dynamo_namespace(namespace, graph),
    }
}

/// Account of the pods under Kubernetes discovery.
#[must_use]
pub fn discovery_account(graph: &str) -> String {
    format!("{graph}-k8s-service-discovery")
}

/// Role of the discovery account.
#[must_use]
pub fn discovery_role(graph: &str) -> String {
    format!("{}-role", discovery_account(graph))
}

/// Binding of the discovery account to its role.
#[must_use]
pub fn discovery_binding(graph: &str) -> String {
    format!("{}-binding", discovery_account(graph))
}

/// ConfigMap with the configuration of a graph's endpoint picker.
#[must_use]
pub fn picker_config(graph: &str) -> String {
    format!("{graph}-epp-config")
}

/// InferencePool of a graph's endpoint picker.
#[must_use]
pub fn picker_pool(graph: &str) -> String {
    format!("{graph}-pool")
}

/// Name of the profiling Job of a request (`api.md` section 7).
#[must_use]
pub fn profiling_job(request: &str) -> String {
    format!("profile-{request}")
}

/// First eight hex digits of the SHA-256 of a model's name: the value of its label.
#[must_use]
pub fn model_hash(model: &str) -> String {
    Sha256::digest(model.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Name of the Service that all components of a namespace share which serve the model.
#[must_use]
pub fn model_service(model: &str) -> String {
    format!("dynamo-model-{}", model_hash(model))
}

fn is_dns(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    !text.is_empty() && inner && !text.starts_with('-') && !text.ends_with('-')
}

/// A DNS label: at most 63 characters of a-z, 0-9 and `-`, with a letter or digit at both ends.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= LABEL_LIMIT && is_dns(text)
}

/// DNS labels joined by dots, at most 253 characters: the name of most objects.
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= SUBDOMAIN_LIMIT && text.split('.').all(is_dns)
}

/// The name of a Service: a DNS label that begins with a letter.
#[must_use]
pub fn is_service_name(text: &str) -> bool {
    is_dns_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// A label value: at most 63 characters of letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; or
/// nothing.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified_part(text)
}

fn is_qualified_part(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= LABEL_LIMIT && inner && text.starts_with(ends) && text.ends_with(ends)
}

/// The key of a label or the name of a resource: a part like a label value, with or without a DNS subdomain and a `/`
/// before it.
#[must_use]
pub fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_qualified_part(name),
        None => is_qualified_part(text),
    }
}

/// The name of a port: at most 15 characters of a-z, 0-9 and `-`, with a letter, and no `-` at the ends or twice.
#[must_use]
pub fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_dns(text)
        && !text.contains("--")
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_hash_is_the_start_of_its_sha256() {
        assert_eq!(model_hash("Qwen/Qwen3-0.6B"), "fb68f5a6");
    }

    #[test]
    fn names_that_the_api_server_would_refuse_are_refused_here() {
        for bad in ["1a", "a_b", "a.b", "a-", "", "-a", "A", &"a".repeat(64)] {
            assert!(!is_service_name(bad), "{bad}");
        }
        assert!(is_service_name(&"a".repeat(63)));
        assert!(is_dns_label("1a") && !is_dns_label("a.b"));
        assert!(is_dns_subdomain("a.1b-c") && !is_dns_subdomain("a..b") && !is_dns_subdomain(".a"));
        for bad in ["-a", "a b", "a/b", &"a".repeat(64)] {
            assert!(!is_label_value(bad), "{bad}");
        }
        assert!(is_label_value("") && is_label_value("A_b.c"));
        for bad in ["", "/a", "a/", "A/b", "a/b/c", "a b"] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
        assert!(is_qualified_name("nvidia.com/A_b") && is_qualified_name("team"));
        for bad in ["", "8080", "a--b", "abcdefghijklmnop", "A"] {
            assert!(!is_port_name(bad), "{bad}");
        }
        assert!(is_port_name("http-2"));
    }
}
