//! Every form in which an object can come: dry run, generated name, subresource, terminating, huge, with fields that
//! nobody knows. Reviews must judge each as its user means it.

use dynamo_testkit::{Plane, webhooks::UNREVIEWED_USER};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{Reviewer, asked::Asked, make_namespace, reviewer};
use crate::graphs::aggregated;

const NAMESPACES: [&str; 8] = [
    "form-dry-run",
    "form-generated",
    "form-status",
    "form-terminating",
    "form-huge",
    "form-unknown",
    "form-origin",
    "form-unreadable",
];

/// One operator reviews all of them.
async fn reviewed(namespace: &str) -> Client {
    static REVIEWER: OnceCell<Reviewer> = OnceCell::const_new();
    let client = Plane::shared().client().await;
    REVIEWER
        .get_or_init(|| async {
            for name in NAMESPACES {
                make_namespace(&client, name).await;
            }
            reviewer(Plane::shared(), &client, "forms", &NAMESPACES, &["--operator-version=0.9.7"]).await
        })
        .await;
    assert!(NAMESPACES.contains(&namespace));
    client
}

fn broken(name: &str) -> Value {
    let mut graph = aggregated(name);
    graph["spec"]["services"]["Worker"]["resources"] = json!({"limits": {"cpu": "a lot"}});
    graph
}

const FAULT: &str = "spec.services[Worker].resources.limits.cpu";

#[tokio::test]
async fn a_dry_run_is_judged_and_leaves_nothing() {
    let client = reviewed("form-dry-run").await;
    let asked = Asked::new(&client, "form-dry-run");
    let refused = asked.dry().create(&broken("g")).await;
    assert!(refused.code == 403 && refused.message().contains(FAULT), "{refused:?}");
    let good = aggregated("g");
    let accepted = asked.dry().create(&good).await;
    assert!(accepted.is_accepted(), "{accepted:?}");
    assert_eq!(asked.delete(&good).await.code, 404);
}

#[tokio::test]
async fn a_generated_name_is_judged_like_a_given_one() {
    let client = reviewed("form-generated").await;
    let asked = Asked::new(&client, "form-generated");
    let generated = |mut graph: Value, prefix: &str| {
        graph["metadata"] = json!({"generateName": prefix});
        graph
    };
    let made = asked.create(&generated(aggregated("x"), "chat-")).await;
    assert!(made.is_accepted(), "{made:?}");
    let name = made.body["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("chat-") && name.len() > "chat-".len(), "{name}");
    let refused = asked.create(&generated(broken("x"), "chat-")).await;
    assert!(refused.message().contains(FAULT), "{refused:?}");
    // With the five characters that the API server adds, a Service name would be too long.
    let long = "n".repeat(50);
    let refused = asked.create(&generated(aggregated("x"), &long)).await;
    assert!(refused.code == 403 && refused.message().contains("metadata.name"), "{refused:?}");
}

#[tokio::test]
async fn status_and_scale_are_written_without_a_review() {
    let client = reviewed("form-status").await;
    let asked = Asked::new(&client, "form-status");
    // A graph that admission refuses today: a review of the write would end it.
    let graph = broken("g");
    assert!(asked.by(Some(UNREVIEWED_USER)).create(&graph).await.is_accepted());
    let written = asked.merge(&graph, Some("status"), &json!({"status": {"state": "failed"}})).await;
    assert!(written.is_accepted(), "{written:?}");
    let adapter = json!({"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeploymentScalingAdapter",
        "metadata": {"name": "a"}, "spec": {"replicas": 1, "dgdRef": {"name": "g", "serviceName": "Worker"}}});
    assert!(asked.create(&adapter).await.is_accepted());
    let scaled = asked.merge(&adapter, Some("scale"), &json!({"spec": {"replicas": 3}})).await;
    assert!(scaled.is_accepted() && scaled.body["spec"]["replicas"] == 3, "{scaled:?}");
}

#[tokio::test]
async fn a_terminating_object_can_always_be_let_go() {
    let client = reviewed("form-terminating").await;
    let asked = Asked::new(&client, "form-terminating");
    let mut graph = broken("g");
    graph["metadata"]["finalizers"] = json!(["example.com/hold"]);
    assert!(asked.by(Some(UNREVIEWED_USER)).create(&graph).await.is_accepted());
    let label =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"services": {"Worker": {"replicas": 9}}}});
    assert!(asked.delete(&graph).await.is_accepted());
    let changed = asked.merge(&graph, None, &label).await;
    assert!(changed.is_accepted(), "{changed:?}");
    let released = asked.merge(&graph, None, &json!({"metadata": {"finalizers": null}})).await;
    assert!(released.is_accepted(), "{released:?}");
    assert_eq!(asked.delete(&graph).await.code, 404);
}

#[tokio::test]
async fn an_object_as_large_as_etcd_takes_is_made_changed_and_let_go() {
    let client = reviewed("form-huge").await;
    let asked = Asked::new(&client, "form-huge");
    let mut graph = aggregated("g");
    graph["metadata"]["finalizers"] = json!(["example.com/hold"]);
    // Admitted but not reconciled: a component of this size would be one object too large.
    let text = "x".repeat(1_400 * 1024);
    graph["spec"]["envs"] = json!([{"name": "LARGE", "value": text}]);
    let made = asked.create(&graph).await;
    assert!(made.is_accepted(), "{} {}", made.code, made.message());
    let changed = asked.merge(&graph, None, &json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert!(changed.is_accepted(), "{} {}", changed.code, changed.message());
    let fault = json!({"spec": {"services": {"Worker": {"resources": {"limits": {"cpu": "a lot"}}}}}});
    let refused = asked.merge(&graph, None, &fault).await;
    assert!(
        refused.code == 403 && refused.message().contains(FAULT),
        "{} {}",
        refused.code,
        refused.message()
    );
    assert!(asked.delete(&graph).await.is_accepted());
    let released = asked.merge(&graph, None, &json!({"metadata": {"finalizers": null}})).await;
    assert!(released.is_accepted(), "{} {}", released.code, released.message());
}

#[tokio::test]
async fn fields_of_a_newer_release_do_not_stop_an_object() {
    let client = reviewed("form-unknown").await;
    let asked = Asked::new(&client, "form-unknown");
    let mut graph = aggregated("g");
    graph["spec"]["newer"] = json!({"a": [1]});
    graph["spec"]["services"]["Worker"]["newer"] = json!(true);
    graph["spec"]["services"]["Worker"]["extraPodSpec"]["mainContainer"]["newer"] = json!("x");
    let made = asked.dry().create(&graph).await;
    assert!(made.is_accepted(), "{made:?}");
    // What the schema says to keep is kept, and the review does not mind it.
    let request = json!({"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeploymentRequest",
        "metadata": {"name": "r"}, "spec": {"model": "m", "backend": "vllm", "profilingConfig": {
            "profilerImage": "example/profiler:1", "config": {"newer": {"deep": [1, {"x": null}]}}}}});
    let made = asked.create(&request).await;
    assert!(made.is_accepted(), "{made:?}");
    assert_eq!(made.body["spec"]["profilingConfig"]["config"]["newer"]["deep"][0], 1);
}

#[tokio::test]
async fn the_origin_version_is_stamped_once_and_never_over_another_one() {
    let client = reviewed("form-origin").await;
    let asked = Asked::new(&client, "form-origin");
    let origin = |answer: &super::asked::Answer| {
        answer.body["metadata"]["annotations"]["nvidia.com/dynamo-operator-origin-version"].clone()
    };
    let made = asked.create(&aggregated("fresh")).await;
    assert_eq!(origin(&made), "0.9.7+dynamo-rs", "{made:?}");
    let mut older = aggregated("older");
    older["metadata"]["annotations"] =
        json!({"nvidia.com/dynamo-operator-origin-version": "0.8.1", "other": "x"});
    let made = asked.create(&older).await;
    assert_eq!(origin(&made), "0.8.1", "{made:?}");
    // An object of a release that did not stamp stays without: it was not admitted by us.
    let plain = aggregated("plain");
    assert!(asked.by(Some(UNREVIEWED_USER)).create(&plain).await.is_accepted());
    let changed = asked.merge(&plain, None, &json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(origin(&changed), Value::Null, "{changed:?}");
}

#[tokio::test]
async fn what_does_not_fit_its_type_is_refused_by_the_name_of_the_field() {
    let client = reviewed("form-unreadable").await;
    let asked = Asked::new(&client, "form-unreadable");
    let mut graph = aggregated("g");
    graph["spec"]["services"]["Worker"]["replicas"] = json!("two");
    let refused = asked.create(&graph).await;
    assert!(!refused.is_accepted() && refused.message().contains("replicas"), "{refused:?}");
    assert!(refused.code < 500, "{refused:?}");
}
