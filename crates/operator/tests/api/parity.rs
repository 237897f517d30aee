//! The recorded objects of the reference for public manifests: our Deployments and Services are the same, but for
//! the named deviations. The comparison runs on what the API server holds, its defaults included.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use dynamo_testkit::{Plane, eventually, shared};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::{Client, api::ListParams};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    graphs::{api, create},
    operator,
};

/// Single-node manifests, aggregated and disaggregated, of every backend.
const CASES: &[&str] = &[
    "examples-backends-mocker-deploy-agg",
    "examples-backends-mocker-deploy-disagg",
    "examples-backends-sglang-deploy-agg",
    "examples-backends-sglang-deploy-agg-router",
    "examples-backends-sglang-deploy-disagg",
    "examples-backends-trtllm-deploy-agg",
    "examples-backends-trtllm-deploy-agg-router",
    "examples-backends-trtllm-deploy-disagg",
    "examples-backends-trtllm-deploy-disagg-router",
    "examples-backends-vllm-deploy-agg",
    "examples-backends-vllm-deploy-agg-kvbm",
    "examples-backends-vllm-deploy-agg-router",
    "examples-backends-vllm-deploy-disagg",
    "examples-backends-vllm-deploy-disagg-kvbm",
    "examples-backends-vllm-deploy-disagg-router",
    "examples-backends-vllm-deploy-lora-agg-lora",
    "examples-custom-backend-hello-world-deploy-hello-world",
    "recipes-llama-3-70b-vllm-disagg-single-node-deploy",
];

type Objects = BTreeMap<String, Value>;

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

/// Takes out what differs from run to run, as the recording did.
fn normalised(mut object: Value, namespace: &str) -> Value {
    let text = object.to_string().replace(namespace, "NS");
    object = serde_json::from_str(&text).unwrap();
    let fields = object.as_object_mut().unwrap();
    fields.remove("status");
    let metadata = fields["metadata"].as_object_mut().unwrap();
    for volatile in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
        metadata.remove(volatile);
    }
    for owner in metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
        owner.as_object_mut().unwrap().remove("uid");
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations
            .retain(|key, _| !key.contains("last-applied") && !key.starts_with("deployment.kubernetes.io"));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    let spec = fields["spec"].as_object_mut().unwrap();
    if spec.get("clusterIP").is_some_and(|address| address != "None") {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    object
}

async fn made(client: &Client, namespace: &str) -> Objects {
    let mut objects = Objects::new();
    for deployment in api::<Deployment>(client, namespace).list(&ListParams::default()).await.unwrap() {
        let name = deployment.metadata.name.clone().unwrap();
        objects.insert(
            format!("Deployment/{name}"),
            normalised(serde_json::to_value(deployment).unwrap(), namespace),
        );
    }
    for service in api::<Service>(client, namespace).list(&ListParams::default()).await.unwrap() {
        let name = service.metadata.name.clone().unwrap();
        objects
            .insert(format!("Service/{name}"), normalised(serde_json::to_value(service).unwrap(), namespace));
    }
    objects
}

fn recorded(path: &Path) -> Objects {
    let kept = documents(path)
        .into_iter()
        .filter(|object| object["kind"] == "Deployment" || object["kind"] == "Service");
    kept.map(|object| {
        let key =
            format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        (key, object)
    })
    .collect()
}

/// The deviation that explains why an object of the reference is not made (`docs/design/deviations.md`).
fn deviation(key: &str) -> Option<&'static str> {
    let name = key.strip_prefix("Service/")?;
    if name.ends_with("-p") || name.ends_with("-d") {
        return Some("D-001");
    }
    name.starts_with("dynamo-model-").then_some("N-001")
}

#[tokio::test]
async fn deployments_and_services_equal_those_of_the_reference_but_for_written_deviations() {
    let Some(shared) = shared::folder("comparison with the recorded objects of the reference") else {
        return;
    };
    operator();
    let client = Plane::shared().client().await;
    let mut used = BTreeSet::new();
    for case in CASES {
        let mut want = recorded(&shared.join(format!("parity/plain/{case}.yaml")));
        want.retain(|key, _| match deviation(key) {
            Some(entry) => {
                used.insert(entry);
                false
            }
            None => true,
        });
        let ns = Plane::shared().namespace(&client).await;
        for graph in documents(&shared.join(format!("parity/input/{case}.yaml"))) {
            if graph["kind"] == "DynamoGraphDeployment" {
                create(&client, &ns, &graph).await;
            }
        }
        eventually(&format!("{case}: the same objects"), || async {
            let got = made(&client, &ns).await;
            if got.keys().ne(want.keys()) {
                return Err(format!("want {:?}\ngot {:?}", want.keys(), got.keys()));
            }
            match want.iter().find(|(key, object)| got[*key] != **object) {
                None => Ok(()),
                Some((key, object)) => Err(format!("{key}:\nwant {object:#}\ngot {:#}", got[key])),
            }
        })
        .await;
    }
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["D-001", "N-001"], "an unused deviation");
}
