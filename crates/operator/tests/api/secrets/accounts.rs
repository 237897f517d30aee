//! Accounts: those that the operator hands out with their rights, and the one for pods that name none.

use std::path::Path;

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Operator, Plane, eventually, shared};
use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, RoleBinding},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{generation, object, pods};
use crate::{
    PROGRAM,
    graphs::{aggregated, api, create, deployment, make_ready, names, patch, state},
    operator,
};

const PLANNER: &str = "planner-serviceaccount";
const BINDING: &str = "planner-serviceaccount-binding";

/// What a binding says of itself, in one value.
fn essence(binding: &RoleBinding) -> Value {
    json!({
        "labels": binding.metadata.labels,
        "owners": binding.metadata.owner_references,
        "roleRef": binding.role_ref,
        "subjects": binding.subjects,
    })
}

fn wanted(namespace: &str, account: &str, role: &str) -> Value {
    json!({
        "labels": {
            "app.kubernetes.io/managed-by": "dynamo-operator",
            "app.kubernetes.io/component": "rbac",
            "app.kubernetes.io/name": account,
        },
        "owners": null,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    })
}

/// What the reference's operator made for a graph of that record.
fn recorded(folder: &Path, record: &str, kind: &str, name: &str) -> Value {
    let text = std::fs::read_to_string(folder.join("parity/plain").join(record)).unwrap();
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    let mut objects = documents.map(|document| Value::deserialize(document).unwrap());
    objects.find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
}

#[test]
fn accounts_and_bindings_are_those_of_the_reference() {
    let Some(folder) = shared::folder("comparison with the recorded accounts of the reference") else {
        return;
    };
    for (record, account, role) in [
        ("examples-backends-vllm-deploy-agg.yaml", PLANNER, "planner"),
        ("recipes-llama-3-70b-vllm-agg-gaie-deploy.yaml", "epp-serviceaccount", "epp"),
    ] {
        let wanted = wanted("NS", account, role);
        let binding = recorded(&folder, record, "RoleBinding", &format!("{account}-binding"));
        assert_eq!(essence(&object(binding)), wanted);
        let account = recorded(&folder, record, "ServiceAccount", account);
        assert_eq!(account["metadata"]["labels"], wanted["labels"]);
        assert_eq!(account["metadata"]["ownerReferences"], Value::Null);
    }
}

async fn has_rights(client: &Client, namespace: &str, account: &str, role: &str) {
    eventually(&format!("{account} has its rights"), || async {
        let text = |error: kube::Error| error.to_string();
        api::<ServiceAccount>(client, namespace).get(account).await.map_err(text)?;
        let binding = format!("{account}-binding");
        let binding: RoleBinding = api(client, namespace).get(&binding).await.map_err(text)?;
        let seen = essence(&binding);
        if seen == wanted(namespace, account, role) { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_namespace_with_a_graph_has_the_account_of_planners_which_outlives_the_graph() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    has_rights(&client, &ns, PLANNER, "planner").await;
    let account: ServiceAccount = api(&client, &ns).get(PLANNER).await.unwrap();
    assert_eq!(json!(account.labels()), wanted(&ns, PLANNER, "planner")["labels"]);
    assert_eq!(account.owner_references(), []);

    api::<DynamoGraphDeployment>(&client, &ns).delete("g", &DeleteParams::default()).await.unwrap();
    eventually("the discovery account is gone", || async {
        let accounts = names::<ServiceAccount>(&client, &ns).await;
        assert!(accounts.contains(&PLANNER.to_owned()), "{accounts:?}");
        if accounts.iter().any(|name| name.starts_with("g-")) { Err(accounts.join(", ")) } else { Ok(()) }
    })
    .await;
    has_rights(&client, &ns, PLANNER, "planner").await;
}

#[tokio::test]
async fn an_account_or_its_rights_come_back_when_somebody_takes_them_away() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    has_rights(&client, &ns, PLANNER, "planner").await;
    let delete = DeleteParams::default();

    api::<ServiceAccount>(&client, &ns).delete(PLANNER, &delete).await.unwrap();
    has_rights(&client, &ns, PLANNER, "planner").await;
    api::<RoleBinding>(&client, &ns).delete(BINDING, &delete).await.unwrap();
    has_rights(&client, &ns, PLANNER, "planner").await;
    let strangers = json!({"subjects": [{"kind": "ServiceAccount", "name": "stranger", "namespace": ns}]});
    patch::<RoleBinding>(&client, &ns, BINDING, strangers).await;
    has_rights(&client, &ns, PLANNER, "planner").await;
    patch::<RoleBinding>(&client, &ns, BINDING, json!({"metadata": {"labels": null}})).await;
    has_rights(&client, &ns, PLANNER, "planner").await;
}

#[tokio::test]
async fn an_account_that_a_user_made_stays_as_it_is_and_gets_the_rights_it_should_have() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let account = json!({"metadata": {"name": PLANNER, "annotations": {"example.com/identity": "mine"}}});
    let made: ServiceAccount =
        api(&client, &ns).create(&PostParams::default(), &object(account)).await.unwrap();
    let binding = json!({
        "metadata": {"name": BINDING},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [],
    });
    api::<RoleBinding>(&client, &ns).create(&PostParams::default(), &object(binding)).await.unwrap();
    create(&client, &ns, &aggregated("g")).await;
    has_rights(&client, &ns, PLANNER, "planner").await;
    make_ready(&client, &ns, "g").await;
    let kept: ServiceAccount = api(&client, &ns).get(PLANNER).await.unwrap();
    assert_eq!(kept.metadata.resource_version, made.metadata.resource_version);
}

#[tokio::test]
async fn an_endpoint_picker_brings_its_account_and_no_graph_without_one_does() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    assert!(!names::<ServiceAccount>(&client, &ns).await.contains(&"epp-serviceaccount".to_owned()));
    let picker = json!({"componentType": "epp", "eppConfig": {"configMapRef": {"name": "c", "key": "k"}},
        "extraPodSpec": {"mainContainer": {"image": "example/epp:1"}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g", json!({"spec": {"services": {"Epp": picker}}})).await;
    has_rights(&client, &ns, "epp-serviceaccount", "epp").await;
}

#[tokio::test]
async fn a_missing_cluster_role_is_named_together_with_its_cure_and_graphs_go_on_once_it_is_there() {
    let plane = Plane::start();
    let client = plane.client().await;
    let _operator = Operator::start(
        PROGRAM,
        &plane,
        &["--planner-cluster-role-name=late-planner", "--epp-cluster-role-name="],
    );
    let ns = plane.namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    let message = state(&client, &ns, "g", "failed").await;
    let start = "failed to ensure planner RBAC: ClusterRole late-planner does not exist";
    assert!(message.starts_with(start) && message.contains("helm upgrade"), "{message}");
    assert_eq!(names::<RoleBinding>(&client, &ns).await, [""; 0]);

    let role: ClusterRole = object(json!({"metadata": {"name": "late-planner"}}));
    Api::all(client.clone()).create(&PostParams::default(), &role).await.unwrap();
    has_rights(&client, &ns, PLANNER, "late-planner").await;
    make_ready(&client, &ns, "g").await;

    let mut with_picker = aggregated("p");
    with_picker["spec"]["services"]["Epp"] = json!({"componentType": "epp", "eppConfig": {"configMapRef": {"name": "c", "key": "k"}},
        "extraPodSpec": {"mainContainer": {"image": "example/epp:1"}}});
    create(&client, &ns, &with_picker).await;
    let message = state(&client, &ns, "p", "failed").await;
    let start = "failed to ensure EPP RBAC: cluster role name is required: set --epp-cluster-role-name";
    assert!(message.starts_with(start), "{message}");
}

#[tokio::test]
async fn another_role_of_a_new_release_replaces_the_binding() {
    let plane = Plane::start();
    let client = plane.client().await;
    let mut before = Operator::start(PROGRAM, &plane, &[]);
    let ns = plane.namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    has_rights(&client, &ns, PLANNER, "planner").await;
    before.signal("TERM");
    assert!(before.wait().success(), "{}", before.log_text());

    let _after = Operator::start(PROGRAM, &plane, &["--planner-cluster-role-name=absent"]);
    let message = state(&client, &ns, "g", "failed").await;
    assert!(message.contains("ClusterRole absent does not exist"), "{message}");
    // The rights of planners that run are not taken away for a role that is not there.
    has_rights(&client, &ns, PLANNER, "planner").await;
    let role: ClusterRole = object(json!({"metadata": {"name": "absent"}}));
    Api::all(client.clone()).create(&PostParams::default(), &role).await.unwrap();
    has_rights(&client, &ns, PLANNER, "absent").await;
}

#[tokio::test]
async fn pods_that_name_no_account_use_the_first_labelled_one_of_the_namespace() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let add = async |name: &str| {
        let account =
            json!({"metadata": {"name": name, "labels": {"nvidia.com/dynamo-component-pod": "true"}}});
        api::<ServiceAccount>(&client, &ns).create(&PostParams::default(), &object(account)).await.unwrap();
    };
    let runs_as = async |name: &str, account: &str| {
        pods(&client, &ns, name, &format!("runs as {account}"), |pod| {
            let seen = pod.service_account_name.clone().unwrap_or_default();
            if seen == account { Ok(()) } else { Err(seen) }
        })
        .await;
    };
    let mut by_etcd = aggregated("g");
    by_etcd["metadata"]["annotations"] = json!({"nvidia.com/dynamo-discovery-backend": "etcd"});
    by_etcd["spec"]["services"]["Worker"]["extraPodSpec"]["serviceAccountName"] = "mine".into();
    create(&client, &ns, &by_etcd).await;
    create(&client, &ns, &aggregated("h")).await;
    runs_as("g-frontend", "default").await;
    for name in ["g-worker", "h-frontend"] {
        deployment(&client, &ns, name).await;
    }

    add("m").await;
    runs_as("g-frontend", "m").await;
    add("z").await;
    add("a").await;
    // Pods that run keep theirs, new ones get the first.
    let mut later = by_etcd.clone();
    later["metadata"]["name"] = "later".into();
    create(&client, &ns, &later).await;
    runs_as("later-frontend", "a").await;
    runs_as("g-frontend", "m").await;
    api::<ServiceAccount>(&client, &ns).delete("a", &DeleteParams::default()).await.unwrap();
    runs_as("later-frontend", "m").await;
    patch::<ServiceAccount>(&client, &ns, "m", json!({"metadata": {"labels": null}})).await;
    runs_as("g-frontend", "z").await;
    runs_as("g-worker", "mine").await;
    runs_as("h-frontend", "h-k8s-service-discovery").await;
    assert_eq!(generation(&client, &ns, "g-frontend").await, 3, "one form for each account in turn");
    assert_eq!(generation(&client, &ns, "h-frontend").await, 1);
}
