//! Objects that other writers left behind load: one object must never stop the watch of all.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dynamo_api::v1alpha1::{
    BackendFramework, CheckpointPhase, CheckpointStorageType, ComponentKind, DeploymentOverrides,
    DynamoCheckpoint, DynamoCheckpointStatus, DynamoComponentDeployment, DynamoGraphDeployment,
    DynamoGraphDeploymentRequest, DynamoGraphDeploymentScalingAdapter, DynamoModel, DynamoWorkerMetadata,
    ModelType, RequestState, RestartStrategyType, SharedSpec,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn graph(spec: Value) -> DynamoGraphDeployment {
    let object = json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": { "name": "g" },
        "spec": spec,
    });
    serde_json::from_value(object).expect("a graph")
}

fn service(spec: &Value) -> SharedSpec {
    graph(json!({ "services": { "A": spec } })).spec.services.remove("A").expect("the service")
}

#[test]
fn an_object_without_spec_or_with_a_null_one_loads_as_an_empty_one() {
    for spec in [None, Some(Value::Null), Some(json!({}))] {
        let mut object =
            json!({ "apiVersion": "nvidia.com/v1alpha1", "kind": "K", "metadata": { "name": "g" } });
        if let Some(spec) = spec {
            object["spec"] = spec;
        }
        assert_eq!(read::<DynamoGraphDeployment>(&object).spec, Default::default());
        assert_eq!(read::<DynamoComponentDeployment>(&object).spec, Default::default());
        assert_eq!(read::<DynamoGraphDeploymentRequest>(&object).spec, Default::default());
        assert_eq!(read::<DynamoGraphDeploymentScalingAdapter>(&object).spec, Default::default());
        assert_eq!(read::<DynamoModel>(&object).spec, Default::default());
        assert_eq!(read::<DynamoCheckpoint>(&object).spec, Default::default());
        assert_eq!(read::<DynamoWorkerMetadata>(&object).spec, Default::default());
    }
}

fn read<K: DeserializeOwned>(object: &Value) -> K {
    serde_json::from_str(&object.to_string()).expect("a typed object")
}

#[test]
fn an_adapter_without_spec_does_not_ask_for_zero_replicas() {
    let adapter: DynamoGraphDeploymentScalingAdapter = read(&json!({ "metadata": {}, "spec": null }));
    assert_eq!(adapter.spec.replicas, None);
    let adapter: DynamoGraphDeploymentScalingAdapter =
        read(&json!({ "metadata": {}, "spec": { "replicas": 0 } }));
    assert_eq!(adapter.spec.replicas, Some(0));
}

#[test]
fn zero_values_that_other_writers_leave_in_requests_models_and_checkpoints_read_as_unset() {
    let request: DynamoGraphDeploymentRequest = read(&json!({
        "metadata": { "creationTimestamp": null },
        "spec": {
            "model": "m",
            "backend": "vllm",
            "profilingConfig": { "profilerImage": "i", "outputPVC": "", "configMapRef": { "name": "c", "key": "" } },
            "deploymentOverrides": { "name": "", "labels": null },
        },
        "status": { "state": "", "backend": "", "deployment": { "created": false, "state": "" } },
    }));
    let profiling = request.spec.profiling_config;
    assert_eq!(profiling.output_pvc, None);
    assert_eq!(profiling.config, None);
    assert_eq!(profiling.config_map_ref.expect("it").key, "disagg.yaml");
    assert_eq!(request.spec.deployment_overrides.expect("it"), DeploymentOverrides::default());
    let status = request.status.expect("a status");
    assert_eq!(status.state, None);
    assert_eq!(status.deployment.expect("it"), Default::default());

    let model: DynamoModel = read(&json!({
        "metadata": {},
        "spec": { "modelName": "m", "baseModelName": "b", "modelType": "" },
        "status": { "conditions": null, "endpoints": null, "readyEndpoints": 0, "totalEndpoints": 0 },
    }));
    assert_eq!(model.spec.model_type, ModelType::Base);
    let written = serde_json::to_value(model.status.expect("a status")).expect("JSON");
    assert_eq!(written, json!({ "readyEndpoints": 0, "totalEndpoints": 0 }));

    let checkpoint: DynamoCheckpoint = read(&json!({
        "metadata": {},
        "spec": {
            "identity": { "model": "m", "backendFramework": "vllm", "maxModelLen": null },
            "job": { "podTemplateSpec": { "metadata": { "creationTimestamp": null }, "spec": { "containers": null } } },
        },
        "status": { "phase": "", "storageType": "", "createdAt": null },
    }));
    assert_eq!(checkpoint.spec.identity.tensor_parallel_size, 1);
    let job = checkpoint.spec.job;
    assert_eq!(
        (job.active_deadline_seconds, job.backoff_limit, job.ttl_seconds_after_finished),
        (3600, 3, 300)
    );
    assert_eq!(checkpoint.status.expect("a status"), DynamoCheckpointStatus::default());
}

#[test]
fn zero_values_of_the_reference_read_as_unset() {
    let graph = graph(json!({
        "backendFramework": "",
        "pvcs": [{ "name": "p", "size": "0", "storageClass": "", "create": null }],
    }));
    assert_eq!(graph.spec.backend_framework, None);
    assert_eq!(graph.spec.pvcs[0].size, None);
    assert_eq!(graph.spec.pvcs[0].storage_class, None);

    let service = service(&json!({
        "sharedMemory": { "size": "0" },
        "subComponentType": null,
        "resources": { "limits": { "cpu": "" } },
        "eppConfig": { "config": { "plugins": [{ "type": "t", "name": "" }], "schedulingProfiles": null } },
        "extraPodSpec": { "containers": null, "mainContainer": { "name": "", "image": "i", "resources": {} } },
    }));
    assert_eq!(service.shared_memory.as_ref().expect("it").size, None);
    assert_eq!(service.sub_component_type, None);
    assert_eq!(service.epp_config.as_ref().expect("it").config.as_ref().expect("it").plugins[0].name, None);
    let written = serde_json::to_value(&service).expect("JSON");
    assert_eq!(written["extraPodSpec"], json!({ "mainContainer": { "image": "i" } }));
    assert_eq!(written["sharedMemory"], json!({}));
}

#[test]
fn any_zero_is_an_unset_size_and_nothing_else_is() {
    for (size, unset) in [
        (json!("0"), true),
        (json!(0), true),
        (json!("0Gi"), true),
        (json!("0.0"), true),
        (json!("-0"), true),
    ]
    .into_iter()
    .chain([
        (json!("8Gi"), false),
        (json!("0.5Gi"), false),
        (json!(10), false),
        (json!("nonsense"), false),
    ]) {
        let service = service(&json!({ "sharedMemory": { "size": size } }));
        assert_eq!(service.shared_memory.expect("it").size.is_none(), unset, "{size}");
    }
}

#[test]
fn extra_pod_spec_needs_neither_containers_nor_the_name_of_the_main_container() {
    for extra in [
        json!({}),
        json!({ "mainContainer": {} }),
        json!({ "mainContainer": null, "nodeSelector": { "a": "b" } }),
    ] {
        let service = service(&json!({ "extraPodSpec": extra }));
        let written = serde_json::to_value(&service).expect("JSON");
        assert!(written["extraPodSpec"].get("containers").is_none(), "{written}");
        assert!(written["extraPodSpec"]["mainContainer"].get("name").is_none(), "{written}");
    }
}

#[test]
fn sidecars_and_quantities_given_as_numbers_are_kept() {
    let service = service(&json!({
        "extraPodSpec": {
            "containers": [{ "name": "side" }],
            "mainContainer": { "resources": { "limits": { "cpu": 8, "memory": "1Gi" } } },
        },
    }));
    let written = serde_json::to_value(&service).expect("JSON");
    assert_eq!(written["extraPodSpec"]["containers"], json!([{ "name": "side" }]));
    assert_eq!(
        written["extraPodSpec"]["mainContainer"],
        json!({ "resources": { "limits": { "cpu": "8", "memory": "1Gi" } } })
    );
}

#[test]
fn unknown_values_of_enums_load_and_are_kept() {
    let graph = graph(json!({
        "backendFramework": "tgi",
        "restart": { "id": "1", "strategy": { "type": "Random" } },
        "services": { "A": { "checkpoint": { "mode": "Later", "identity": { "backendFramework": "tgi" } } } },
    }));
    assert_eq!(graph.spec.backend_framework, Some(BackendFramework::Other("tgi".into())));
    let written = serde_json::to_value(&graph.spec).expect("JSON");
    assert_eq!(written["backendFramework"], "tgi");
    assert_eq!(written["restart"]["strategy"]["type"], "Random");
    assert_eq!(written["services"]["A"]["checkpoint"]["mode"], "Later");

    let status = json!({ "services": { "A": { "componentKind": "StatefulSet" }, "B": {} }, "restart": { "phase": "Superseded" } });
    let object = json!({ "metadata": {}, "status": status });
    let graph: DynamoGraphDeployment = serde_json::from_value(object).expect("a graph");
    let services = graph.status.expect("status").services;
    assert_eq!(services["A"].component_kind, ComponentKind::Other("StatefulSet".into()));
    assert!(!services["B"].component_kind.is_known());

    let object = json!({ "metadata": {}, "spec": { "backend": "auto" }, "status": { "state": "Deployed" } });
    let request: DynamoGraphDeploymentRequest = read(&object);
    assert_eq!(request.spec.backend, BackendFramework::Other("auto".into()));
    assert_eq!(request.status.expect("a status").state, Some(RequestState::Other("Deployed".into())));
    let model: DynamoModel = read(&json!({ "metadata": {}, "spec": { "modelType": "moe" } }));
    assert_eq!(model.spec.model_type, ModelType::Other("moe".into()));
    let object = json!({ "metadata": {}, "status": { "phase": "Paused", "storageType": "nfs" } });
    let status = read::<DynamoCheckpoint>(&object).status.expect("a status");
    assert_eq!(status.phase, Some(CheckpointPhase::Other("Paused".into())));
    assert_eq!(status.storage_type, Some(CheckpointStorageType::Other("nfs".into())));
}

#[test]
fn a_time_that_the_type_cannot_hold_loads() {
    for time in ["9999-12-31T23:59:59Z", "yesterday", ""] {
        let condition = json!({ "type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": time });
        let object = json!({ "metadata": {}, "status": { "createdAt": time, "conditions": [condition] } });
        let status = read::<DynamoCheckpoint>(&object).status.expect("a status");
        assert_eq!(status.created_at, None, "{time}");
        assert_eq!(status.conditions[0].type_, "Ready", "{time}");
    }
}

#[test]
fn a_missing_choice_is_the_schemas_default() {
    let graph = graph(json!({
        "restart": { "id": "1", "strategy": {} },
        "services": { "A": { "multinode": {}, "checkpoint": { "identity": {} } } },
    }));
    assert_eq!(graph.spec.restart.expect("it").strategy.expect("it").type_, RestartStrategyType::Sequential);
    let service = &graph.spec.services["A"];
    assert_eq!(service.multinode.as_ref().expect("it").node_count, 2);
    assert_eq!(
        service.checkpoint.as_ref().expect("it").identity.as_ref().expect("it").tensor_parallel_size,
        1
    );
}

#[test]
fn numbers_beyond_32_bits_load_as_the_nearest_one() {
    assert_eq!(service(&json!({ "replicas": 99_999_999_999_i64 })).replicas, Some(i32::MAX));
    assert_eq!(service(&json!({ "replicas": 2.0 })).replicas, Some(2));

    let big = 99_999_999_999_i64;
    let object = json!({ "metadata": {}, "spec": { "replicas": big }, "status": { "replicas": -big } });
    let adapter: DynamoGraphDeploymentScalingAdapter = read(&object);
    assert_eq!(adapter.spec.replicas, Some(i32::MAX));
    assert_eq!(adapter.status.expect("a status").replicas, Some(i32::MIN));
    let job = json!({ "activeDeadlineSeconds": big, "backoffLimit": big, "ttlSecondsAfterFinished": -big });
    let checkpoint: DynamoCheckpoint = read(&json!({ "metadata": {}, "spec": { "job": job } }));
    let job = checkpoint.spec.job;
    assert_eq!(
        (job.active_deadline_seconds, job.backoff_limit, job.ttl_seconds_after_finished),
        (big, i32::MAX, i32::MIN)
    );
}

#[test]
fn unquoted_scalars_in_text_fields_load_as_their_text() {
    let service = service(&json!({
        "annotations": { "a": 1, "b": true, "c": null },
        "resources": { "limits": { "gpu": 1, "custom": { "rdma/ib": 8 } } },
    }));
    assert_eq!(service.annotations["a"], "1");
    assert_eq!(service.annotations["c"], "");
    assert_eq!(service.resources.expect("it").limits.expect("it").custom["rdma/ib"], "8");
}

#[test]
fn a_null_at_any_key_of_our_own_loads() {
    let graphs = support::recorded_graphs().into_iter();
    let whole = support::full::objects().into_iter().map(|object| (object["kind"].to_string(), object));
    for (name, object) in graphs.chain(whole) {
        for part in ["spec", "status"] {
            for pointer in pointers(&object[part], &format!("/{part}")) {
                if CORE.iter().any(|core| pointer.contains(core)) {
                    continue;
                }
                let mut changed = object.clone();
                *changed.pointer_mut(&pointer).expect("the place") = Value::Null;
                let read = support::rewritten(&changed);
                assert!(read.is_ok(), "{name}: null at {pointer}: {read:?}");
            }
        }
    }
}

/// Inside these the keys are those of Kubernetes, and some of its types take no null: the schema admits none there.
const CORE: &[&str] = &["/podTemplateSpec/", "/profilingConfig/resources/", "/extraPodSpec/nodeSelector/"];

/// Every key below `value`, but not the items of lists: those are never null in a stored object.
fn pointers(value: &Value, prefix: &str) -> Vec<String> {
    let inside = |key: &str, value: &Value, own: bool| {
        let pointer = format!("{prefix}/{}", key.replace('~', "~0").replace('/', "~1"));
        let mut all = pointers(value, &pointer);
        if own {
            all.push(pointer);
        }
        all
    };
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(key, value)| inside(key, value, true)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, value)| inside(&index.to_string(), value, false))
            .collect(),
        _ => Vec::new(),
    }
}
