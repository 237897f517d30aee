//! One object of every kind that names every field of our own.
//! Data only.

use serde_json::{Value, json};

/// The objects, in the order of their kinds.
pub fn objects() -> Vec<Value> {
    vec![checkpoint(), component(), graph(), request(), scaling_adapter(), model(), worker_metadata()]
}

fn checkpoint() -> Value {
    json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoCheckpoint",
        "metadata": { "name": "c" },
        "spec": {
            "identity": identity(),
            "job": {
                "podTemplateSpec": {
                    "spec": {
                        "containers": [{
                            "name": "main",
                            "image": "i",
                            "readinessProbe": { "httpGet": { "port": 9090 } },
                            "resources": { "limits": { "nvidia.com/gpu": "2" } },
                        }],
                        "restartPolicy": "Never",
                    },
                },
                "activeDeadlineSeconds": 1800,
                "backoffLimit": 1,
                "ttlSecondsAfterFinished": 0,
            },
        },
        "status": {
            "phase": "Creating",
            "identityHash": "73e74442beb109ed",
            "location": "/checkpoints/73e74442beb109ed",
            "storageType": "pvc",
            "jobName": "checkpoint-c",
            "createdAt": "2026-02-11T10:00:00Z",
            "message": "m",
            "conditions": [condition()],
        },
    })
}

fn component() -> Value {
    let mut component = json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoComponentDeployment",
        "metadata": { "name": "c" },
        "spec": service(),
        "status": {
            "observedGeneration": 1,
            "conditions": [condition()],
            "podSelector": { "a": "b" },
            "service": replicas(),
        },
    });
    component["spec"]["backendFramework"] = json!("trtllm");
    component["spec"]["dynamoComponent"] = json!("c");
    component
}

fn graph() -> Value {
    json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": { "name": "g" },
        "spec": {
            "pvcs": [{ "name": "p", "create": true, "storageClass": "s", "size": "1Gi", "volumeAccessMode": "ReadWriteMany" }],
            "services": { "Worker": service() },
            "envs": [{ "name": "A", "value": "1" }],
            "backendFramework": "sglang",
            "restart": { "id": "1", "strategy": { "type": "Parallel", "order": ["Worker"] } },
        },
        "status": {
            "state": "pending",
            "conditions": [condition()],
            "services": { "Worker": replicas() },
            "restart": { "observedID": "1", "phase": "Restarting", "inProgress": ["Worker"] },
            "checkpoints": { "Worker": { "checkpointName": "c", "identityHash": "h", "ready": true } },
        },
    })
}

fn request() -> Value {
    json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeploymentRequest",
        "metadata": { "name": "r" },
        "spec": {
            "model": "m",
            "backend": "sglang",
            "useMocker": true,
            "enableGpuDiscovery": true,
            "profilingConfig": {
                "config": { "sla": { "ttft": 200.5 }, "anything": [1, null, { "deep": true }] },
                "configMapRef": { "name": "c", "key": "base.yaml" },
                "profilerImage": "i",
                "outputPVC": "p",
                "resources": { "requests": { "cpu": "8" }, "limits": { "memory": "64Gi" }, "claims": [{ "name": "c" }] },
                "tolerations": [{ "key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule" }],
            },
            "autoApply": true,
            "deploymentOverrides": {
                "name": "n",
                "namespace": "ns",
                "labels": { "l": "1" },
                "annotations": { "a": "1" },
                "workersImage": "w",
            },
        },
        "status": {
            "state": "Deploying",
            "backend": "sglang",
            "observedGeneration": 2,
            "conditions": [condition()],
            "profilingResults": "configmap/dgdr-output-r",
            "generatedDeployment": {
                "apiVersion": "nvidia.com/v1alpha1",
                "kind": "DynamoGraphDeployment",
                "metadata": { "name": "g", "creationTimestamp": null },
                "spec": { "services": { "A": { "replicas": 1 } }, "ofANewerVersion": [1] },
            },
            "deployment": { "name": "n", "namespace": "ns", "state": "pending", "created": true },
        },
    })
}

fn scaling_adapter() -> Value {
    json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeploymentScalingAdapter",
        "metadata": { "name": "g-worker" },
        "spec": { "replicas": 0, "dgdRef": { "name": "g", "serviceName": "Worker" } },
        "status": { "replicas": 0, "selector": "a=b", "lastScaleTime": "2026-02-11T10:00:00Z" },
    })
}

fn model() -> Value {
    json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoModel",
        "metadata": { "name": "m" },
        "spec": {
            "modelName": "m",
            "baseModelName": "b",
            "modelType": "lora",
            "source": { "uri": "s3://b/m" },
        },
        "status": {
            "conditions": [condition()],
            "endpoints": [
                { "address": "http://10.0.1.5:9090", "podName": "p", "ready": true },
                { "address": "http://10.0.1.6:9090", "podName": "q", "ready": false },
            ],
            "readyEndpoints": 1,
            "totalEndpoints": 2,
        },
    })
}

fn worker_metadata() -> Value {
    json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoWorkerMetadata",
        "metadata": { "name": "w" },
        "spec": { "data": { "endpoints": { "a": { "instance_id": 6699 } }, "model_cards": {}, "event_channels": {} } },
    })
}

fn service() -> Value {
    json!({
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
            "identity": identity(),
        },
    })
}

fn identity() -> Value {
    json!({
        "model": "m",
        "backendFramework": "vllm",
        "dynamoVersion": "0.9.0",
        "tensorParallelSize": 2,
        "pipelineParallelSize": 2,
        "dtype": "bf16",
        "maxModelLen": 4096,
        "extraParameters": { "e": "1" },
    })
}

fn replicas() -> Value {
    json!({
        "componentKind": "Deployment",
        "componentName": "d",
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
    })
}

fn condition() -> Value {
    json!({
        "type": "Ready",
        "status": "True",
        "reason": "R",
        "message": "m",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-02-11T10:00:00Z",
    })
}
