//! Names derived from a graph and its services (`workload.md` section 2), with their limits.
//! Parsed once at the edge, so that no later step can meet a name the API server refuses.

use sha2::{Digest, Sha256};

use crate::validate::FieldError;

/// Longest name of a Service, label value and most other names here.
pub const LABEL_LIMIT: usize = 63;
/// The Dynamo namespace that services with `globalDynamoNamespace` share.
pub const GLOBAL_DYNAMO_NAMESPACE: &str = "dynamo";

/// Name of the component deployment of a service, which is also that of its Deployment and its Service.
#[must_use]
pub fn component(graph: &str, service: &str) -> String {
    format!("{graph}-{}", service.to_lowercase())
}

/// Dynamo namespace of a graph's services.
#[must_use]
pub fn dynamo_namespace(namespace: &str, graph: &str) -> String {
    format!("{namespace}-{graph}")
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

/// First eight hex digits of the SHA-256 of a model's name: the value of its label.
#[must_use]
pub fn model_hash(model: &str) -> String {
    Sha256::digest(model.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Checks a derived Service name: a DNS label that starts with a letter, at most 63 characters.
///
/// # Errors
/// Names the field it derives from, the derived name and the rule.
pub fn check_service_name(field: &str, name: &str) -> Result<(), FieldError> {
    let letter_first = name.starts_with(|c: char| c.is_ascii_lowercase());
    let allowed = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if name.len() <= LABEL_LIMIT && letter_first && allowed && !name.ends_with('-') {
        return Ok(());
    }
    Err(FieldError::new(
        field,
        name,
        "the derived name of the Service must be at most 63 characters of a-z, 0-9 and '-', begin with a letter and \
         not end with '-'",
    ))
}

/// Checks a derived label value: at most 63 characters of letters, digits, `-`, `_` and `.`, with a letter or digit
/// at both ends.
///
/// # Errors
/// Names the field it derives from, the derived value and the rule.
pub fn check_label_value(field: &str, value: &str) -> Result<(), FieldError> {
    let inner = value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let ends = value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.ends_with(|c: char| c.is_ascii_alphanumeric());
    if value.len() <= LABEL_LIMIT && inner && (ends || value.is_empty()) {
        return Ok(());
    }
    Err(FieldError::new(
        field,
        value,
        "becomes a label value: at most 63 characters of letters, digits, '-', '_' and '.', with a letter or digit at \
         both ends",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_hash_is_the_start_of_its_sha256() {
        assert_eq!(model_hash("Qwen/Qwen3-0.6B"), "fb68f5a6");
    }

    #[test]
    fn derived_names_that_the_api_server_would_refuse_are_refused_here() {
        for bad in ["1a", "a_b", "a.b", "a-", "", &"a".repeat(64)] {
            assert!(check_service_name("f", bad).is_err(), "{bad}");
        }
        assert!(check_service_name("f", &"a".repeat(63)).is_ok());
        for bad in ["-a", "a b", &"a".repeat(64)] {
            assert!(check_label_value("f", bad).is_err(), "{bad}");
        }
    }
}
