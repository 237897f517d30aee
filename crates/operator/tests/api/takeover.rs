//! Objects that the reference's operator wrote are taken over in place: same objects, nothing of it left behind.

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment};
use dynamo_testkit::{Operator, Plane, audit, eventually};
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Resource, ResourceExt, api::PostParams};
use serde_json::{Value, json};

use crate::{
    PROGRAM,
    graphs::{self, aggregated, api, create, patch},
};

fn owner<K: Resource<DynamicType = ()>>(parent: &K) -> OwnerReference {
    parent.controller_owner_ref(&()).unwrap()
}

/// Metadata as the reference writes it.
fn metadata(name: &str, owner: &OwnerReference) -> Value {
    json!({
        "name": name,
        "labels": {
            "nvidia.com/dynamo-graph-deployment-name": "g",
            "nvidia.com/old": "label",
        },
        "annotations": {
            "nvidia.com/last-applied-hash": "0123",
            "nvidia.com/last-applied-generation": "1",
        },
        "ownerReferences": [owner],
    })
}

#[tokio::test]
async fn what_the_reference_wrote_is_kept_and_what_is_no_longer_wanted_goes() {
    let plane = Plane::start();
    let client = plane.client().await;
    let ns = plane.namespace(&client).await;
    let as_reference = PostParams { field_manager: Some("manager".to_owned()), ..PostParams::default() };
    let graph: DynamoGraphDeployment = create(&client, &ns, &aggregated("g")).await;

    let mut component = metadata("g-worker", &owner(&graph));
    component["finalizers"] = json!(["nvidia.com/finalizer"]);
    let component = json!({
        "metadata": component,
        "spec": {"serviceName": "Worker", "subComponentType": "stale", "dynamoNamespace": format!("{ns}-g")},
    });
    let component: DynamoComponentDeployment = serde_json::from_value(component).unwrap();
    let component = api(&client, &ns).create(&as_reference, &component).await.unwrap();
    let deployment = json!({
        "metadata": metadata("g-worker", &owner(&component)),
        "spec": {
            "selector": {"matchLabels": {"nvidia.com/selector": "g-worker"}},
            "template": {
                "metadata": {"labels": {"nvidia.com/selector": "g-worker", "old": "label"}},
                "spec": {"containers": [{
                    "name": "main", "image": "old",
                    "env": [{"name": "NATS_SERVER", "value": "old"}, {"name": "GONE", "value": "1"}],
                    "resources": {"limits": {"nvidia.com/gpu": "1"}},
                }]},
            },
        },
    });
    let deployment: Deployment = serde_json::from_value(deployment).unwrap();
    let before = api(&client, &ns).create(&as_reference, &deployment).await.unwrap();

    let operator = Operator::start(PROGRAM, &plane, &[]);
    let after = eventually("the Deployment is ours", || async {
        let live = graphs::deployment(&client, &ns, "g-worker").await;
        let taken = !live.annotations().contains_key("nvidia.com/last-applied-generation");
        if taken { Ok(live) } else { Err(operator.log_text()) }
    })
    .await;
    assert_eq!(after.uid(), before.uid(), "replaced instead of taken over");
    assert!(!after.labels().contains_key("nvidia.com/old"));
    let container = &after.spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers[0];
    let names: Vec<&str> = container.env.iter().flatten().map(|variable| variable.name.as_str()).collect();
    assert!(!names.contains(&"GONE") && names.contains(&"LEVEL"), "{names:?}");
    assert_eq!(container.resources.clone().unwrap_or_default().limits, None);
    let component = graphs::component(&client, &ns, "g-worker").await;
    assert_eq!((component.metadata.finalizers, component.spec.shared.sub_component_type), (None, None));

    graphs::make_ready(&client, &ns, "g").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let settled = audit::writes(&plane.audit_log()).len();
    patch::<DynamoGraphDeployment>(&client, &ns, "g", json!({"metadata": {"labels": {"touched": "yes"}}}))
        .await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let writes = audit::writes(&plane.audit_log());
    assert_eq!(writes[settled..], [] as [String; 0], "{}", operator.log_text());
}
