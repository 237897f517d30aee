//! Objects that other writers left behind load: one object must never stop the watch of all.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dynamo_api::v1alpha1::{
    BackendFramework, ComponentKind, DynamoComponentDeployment, DynamoGraphDeployment, DynamoWorkerMetadata,
    RestartStrategyType, SharedSpec,
};
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
        let graph: DynamoGraphDeployment = serde_json::from_value(object.clone()).expect("a graph");
        assert_eq!(graph.spec, Default::default());
        let component: DynamoComponentDeployment =
            serde_json::from_value(object.clone()).expect("a component");
        assert_eq!(component.spec, Default::default());
        let worker: DynamoWorkerMetadata = serde_json::from_value(object).expect("worker metadata");
        assert_eq!(worker.spec, Default::default());
    }
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
    for (name, manifest) in support::recorded_graphs() {
        for pointer in pointers(&manifest["spec"], "/spec") {
            let mut changed = manifest.clone();
            *changed.pointer_mut(&pointer).expect("the place") = Value::Null;
            let read = serde_json::from_value::<DynamoGraphDeployment>(changed);
            assert!(read.is_ok(), "{name}: null at {pointer}: {read:?}");
        }
    }
}

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
