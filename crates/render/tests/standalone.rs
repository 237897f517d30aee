//! Component deployments written by hand, without a graph (`workload.md` section 4.2).
//! Only what differs from a component of a graph; the golden layer has the rest.
#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use dynamo_api::v1alpha1::DynamoComponentDeployment;
use dynamo_render::{Facts, OperatorConfig, Policy, component, config::DiscoveryBackend, validate};
use serde_json::{Value, json};

fn by_hand(spec: &Value) -> DynamoComponentDeployment {
    let mut manifest = json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoComponentDeployment",
        "metadata": {"name": "lone-worker", "namespace": "demo"},
        "spec": {
            "componentType": "worker",
            "extraPodSpec": {"mainContainer": {"image": "example.com/engine:1"}},
        },
    });
    for (key, value) in spec.as_object().unwrap() {
        manifest["spec"][key] = value.clone();
    }
    serde_json::from_value(manifest).unwrap()
}

#[test]
fn a_component_without_a_dynamo_namespace_is_refused_by_the_name_of_the_field() {
    let errors = {
        let config = OperatorConfig::default();
        validate::component(&by_hand(&json!({"serviceName": "Worker"})), &Policy::stateless(&config))
            .unwrap_err()
    };
    assert_eq!(
        errors.to_string(),
        "spec.dynamoNamespace is required in a component deployment: set it to the Dynamo namespace its pods \
         register in"
    );
}

#[test]
fn a_component_of_no_graph_renders_with_the_labels_its_user_gave() {
    let dcd = by_hand(&json!({
        "serviceName": "Worker",
        "dynamoNamespace": "mine",
        "labels": {"nvidia.com/dynamo-component": "Worker", "nvidia.com/dynamo-namespace": "mine"},
    }));
    let config = OperatorConfig { discovery_backend: DiscoveryBackend::Etcd, ..OperatorConfig::default() };
    let mut built = component::build_objects(
        &validate::component(&dcd, &Policy::stateless(&config)).unwrap(),
        &config,
        &Facts::default(),
    )
    .unwrap();

    let template = built.deployment.spec.unwrap().template;
    let env = template.spec.unwrap().containers.remove(0).env.unwrap();
    let value = |name: &str| env.iter().find(|variable| variable.name == name).unwrap().value.clone();
    assert_eq!(value("DYN_NAMESPACE").unwrap(), "demo-", "the empty name of the graph (section 4.2)");
    assert_eq!(value("DYN_PARENT_DGD_K8S_NAME").unwrap(), "");

    let pod_labels = template.metadata.unwrap().labels.unwrap();
    for (key, value) in built.services.remove(0).spec.unwrap().selector.unwrap() {
        assert_eq!(pod_labels.get(&key), Some(&value), "the Service finds its pods by {key}");
    }
}

#[test]
fn pods_of_no_graph_use_the_account_of_the_namespace_that_is_labelled_for_them() {
    let dcd = by_hand(&json!({"serviceName": "Worker", "dynamoNamespace": "mine"}));
    let facts = Facts { component_account: Some("engine".to_owned()), ..Facts::default() };
    for (facts, account) in [(Facts::default(), "default"), (facts, "engine")] {
        // Under Kubernetes discovery as well: without a graph there is no discovery account.
        let config = OperatorConfig::default();
        let valid = validate::component(&dcd, &Policy::stateless(&config)).unwrap();
        let built = component::build_objects(&valid, &config, &facts).unwrap();
        let pod = built.deployment.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.service_account_name.as_deref(), Some(account));
    }
}
