//! The hash of an identity, by which two services know that they can share a checkpoint (`api.md` section 10).
//! It must be the reference's to the digit: checkpoints on disk are named by it.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::CheckpointIdentity;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The fields in the order in which they are hashed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hashed<'a> {
    model: &'a str,
    backend_framework: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    dynamo_version: &'a str,
    tensor_parallel_size: i32,
    pipeline_parallel_size: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    dtype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_model_len: Option<i32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra_parameters: &'a BTreeMap<String, String>,
}

/// First 16 hex digits of the SHA-256 of the identity as compact JSON.
#[must_use]
pub fn identity_hash(identity: &CheckpointIdentity) -> String {
    fn text(value: &Option<String>) -> &str {
        value.as_deref().unwrap_or_default()
    }
    let hashed = Hashed {
        model: &identity.model,
        backend_framework: identity.backend_framework.as_str(),
        dynamo_version: text(&identity.dynamo_version),
        tensor_parallel_size: degree(identity.tensor_parallel_size),
        pipeline_parallel_size: degree(identity.pipeline_parallel_size),
        dtype: text(&identity.dtype),
        max_model_len: identity.max_model_len.filter(|length| *length != 0),
        extra_parameters: &identity.extra_parameters,
    };
    // A structure of texts and numbers always has a JSON form.
    let json = escape(&serde_json::to_string(&hashed).unwrap_or_default());
    Sha256::digest(json.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn degree(given: i32) -> i32 {
    if given == 0 { 1 } else { given }
}

/// Go escapes these in the texts of JSON. Outside of texts they do not occur.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use dynamo_api::v1alpha1::BackendFramework;

    use super::*;

    fn qwen() -> CheckpointIdentity {
        CheckpointIdentity {
            model: "Qwen/Qwen3-0.6B".to_owned(),
            backend_framework: BackendFramework::Vllm,
            ..CheckpointIdentity::default()
        }
    }

    fn sha(json: &str) -> String {
        Sha256::digest(json.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_vector_of_the_contract_has_its_hash() {
        assert_eq!(identity_hash(&qwen()), "73e74442beb109ed");
    }

    #[test]
    fn what_is_empty_or_a_default_makes_no_difference() {
        let said = CheckpointIdentity {
            dynamo_version: Some(String::new()),
            tensor_parallel_size: 0,
            pipeline_parallel_size: 0,
            dtype: Some(String::new()),
            max_model_len: Some(0),
            ..qwen()
        };
        assert_eq!(identity_hash(&said), identity_hash(&qwen()));
    }

    #[test]
    fn every_field_counts_in_the_order_of_the_contract_and_is_escaped_as_go_does() {
        let full = CheckpointIdentity {
            model: "a<b>&\"c\u{2028}".to_owned(),
            dynamo_version: Some("0.9.0".to_owned()),
            tensor_parallel_size: 2,
            pipeline_parallel_size: 3,
            dtype: Some("bf16".to_owned()),
            max_model_len: Some(8192),
            extra_parameters: BTreeMap::from([
                ("quant".to_owned(), "none".to_owned()),
                ("b".to_owned(), "ü".to_owned()),
            ]),
            ..qwen()
        };
        let json = r#"{"model":"a\u003cb\u003e\u0026\"c\u2028","backendFramework":"vllm","dynamoVersion":"0.9.0","tensorParallelSize":2,"pipelineParallelSize":3,"dtype":"bf16","maxModelLen":8192,"extraParameters":{"b":"ü","quant":"none"}}"#;
        assert_eq!(identity_hash(&full), sha(json));
    }
}
