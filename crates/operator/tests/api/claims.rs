//! The claims of a graph (`workload.md` section 11.1): made, used, waited for, and never changed.

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Plane, eventually};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::{
    graphs::{self, aggregated, api, create, make_ready, names, patch},
    operator,
};

fn with_claims(claims: Value) -> Value {
    let mut graph = aggregated("g");
    graph["spec"]["pvcs"] = claims;
    graph["spec"]["services"]["Worker"]["volumeMounts"] =
        json!([{"name": "models", "mountPoint": "/models"}]);
    graph
}

fn claim(size: &str) -> PersistentVolumeClaim {
    let claim = json!({
        "metadata": {"name": "models"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": size}}},
    });
    serde_json::from_value(claim).unwrap()
}

fn created(size: &str) -> Value {
    json!([{"name": "models", "create": true, "size": size, "storageClass": "fast", "volumeAccessMode": "ReadWriteMany"}])
}

#[tokio::test]
async fn a_claim_is_made_once_and_goes_with_its_graph() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &with_claims(created("1Gi"))).await;
    make_ready(&client, &ns, "g").await;
    let made: PersistentVolumeClaim = api(&client, &ns).get("models").await.unwrap();
    let owner = &made.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.controller), ("DynamoGraphDeployment", Some(true)));
    let spec = made.spec.unwrap();
    assert_eq!(spec.storage_class_name.as_deref(), Some("fast"));
    assert_eq!(spec.access_modes.unwrap(), ["ReadWriteMany"]);
    // A claim cannot be changed in place: an edit is no reason to touch it.
    patch::<DynamoGraphDeployment>(&client, &ns, "g", json!({"spec": {"pvcs": created("2Gi")}})).await;
    make_ready(&client, &ns, "g").await;
    let after: PersistentVolumeClaim = api(&client, &ns).get("models").await.unwrap();
    assert_eq!(after.metadata.resource_version, made.metadata.resource_version);
    api::<DynamoGraphDeployment>(&client, &ns).delete("g", &DeleteParams::default()).await.unwrap();
    eventually("the claim is gone or going", || async {
        match api::<PersistentVolumeClaim>(&client, &ns).get_opt("models").await.unwrap() {
            Some(claim) if claim.metadata.deletion_timestamp.is_none() => Err("still there".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_claim_of_somebody_else_is_used_as_it_is() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let before = api(&client, &ns).create(&PostParams::default(), &claim("5Gi")).await.unwrap();
    create(&client, &ns, &with_claims(created("1Gi"))).await;
    make_ready(&client, &ns, "g").await;
    let after: PersistentVolumeClaim = api(&client, &ns).get("models").await.unwrap();
    assert_eq!((after.metadata.owner_references, after.spec), (None, before.spec));
}

#[tokio::test]
async fn a_missing_claim_fails_the_graph_by_its_name_until_it_appears() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &with_claims(json!([{"name": "models"}]))).await;
    let message = graphs::state(&client, &ns, "g", "failed").await;
    let wanted = "failed to reconcile top-level PVCs: persistentvolumeclaims \"models\" not found";
    assert!(message.starts_with(wanted), "{message}");
    assert_eq!(names::<dynamo_api::v1alpha1::DynamoComponentDeployment>(&client, &ns).await, [""; 0]);
    api(&client, &ns).create(&PostParams::default(), &claim("1Gi")).await.unwrap();
    make_ready(&client, &ns, "g").await;
}
