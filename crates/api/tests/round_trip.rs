//! Reading an object and writing it back loses nothing a user said.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoComponentDeploymentSpec, DynamoGraphDeployment};
use serde_json::{Value, json};

#[test]
fn every_recorded_manifest_comes_back_as_it_was_written() {
    for (name, manifest) in support::recorded_graphs() {
        let graph: DynamoGraphDeployment =
            serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = serde_json::to_value(&graph).expect("JSON");
        assert_eq!(meaning(&written), meaning(&manifest), "{name}");
        let again: DynamoGraphDeployment = serde_json::from_value(written).expect("a graph");
        assert_eq!(again, graph, "{name} changes on its second way");
    }
}

#[test]
fn a_service_of_every_recorded_manifest_fits_a_component_deployment() {
    for (name, manifest) in support::recorded_graphs() {
        for (service, spec) in manifest["spec"]["services"].as_object().into_iter().flatten() {
            let mut spec = spec.clone();
            spec["backendFramework"] = json!("vllm");
            let object = json!({
                "apiVersion": "nvidia.com/v1alpha1",
                "kind": "DynamoComponentDeployment",
                "metadata": { "name": "it" },
                "spec": spec,
            });
            let component: DynamoComponentDeployment = serde_json::from_value(object.clone())
                .unwrap_or_else(|error| panic!("{name} {service}: {error}"));
            let written = serde_json::to_value(&component).expect("JSON");
            assert_eq!(meaning(&written), meaning(&object), "{name} {service}");
        }
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "one object that names every field")]
fn an_object_with_every_field_of_our_own_comes_back_whole() {
    let service = json!({
        "annotations": { "a": "1" },
        "labels": { "l": "1" },
        "serviceName": "Worker",
        "componentType": "worker",
        "subComponentType": "decode",
        "dynamoNamespace": "demo",
        "globalDynamoNamespace": true,
        "resources": {
            "requests": { "cpu": "1", "memory": "1Gi", "gpu": "1", "gpuType": "gpu.intel.com/xe", "custom": { "rdma/ib": "8" } },
            "limits": { "cpu": "1", "memory": "1Gi", "gpu": "1", "gpuType": "gpu.intel.com/xe", "custom": { "rdma/ib": "8" } },
            "claims": [{ "name": "c", "request": "r" }],
        },
        "autoscaling": {
            "enabled": true,
            "minReplicas": 1,
            "maxReplicas": 3,
            "behavior": { "scaleUp": { "stabilizationWindowSeconds": 3 } },
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Value", "value": 3 } } }],
        },
        "envs": [{ "name": "A", "value": "1" }],
        "envFromSecret": "s",
        "volumeMounts": [{ "name": "v", "mountPoint": "/v", "useAsCompilationCache": true }],
        "ingress": {
            "enabled": true,
            "host": "h",
            "useVirtualService": true,
            "virtualServiceGateway": "g",
            "hostPrefix": "p-",
            "annotations": { "a": "1" },
            "labels": { "l": "1" },
            "tls": { "secretName": "t" },
            "hostSuffix": "example.com",
            "ingressControllerClassName": "nginx",
        },
        "modelRef": { "name": "m", "revision": "r" },
        "sharedMemory": { "disabled": true, "size": "1Gi" },
        "extraPodMetadata": { "annotations": { "a": "1" }, "labels": { "l": "1" } },
        "extraPodSpec": {
            "mainContainer": { "image": "i", "args": ["a"] },
            "containers": [{ "name": "side", "image": "i" }],
            "nodeSelector": { "n": "1" },
        },
        "livenessProbe": { "httpGet": { "path": "/live", "port": "system" } },
        "readinessProbe": { "httpGet": { "path": "/health", "port": 8000 } },
        "replicas": 2,
        "multinode": { "nodeCount": 4 },
        "scalingAdapter": { "enabled": true },
        "eppConfig": {
            "configMapRef": { "name": "c", "key": "k", "optional": true },
            "config": {
                "apiVersion": "v",
                "kind": "EndpointPickerConfig",
                "featureGates": ["f"],
                "plugins": [{ "name": "n", "type": "t", "parameters": { "deep": [1] } }],
                "saturationDetector": {
                    "kvCacheUtilThreshold": 0.8,
                    "metricsStalenessThreshold": "200ms",
                    "queueDepthThreshold": 5,
                },
                "schedulingProfiles": [{ "name": "p", "plugins": [{ "pluginRef": "n", "weight": 2 }] }],
                "keyOfANewerPicker": { "kept": true },
            },
        },
        "checkpoint": {
            "enabled": true,
            "mode": "Manual",
            "checkpointRef": "c",
            "identity": {
                "model": "m",
                "backendFramework": "vllm",
                "dynamoVersion": "0.9.0",
                "tensorParallelSize": 2,
                "pipelineParallelSize": 2,
                "dtype": "bf16",
                "maxModelLen": 4096,
                "extraParameters": { "e": "1" },
            },
        },
    });
    let replicas = json!({
        "componentKind": "Deployment",
        "componentName": "d",
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
    });
    let condition = json!({
        "type": "Ready",
        "status": "True",
        "reason": "R",
        "message": "m",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-02-11T10:00:00Z",
    });
    let graph = json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": { "name": "g" },
        "spec": {
            "pvcs": [{ "name": "p", "create": true, "storageClass": "s", "size": "1Gi", "volumeAccessMode": "ReadWriteMany" }],
            "services": { "Worker": service.clone() },
            "envs": [{ "name": "A", "value": "1" }],
            "backendFramework": "sglang",
            "restart": { "id": "1", "strategy": { "type": "Parallel", "order": ["Worker"] } },
        },
        "status": {
            "state": "pending",
            "conditions": [condition.clone()],
            "services": { "Worker": replicas.clone() },
            "restart": { "observedID": "1", "phase": "Restarting", "inProgress": ["Worker"] },
            "checkpoints": { "Worker": { "checkpointName": "c", "identityHash": "h", "ready": true } },
        },
    });
    let mut component = json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoComponentDeployment",
        "metadata": { "name": "c" },
        "spec": service,
        "status": {
            "observedGeneration": 1,
            "conditions": [condition],
            "podSelector": { "a": "b" },
            "service": replicas,
        },
    });
    component["spec"]["backendFramework"] = json!("trtllm");
    component["spec"]["dynamoComponent"] = json!("c");

    let read: DynamoGraphDeployment = serde_json::from_value(graph.clone()).expect("a graph");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), graph);
    let read: DynamoComponentDeployment = serde_json::from_value(component.clone()).expect("a component");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), component);

    let fields = |crd: &dynamo_api::crds::Crd, part: &str| -> Vec<String> {
        crd.schema()["properties"][part]["properties"]
            .as_object()
            .expect("properties")
            .keys()
            .cloned()
            .collect()
    };
    let crds = dynamo_api::crds::all().expect("definitions");
    for object in [&component, &graph] {
        let crd = crds.iter().find(|crd| object["kind"] == *crd.kind).expect("the definition");
        for part in ["spec", "status"] {
            for field in fields(crd, part) {
                assert!(!object[part][&field].is_null(), "this test leaves out {} {part}.{field}", crd.kind);
            }
        }
    }
}

#[test]
fn an_empty_component_is_written_without_any_field() {
    let component = DynamoComponentDeployment::new("empty", DynamoComponentDeploymentSpec::default());
    assert_eq!(
        serde_json::to_value(&component).expect("JSON"),
        json!({
            "apiVersion": "nvidia.com/v1alpha1",
            "kind": "DynamoComponentDeployment",
            "metadata": { "name": "empty" },
            "spec": {},
        })
    );
}

/// A value without what means nothing: nulls, empty values, switches that are off. Numbers become text, for a
/// quantity may be written either way.
fn meaning(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), meaning(value)));
            let fields: serde_json::Map<_, _> = fields.filter(|(_, value)| !value.is_null()).collect();
            if fields.is_empty() { Value::Null } else { Value::Object(fields) }
        }
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => Value::Array(items.iter().map(meaning).collect()),
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Bool(false) => Value::Null,
        Value::Number(number) => Value::String(number.to_string()),
        value => value.clone(),
    }
}
