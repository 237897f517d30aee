//! The words by which metrics count objects (`operator-process.md` 11), and what counts as a LoRA adapter.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use dynamo_api::v1alpha1::{
    DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest,
    DynamoGraphDeploymentScalingAdapter, DynamoModel, ModelType, State,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn state<K: DeserializeOwned + State>(status: &Value) -> String {
    let object: K = serde_json::from_value(json!({ "metadata": {}, "status": status })).expect("an object");
    object.state().to_owned()
}

#[test]
fn graphs_and_requests_are_counted_by_their_own_word_and_as_unknown_without_one() {
    for (status, word) in [
        (json!({ "state": "successful" }), "successful"),
        (json!({ "state": "Ready" }), "Ready"),
        (json!({ "state": "initializing" }), "initializing"),
        (json!({ "state": "" }), "unknown"),
        (json!({}), "unknown"),
        (Value::Null, "unknown"),
    ] {
        assert_eq!(state::<DynamoGraphDeployment>(&status), word, "{status}");
        assert_eq!(state::<DynamoGraphDeploymentRequest>(&status), word, "{status}");
    }
}

#[test]
fn a_component_is_ready_when_it_is_available() {
    let condition = |kind: &str, value: &str| json!({ "conditions": [{ "type": kind, "status": value }] });
    for (status, word) in [
        (condition("Available", "True"), "ready"),
        (condition("Available", "False"), "not_ready"),
        (condition("Available", "Unknown"), "not_ready"),
        (condition("DynamoComponentReady", "True"), "not_ready"),
        (Value::Null, "not_ready"),
    ] {
        assert_eq!(state::<DynamoComponentDeployment>(&status), word, "{status}");
    }
}

#[test]
fn a_model_is_ready_when_it_has_endpoints_and_all_are_ready() {
    for (status, word) in [
        (json!({ "totalEndpoints": 2, "readyEndpoints": 2 }), "ready"),
        (json!({ "totalEndpoints": 2, "readyEndpoints": 1 }), "not_ready"),
        (json!({ "totalEndpoints": 0, "readyEndpoints": 0 }), "not_ready"),
        (Value::Null, "not_ready"),
    ] {
        assert_eq!(state::<DynamoModel>(&status), word, "{status}");
    }
}

#[test]
fn an_adapter_is_ready_when_it_has_a_selector_and_replicas() {
    for (status, word) in [
        (json!({ "selector": "a=b", "replicas": 1 }), "ready"),
        (json!({ "selector": "a=b", "replicas": 0 }), "not_ready"),
        (json!({ "selector": "a=b" }), "not_ready"),
        (json!({ "selector": "", "replicas": 1 }), "not_ready"),
        (Value::Null, "not_ready"),
    ] {
        assert_eq!(state::<DynamoGraphDeploymentScalingAdapter>(&status), word, "{status}");
    }
}

#[test]
fn a_lora_is_one_in_any_case_of_letters() {
    for (text, lora) in [("lora", true), ("LoRA", true), ("LORA", true), ("adapter", false), ("base", false)]
    {
        assert_eq!(ModelType::parse(text).is_lora(), lora, "{text}");
    }
    assert!(!ModelType::default().is_lora());
}

#[test]
fn a_checkpoint_is_counted_by_its_phase() {
    for (status, word) in [
        (json!({ "phase": "Creating" }), "Creating"),
        (json!({ "phase": "" }), "unknown"),
        (Value::Null, "unknown"),
    ] {
        assert_eq!(state::<DynamoCheckpoint>(&status), word, "{status}");
    }
}
