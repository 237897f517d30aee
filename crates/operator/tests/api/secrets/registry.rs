//! Pull secrets: found by registry, followed as they come and go, complete before the first write.

use dynamo_testkit::{Operator, Plane, audit, eventually};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Client,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use super::{generation, object, pods};
use crate::{
    PROGRAM,
    graphs::{aggregated, api, create, deployment, make_ready, patch},
    operator, shared_operator,
};

const HOST: &str = "registry.example:5000";

async fn add(client: &Client, namespace: &str, name: &str, configuration: &Value) {
    let secret = json!({
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": configuration.to_string()},
    });
    api::<Secret>(client, namespace).create(&PostParams::default(), &object(secret)).await.unwrap();
}

fn for_host(host: &str) -> Value {
    json!({"auths": {format!("https://{host}/v2/"): {"username": "u", "password": "hunter2"}}})
}

/// A graph whose worker comes from [`HOST`] and whose frontend does not.
fn graph(name: &str) -> Value {
    let mut graph = aggregated(name);
    graph["spec"]["services"]["Worker"]["extraPodSpec"]["mainContainer"]["image"] =
        format!("{HOST}/team/engine:1").into();
    graph
}

async fn pulls_with(client: &Client, namespace: &str, name: &str, wanted: &[&str]) {
    pods(client, namespace, name, &format!("pull secrets {wanted:?}"), |pod| {
        let secrets = pod.image_pull_secrets.iter().flatten();
        let names: Vec<&str> = secrets.map(|secret| secret.name.as_str()).collect();
        if names == wanted { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;
}

#[tokio::test]
async fn the_secrets_of_an_images_registry_are_pulled_with_unless_the_service_opts_out() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    add(&client, &ns, "known", &for_host(HOST)).await;
    add(&client, &ns, "unrelated", &for_host("registry.example")).await;
    let mut graph = graph("g");
    let services = graph["spec"]["services"].as_object_mut().unwrap();
    let mut out = services["Worker"].clone();
    out["annotations"] = json!({"nvidia.com/disable-image-pull-secret-discovery": "true"});
    services.insert("Out".to_owned(), out);
    create(&client, &ns, &graph).await;
    pulls_with(&client, &ns, "g-worker", &["known"]).await;
    pulls_with(&client, &ns, "g-frontend", &[]).await;
    pulls_with(&client, &ns, "g-out", &[]).await;
}

#[tokio::test]
async fn a_secret_that_comes_or_goes_changes_the_pods_of_its_registry_and_no_others() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &graph("g")).await;
    make_ready(&client, &ns, "g").await;
    let before = generation(&client, &ns, "g-frontend").await;
    add(&client, &ns, "second", &for_host(HOST)).await;
    pulls_with(&client, &ns, "g-worker", &["second"]).await;
    // The order of what runs is kept: the same Secrets in another order would be another pod.
    add(&client, &ns, "first", &for_host(HOST)).await;
    pulls_with(&client, &ns, "g-worker", &["second", "first"]).await;

    let other = json!({"stringData": {".dockerconfigjson": for_host("elsewhere.example").to_string()}});
    patch::<Secret>(&client, &ns, "second", other).await;
    pulls_with(&client, &ns, "g-worker", &["first"]).await;
    api::<Secret>(&client, &ns).delete("first", &DeleteParams::default()).await.unwrap();
    pulls_with(&client, &ns, "g-worker", &[]).await;
    assert_eq!(generation(&client, &ns, "g-frontend").await, before);
}

#[tokio::test]
async fn a_malformed_secret_is_named_without_its_content_and_stops_no_other() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    add(&client, &ns, "a-malformed", &json!({"auths": ["hunter2"]})).await;
    add(&client, &ns, "b-empty", &json!({})).await;
    add(&client, &ns, "c-good", &for_host(HOST)).await;
    create(&client, &ns, &graph("g")).await;
    pulls_with(&client, &ns, "g-worker", &["c-good"]).await;
    eventually("the log names it", || async {
        let log = shared_operator().log_text();
        assert!(!log.contains("hunter2"), "{log}");
        let mut lines =
            log.lines().filter(|line| line.contains(&ns) && line.contains("no Docker configuration"));
        match (lines.next(), lines.next()) {
            (Some(line), None) if line.contains("a-malformed") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_restart_takes_no_pull_secret_away_and_writes_nothing() {
    let plane = Plane::start();
    let client = plane.client().await;
    let mut operator = Operator::start(PROGRAM, &plane, &[]);
    let ns = plane.namespace(&client).await;
    // So much to read that every other watch is done long before.
    let mut large = for_host("elsewhere.example");
    large["auths"]["https://elsewhere.example/v2/"]["auth"] = "a".repeat(500_000).into();
    for at in 0..20 {
        add(&client, &ns, &format!("large-{at}"), &large).await;
    }
    add(&client, &ns, "known", &for_host(HOST)).await;
    for at in 0..5 {
        create(&client, &ns, &graph(&format!("g{at}"))).await;
        deployment(&client, &ns, &format!("g{at}-worker")).await;
    }
    for at in 0..5 {
        make_ready(&client, &ns, &format!("g{at}")).await;
    }
    operator.signal("TERM");
    assert!(operator.wait().success(), "{}", operator.log_text());
    let before = audit::writes(&plane.audit_log()).len();
    let operator = Operator::start(PROGRAM, &plane, &[]);
    eventually("every component was looked at", || async {
        let seen = operator.metrics();
        let line = seen.lines().find(|line| {
            line.starts_with("dynamo_operator_applied_objects_total")
                && line.contains(r#"kind="Deployment",outcome="unchanged""#)
        });
        match line.and_then(|line| line.split_whitespace().last()?.parse::<u32>().ok()) {
            Some(count) if count >= 10 => Ok(()),
            _ => Err(format!("{line:?}")),
        }
    })
    .await;
    let after = audit::writes(&plane.audit_log());
    assert_eq!(after[before..], [] as [String; 0]);
    pulls_with(&client, &ns, "g0-worker", &["known"]).await;
}
