//! Reviews as the API server sends them, for objects of every kind.

use serde_json::{Value, json};

pub const GRAPH: &str = "DynamoGraphDeployment";
pub const COMPONENT: &str = "DynamoComponentDeployment";
pub const MODEL: &str = "DynamoModel";
pub const REQUEST: &str = "DynamoGraphDeploymentRequest";
pub const KINDS: [&str; 4] = [COMPONENT, GRAPH, MODEL, REQUEST];

pub fn validating_path(kind: &str) -> String {
    format!("/validate-nvidia-com-v1alpha1-{}", kind.to_lowercase())
}

pub const MUTATING_PATH: &str = "/mutate-nvidia-com-v1alpha1-dynamographdeployment";

/// A valid object of `kind`, as the API server passes it on.
pub fn object(kind: &str) -> Value {
    let spec = match kind {
        GRAPH => return graph(),
        COMPONENT => {
            let mut spec = service("worker", 2);
            spec["dynamoNamespace"] = json!("demo");
            spec["backendFramework"] = json!("vllm");
            spec
        }
        MODEL => json!({"modelName": "org/adapter", "baseModelName": "org/base", "modelType": "lora",
            "source": {"uri": "s3://bucket/adapter"}}),
        _ => json!({"model": "org/base", "backend": "vllm", "profilingConfig": {
            "profilerImage": "registry.test/profiler:1", "config": {"sla": {"isl": 3000, "osl": 150}}}}),
    };
    json!({"apiVersion": "nvidia.com/v1alpha1", "kind": kind, "metadata": metadata(), "spec": spec})
}

fn graph() -> Value {
    let text = include_str!("../../../../../examples/disagg.yaml");
    let mut graph: Value = serde_yaml_ng::from_str(text).expect("example");
    graph["metadata"] = metadata();
    graph["status"] = json!({"state": "successful", "conditions": [{"type": "Ready", "status": "True",
        "reason": "AllResourcesReady", "message": "all is well", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    graph
}

fn metadata() -> Value {
    json!({"name": "demo", "namespace": "default", "uid": "5b0b3d0e-8a0e-4c43-9c79-000000000001",
        "resourceVersion": "4711", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"team": "serving"}, "labels": {"app": "demo"},
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "apiVersion": "nvidia.com/v1alpha1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:services": {}}}}]})
}

fn service(kind: &str, replicas: i32) -> Value {
    json!({"componentType": kind, "replicas": replicas,
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"gpu": "1"}},
        "envs": [{"name": "A", "value": "b"}],
        "extraPodSpec": {"mainContainer": {"image": "registry.test/worker:1",
            "command": ["python3", "-m", "dynamo.vllm"], "args": ["--model", "org/base"]}}})
}

/// A graph of 25 services with many variables whose JSON is about `bytes` long.
pub fn large_graph(bytes: usize) -> Value {
    const WORKERS: usize = 22;
    let mut graph = graph();
    let variables = bytes / WORKERS / 104;
    for at in 0..WORKERS {
        let mut service = service("worker", 1);
        service["envs"] = (0..variables)
            .map(|n| json!({"name": format!("VARIABLE_{n:06}"), "value": "x".repeat(64)}))
            .collect();
        graph["spec"]["services"][format!("Worker{at}")] = service;
    }
    graph
}

/// A question of the API server about `object`, whose kind decides the resource.
pub fn review(operation: &str, object: &Value, old: &Value, username: Option<&str>) -> Value {
    let subject = if object.is_null() { old } else { object };
    let kind = subject["kind"].as_str().unwrap_or(GRAPH);
    let resource = format!("{}s", kind.to_lowercase());
    let kind = json!({"group": "nvidia.com", "version": "v1alpha1", "kind": kind});
    let resource = json!({"group": "nvidia.com", "version": "v1alpha1", "resource": resource});
    let mut request = json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": kind, "resource": resource,
        "requestKind": kind, "requestResource": resource,
        "name": subject["metadata"]["name"], "namespace": "default", "operation": operation,
        "userInfo": {"username": "jane", "uid": "u1", "groups": ["system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["X"]}},
        "object": object, "oldObject": old, "dryRun": false,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions", "fieldManager": "kubectl"}});
    match username {
        Some(name) => request["userInfo"]["username"] = json!(name),
        None => request["userInfo"] = json!({}),
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
}

pub fn create(object: &Value) -> Value {
    review("CREATE", object, &Value::Null, Some("jane"))
}

pub fn update(old: &Value, new: &Value) -> Value {
    review("UPDATE", new, old, Some("jane"))
}
