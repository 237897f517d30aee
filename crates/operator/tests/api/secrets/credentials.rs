//! Credentials and CAs of NATS and etcd: where they are copied, what pods get of them, what follows a change.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment};
use dynamo_testkit::{Operator, Plane, audit, eventually};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{
    Client, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use super::{HOME, fails_with, generation, home, object};
use crate::{
    PROGRAM,
    graphs::{aggregated, api, create, deployment, make_ready, names, patch},
};

const AUTH: &str = "nats-auth";
const CA: &str = "nats-ca";
const CHECKSUM: &str = "nvidia.com/dynamo-credentials-checksum";
const FLAGS: [&str; 3] =
    ["--nats-auth-secret=nats-auth", "--nats-tls-ca-secret=nats-ca", "--credentials-namespace=dynamo-system"];

async fn make(client: &Client, namespace: &str, name: &str, entries: Value) -> Secret {
    let secret = json!({"metadata": {"name": name}, "type": "Opaque", "stringData": entries});
    api::<Secret>(client, namespace).create(&PostParams::default(), &object(secret)).await.unwrap()
}

async fn make_both(client: &Client) {
    make(client, HOME, AUTH, json!({"username": "u", "password": "one"})).await;
    make(client, HOME, CA, json!({"ca.crt": "bundle"})).await;
}

async fn has_copy(client: &Client, namespace: &str, name: &str, wanted: &Value) -> Secret {
    eventually(&format!("{namespace}/{name} holds {wanted}"), || async {
        let secret: Secret = api(client, namespace).get(name).await.map_err(|error| error.to_string())?;
        let entries = secret.data.clone().unwrap_or_default().into_iter();
        let seen: Value =
            entries.map(|(key, value)| (key, json!(String::from_utf8(value.0).unwrap()))).collect();
        if seen == *wanted { Ok(secret) } else { Err(seen.to_string()) }
    })
    .await
}

/// The variables that pods take from a Secret, with its key, or that are the path of a file.
fn given(deployment: &Deployment) -> BTreeMap<String, String> {
    let pod = deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let variables = pod.containers[0].env.iter().flatten();
    let of = variables.filter_map(|variable| match &variable.value_from {
        Some(source) => {
            let from = source.secret_key_ref.as_ref()?;
            Some((variable.name.clone(), format!("{}:{}", from.name, from.key)))
        }
        None => variable
            .value
            .clone()
            .filter(|_| variable.name == "SSL_CERT_FILE")
            .map(|path| (variable.name.clone(), path)),
    });
    of.collect()
}

fn checksum(deployment: &Deployment) -> Option<String> {
    let metadata = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    metadata.annotations.as_ref()?.get(CHECKSUM).cloned()
}

async fn rolled(client: &Client, namespace: &str, name: &str, old: Option<&String>) -> Deployment {
    eventually(&format!("{name} has another checksum than {old:?}"), || async {
        let now = deployment(client, namespace, name).await;
        if checksum(&now).is_some_and(|sum| Some(&sum) != old) { Ok(now) } else { Err("the same".to_owned()) }
    })
    .await
}

/// Changes the worker and waits until its pods have the change: whatever the operator was to write before is written.
async fn settle(client: &Client, namespace: &str, level: &str) {
    let change = json!({"spec": {"services": {"Worker": {"envs": [{"name": "LEVEL", "value": level}]}}}});
    patch::<DynamoGraphDeployment>(client, namespace, "g", change).await;
    eventually("the worker has the change", || async {
        let pod = deployment(client, namespace, "g-worker").await.spec.unwrap().template.spec.unwrap();
        let mut variables = pod.containers[0].env.iter().flatten();
        let now = variables.find(|it| it.name == "LEVEL").and_then(|it| it.value.clone());
        if now.as_deref() == Some(level) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

#[tokio::test]
async fn credentials_reach_the_pods_of_a_graph_and_a_new_password_replaces_them_once() {
    let plane = Plane::start();
    let client = plane.client().await;
    let _operator = Operator::start(PROGRAM, &plane, &FLAGS);
    home(&client).await;
    let ns = plane.namespace(&client).await;

    // A source that is missing is named, and nothing is made.
    create(&client, &ns, &aggregated("g")).await;
    fails_with(
        &client,
        &ns,
        "error getting source secret dynamo-system/nats-auth (--nats-auth-secret): create it",
    )
    .await;
    assert_eq!(names::<DynamoComponentDeployment>(&client, &ns).await, [""; 0]);
    make(&client, HOME, AUTH, json!({"unrelated": "x"})).await;
    fails_with(&client, &ns, "has none of the keys username, password, token, nkey, creds").await;
    api::<Secret>(&client, HOME).delete(AUTH, &DeleteParams::default()).await.unwrap();

    make_both(&client).await;
    let copy = has_copy(&client, &ns, AUTH, &json!({"username": "u", "password": "one"})).await;
    assert_eq!((copy.type_.as_deref(), copy.labels().len()), (Some("Opaque"), 0));
    has_copy(&client, &ns, CA, &json!({"ca.crt": "bundle"})).await;
    let first = rolled(&client, &ns, "g-worker", None).await;
    let wanted = [
        ("NATS_AUTH_PASSWORD", "nats-auth:password"),
        ("NATS_AUTH_USERNAME", "nats-auth:username"),
        ("SSL_CERT_FILE", "/var/run/secrets/nvidia.com/nats-ca/ca.crt"),
    ];
    let wanted: BTreeMap<_, _> =
        wanted.into_iter().map(|(name, from)| (name.to_owned(), from.to_owned())).collect();
    assert_eq!(given(&first), wanted);
    let frontend = deployment(&client, &ns, "g-frontend").await;
    assert_eq!(given(&frontend), wanted);
    settle(&client, &ns, "2").await;
    assert_eq!(generation(&client, &ns, "g-worker").await, 2);

    // Rotation: once, in every component; what nobody uses changes no pod.
    patch::<Secret>(&client, HOME, AUTH, json!({"stringData": {"password": "two"}})).await;
    let second = rolled(&client, &ns, "g-worker", checksum(&first).as_ref()).await;
    rolled(&client, &ns, "g-frontend", checksum(&frontend).as_ref()).await;
    assert_eq!(given(&second), wanted);
    patch::<Secret>(&client, HOME, AUTH, json!({"stringData": {"other": "x"}})).await;
    let with_other = json!({"username": "u", "password": "two", "other": "x"});
    has_copy(&client, &ns, AUTH, &with_other).await;
    settle(&client, &ns, "3").await;
    assert_eq!(generation(&client, &ns, "g-worker").await, 4);
    assert_eq!(generation(&client, &ns, "g-frontend").await, 2);

    // A copy that is lost is made good, without a change of pods. Copies outlive the source.
    api::<Secret>(&client, &ns).delete(AUTH, &DeleteParams::default()).await.unwrap();
    has_copy(&client, &ns, AUTH, &with_other).await;
    api::<Secret>(&client, HOME).delete(AUTH, &DeleteParams::default()).await.unwrap();
    settle(&client, &ns, "4").await;
    assert_eq!(generation(&client, &ns, "g-worker").await, 5);
    assert_eq!(generation(&client, &ns, "g-frontend").await, 2);
    has_copy(&client, &ns, AUTH, &with_other).await;
}

#[tokio::test]
async fn what_runs_stays_as_it_is_while_a_secret_that_a_flag_names_is_missing() {
    let plane = Plane::start();
    let client = plane.client().await;
    home(&client).await;
    let ns = plane.namespace(&client).await;
    let mut before = Operator::start(PROGRAM, &plane, &[]);
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    let running = deployment(&client, &ns, "g-worker").await;
    assert_eq!((checksum(&running), given(&running)), (None, BTreeMap::new()));
    before.signal("TERM");
    before.wait();

    let _operator = Operator::start(PROGRAM, &plane, &FLAGS);
    fails_with(&client, &ns, "failed to give pods the credentials of NATS and etcd: error getting source")
        .await;
    make(&client, HOME, AUTH, json!({"token": "t"})).await;
    fails_with(&client, &ns, "dynamo-system/nats-ca (--nats-tls-ca-secret): create it").await;
    assert_eq!(generation(&client, &ns, "g-worker").await, 1);
    make(&client, HOME, CA, json!({"ca.crt": "bundle"})).await;
    rolled(&client, &ns, "g-worker", None).await;
    assert_eq!(generation(&client, &ns, "g-worker").await, 2);
}

#[tokio::test]
async fn a_users_own_secret_is_kept_and_used_and_a_component_without_a_graph_gets_a_copy() {
    let plane = Plane::start();
    let client = plane.client().await;
    let _operator = Operator::start(PROGRAM, &plane, &FLAGS);
    home(&client).await;
    make_both(&client).await;
    let (by_user, by_hand) = (plane.namespace(&client).await, plane.namespace(&client).await);
    let own = make(&client, &by_user, AUTH, json!({"token": "own"})).await;
    create(&client, &by_user, &aggregated("g")).await;
    let first = rolled(&client, &by_user, "g-worker", None).await;
    assert_eq!(given(&first).get("NATS_AUTH_TOKEN").map(String::as_str), Some("nats-auth:token"));
    assert_eq!(given(&first).get("NATS_AUTH_USERNAME"), None);
    let kept: Secret = api(&client, &by_user).get(AUTH).await.unwrap();
    assert_eq!(kept.metadata.resource_version, own.metadata.resource_version);
    // Its content is followed; without it the copy takes its place.
    patch::<Secret>(&client, &by_user, AUTH, json!({"stringData": {"token": "new"}})).await;
    let second = rolled(&client, &by_user, "g-worker", checksum(&first).as_ref()).await;
    api::<Secret>(&client, &by_user).delete(AUTH, &DeleteParams::default()).await.unwrap();
    let third = rolled(&client, &by_user, "g-worker", checksum(&second).as_ref()).await;
    assert_eq!(given(&third).get("NATS_AUTH_USERNAME").map(String::as_str), Some("nats-auth:username"));

    let component: DynamoComponentDeployment = object(json!({
        "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoComponentDeployment",
        "metadata": {"name": "lone"},
        "spec": {"componentType": "worker", "dynamoNamespace": "d", "extraPodSpec": {"mainContainer": {"image": "example/serve:1"}}},
    }));
    api(&client, &by_hand).create(&PostParams::default(), &component).await.unwrap();
    let lone = rolled(&client, &by_hand, "lone", None).await;
    // Copies of one source have one checksum.
    assert_eq!(checksum(&lone), checksum(&third));
    has_copy(&client, &by_hand, CA, &json!({"ca.crt": "bundle"})).await;
}

#[tokio::test]
async fn a_restricted_operator_copies_credentials_from_outside_its_namespace_and_reads_nothing_else_there() {
    let plane = Plane::start();
    let client = plane.client().await;
    home(&client).await;
    let ns = plane.namespace(&client).await;
    let restricted = format!("--restrictedNamespace={ns}");
    let flags: Vec<&str> = FLAGS.into_iter().chain([restricted.as_str()]).collect();
    let _operator = Operator::start(PROGRAM, &plane, &flags);
    create(&client, &ns, &aggregated("g")).await;
    fails_with(&client, &ns, "error getting source secret").await;
    make_both(&client).await;
    let first = rolled(&client, &ns, "g-worker", None).await;
    patch::<Secret>(&client, HOME, AUTH, json!({"stringData": {"password": "two"}})).await;
    rolled(&client, &ns, "g-worker", checksum(&first).as_ref()).await;
    has_copy(&client, &ns, AUTH, &json!({"username": "u", "password": "two"})).await;
    let reads = audit::reads(&plane.audit_log());
    let of_home: Vec<&String> = reads.iter().filter(|line| line.contains(&format!(" {HOME}/"))).collect();
    let named = |line: &str| {
        [AUTH, CA, "mpi-run-ssh-key"].iter().any(|name| line.contains(&format!(" {HOME}/{name} ")))
    };
    assert!(!of_home.is_empty());
    assert!(of_home.iter().all(|line| named(line)), "{of_home:?}");
}
