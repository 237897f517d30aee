//! The SSH key of MPI launchers: where it is copied, what it follows, what it leaves alone.

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Operator, Plane, audit, eventually};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::{
    Client, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use super::{HOME, fails_with, home, object};
use crate::{
    PROGRAM,
    graphs::{aggregated, api, create, make_ready, names, patch},
};

const NAME: &str = "mpi-run-ssh-key";
const NO_ORCHESTRATOR: &str = "no multinode orchestrator available";

/// A graph whose worker runs `module` on two nodes.
fn spread(name: &str, module: &str) -> Value {
    let mut graph = aggregated(name);
    let worker = &mut graph["spec"]["services"]["Worker"];
    worker["multinode"] = json!({"nodeCount": 2});
    worker["extraPodSpec"]["mainContainer"]["command"] = json!(["python3", "-m", module]);
    graph
}

fn key(entries: &Value) -> Secret {
    object(json!({"metadata": {"name": NAME}, "type": "Opaque", "stringData": entries}))
}

async fn has_key(client: &Client, namespace: &str, wanted: &Value) -> Secret {
    eventually(&format!("{namespace} has the key {wanted}"), || async {
        let secret: Secret = api(client, namespace).get(NAME).await.map_err(|error| error.to_string())?;
        let entries = secret.data.clone().unwrap_or_default();
        let seen: Value = entries
            .into_iter()
            .map(|(name, value)| (name, json!(String::from_utf8(value.0).unwrap())))
            .collect();
        if seen == *wanted { Ok(secret) } else { Err(seen.to_string()) }
    })
    .await
}

#[tokio::test]
async fn the_key_goes_where_it_is_needed_and_follows_its_source() {
    let plane = Plane::start();
    let client = plane.client().await;
    let _operator = Operator::start(PROGRAM, &plane, &[]);
    home(&client).await;
    let (needs, by_reference, by_user, other) = (
        plane.namespace(&client).await,
        plane.namespace(&client).await,
        plane.namespace(&client).await,
        plane.namespace(&client).await,
    );
    let as_reference = PostParams { field_manager: Some("manager".to_owned()), ..PostParams::default() };
    let old = key(&json!({"private.key": "old", "extra": "old"}));
    api::<Secret>(&client, &by_reference).create(&as_reference, &old).await.unwrap();
    let own = json!({"private.key": "own"});
    let own_made: Secret = api(&client, &by_user).create(&PostParams::default(), &key(&own)).await.unwrap();

    // A source that is missing stops the graphs that need a copy of it, and no others.
    create(&client, &needs, &spread("g", "dynamo.trtllm")).await;
    fails_with(&client, &needs, "failed to replicate MPI secret: error getting source secret dynamo-system/")
        .await;
    create(&client, &other, &spread("g", "dynamo.vllm")).await;
    fails_with(&client, &other, NO_ORCHESTRATOR).await;
    for namespace in [&by_reference, &by_user] {
        create(&client, namespace, &spread("g", "dynamo.trtllm")).await;
        fails_with(&client, namespace, NO_ORCHESTRATOR).await;
    }

    let first = json!({"private.key": "one", "private.key.pub": "two"});
    api::<Secret>(&client, HOME).create(&PostParams::default(), &key(&first)).await.unwrap();
    let copy = has_key(&client, &needs, &first).await;
    assert_eq!((copy.type_.as_deref(), copy.labels().len()), (Some("Opaque"), 0));
    assert_eq!(copy.owner_references(), []);
    fails_with(&client, &needs, NO_ORCHESTRATOR).await;
    has_key(&client, &by_reference, &first).await;

    let second = json!({"private.key": "three"});
    let change = json!({"data": {"private.key.pub": null}, "stringData": {"private.key": "three"}});
    patch::<Secret>(&client, HOME, NAME, change).await;
    has_key(&client, &needs, &second).await;
    has_key(&client, &by_reference, &second).await;
    // A copy that is changed or lost is made good.
    patch::<Secret>(&client, &needs, NAME, json!({"stringData": {"private.key": "strange"}})).await;
    has_key(&client, &needs, &second).await;
    api::<Secret>(&client, &needs).delete(NAME, &DeleteParams::default()).await.unwrap();
    has_key(&client, &needs, &second).await;

    // Copies outlive the source, and the graphs that have one go on.
    api::<Secret>(&client, HOME).delete(NAME, &DeleteParams::default()).await.unwrap();
    let touch = json!({"spec": {"services": {"Worker": {"envs": [{"name": "LEVEL", "value": "2"}]}}}});
    patch::<DynamoGraphDeployment>(&client, &needs, "g", touch).await;
    eventually("the change was looked at", || async {
        let graph: DynamoGraphDeployment = api(&client, &needs).get("g").await.unwrap();
        let ready = graph.status.unwrap().conditions.remove(0);
        let seen = (ready.observed_generation == graph.metadata.generation, ready.message);
        if seen.0 && seen.1.contains(NO_ORCHESTRATOR) { Ok(()) } else { Err(seen.1) }
    })
    .await;
    has_key(&client, &needs, &second).await;

    let untouched = has_key(&client, &by_user, &own).await;
    assert_eq!(untouched.metadata.resource_version, own_made.metadata.resource_version);
    assert!(!names::<Secret>(&client, &other).await.contains(&NAME.to_owned()));
}

#[tokio::test]
async fn a_restricted_operator_makes_no_accounts_and_copies_the_key_from_outside_its_namespace() {
    let plane = Plane::start();
    let client = plane.client().await;
    home(&client).await;
    let ns = plane.namespace(&client).await;
    let outside = plane.namespace(&client).await;
    let _operator = Operator::start(PROGRAM, &plane, &[&format!("--restrictedNamespace={ns}")]);
    create(&client, &outside, &spread("g", "dynamo.trtllm")).await;
    create(&client, &ns, &aggregated("plain")).await;
    make_ready(&client, &ns, "plain").await;
    create(&client, &ns, &spread("g", "dynamo.trtllm")).await;
    fails_with(&client, &ns, "error getting source secret").await;
    let entries = json!({"private.key": "one"});
    api::<Secret>(&client, HOME).create(&PostParams::default(), &key(&entries)).await.unwrap();
    has_key(&client, &ns, &entries).await;
    let entries = json!({"private.key": "two"});
    patch::<Secret>(&client, HOME, NAME, json!({"stringData": entries})).await;
    has_key(&client, &ns, &entries).await;

    let accounts = names::<ServiceAccount>(&client, &ns).await;
    assert!(!accounts.iter().any(|name| name == "planner-serviceaccount"), "{accounts:?}");
    assert_eq!(names::<Secret>(&client, &outside).await, [""; 0]);
    // It has rights in its namespace, and to that one Secret.
    let reads = audit::reads(&plane.audit_log());
    let beyond: Vec<&String> = reads
        .iter()
        .filter(|line| !line.contains(&format!(" {ns}/")) && !line.contains(&format!(" {HOME}/{NAME} ")))
        .collect();
    assert_eq!(beyond, [""; 0]);
}

#[tokio::test]
async fn a_key_is_made_where_it_is_missing_and_wanted() {
    let plane = Plane::start();
    let client = plane.client().await;
    home(&client).await;
    let ns = plane.namespace(&client).await;
    let _operator = Operator::start(PROGRAM, &plane, &["--mpi-run-ssh-keygen"]);
    let made = || async {
        let secret: Secret = api(&client, HOME).get(NAME).await.map_err(|error| error.to_string())?;
        let entries = secret.data.clone().unwrap_or_default();
        let text = |name: &str| String::from_utf8(entries[name].0.clone()).unwrap();
        assert_eq!(entries.len(), 2);
        assert!(text("private.key").starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        assert!(text("private.key.pub").starts_with("ssh-rsa AAAA"));
        Ok((secret.uid(), text("private.key")))
    };
    let first = eventually("a key is made", made).await;
    create(&client, &ns, &spread("g", "dynamo.trtllm")).await;
    fails_with(&client, &ns, NO_ORCHESTRATOR).await;
    let copy: Secret = api(&client, &ns).get(NAME).await.unwrap();
    assert_eq!(String::from_utf8(copy.data.unwrap()["private.key"].0.clone()).unwrap(), first.1);

    api::<Secret>(&client, HOME).delete(NAME, &DeleteParams::default()).await.unwrap();
    let second = eventually("a key that was deleted is made again", made).await;
    assert!(second.0 != first.0 && second.1 != first.1);
}
