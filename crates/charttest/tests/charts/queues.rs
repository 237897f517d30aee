//! Queues of the KAI scheduler (charts.md section 12).
//! Must not need a cluster: a stand-in answers what is looked up.

use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, Objects, RELEASE, api_versions, platform, text};
use crate::or_skip;
use crate::stand_in::StandIn;

const API: &str = "scheduling.run.ai/v2";

fn queues(objects: &Objects) -> Vec<&str> {
    let queues = objects.0.iter().filter(|object| object["kind"] == "Queue");
    queues.map(|queue| text(&queue["metadata"]["name"])).collect()
}

#[test]
fn the_default_queues_are_made_where_the_scheduler_is_also_without_an_operator() {
    let helm = or_skip!(Helm::find(), "helm");
    assert_eq!(queues(&helm.operator(&json!({}))), Vec::<&str>::new());
    for values in [json!({}), json!({"enabled": false}), json!({"namespaceRestriction": {"enabled": true}})] {
        let objects = helm.operator_with(&values, &[API]);
        assert_eq!(queues(&objects), ["dynamo-default", "dynamo"], "{values}: the parent first");
        let amount = json!({"quota": -1, "limit": -1, "overQuotaWeight": 1});
        let resources = json!({"cpu": amount, "gpu": amount, "memory": amount});
        assert_eq!(objects.get("Queue", "dynamo-default")["spec"], json!({ "resources": resources }));
        assert_eq!(
            objects.get("Queue", "dynamo")["spec"],
            json!({"parentQueue": "dynamo-default", "resources": resources})
        );
    }
}

/// They may be the administrator's, with limits of his.
#[test]
fn a_queue_that_is_there_is_left_as_it_is() {
    let helm = or_skip!(Helm::find(), "helm");
    let queue = |name: &str| json!({"apiVersion": API, "kind": "Queue", "metadata": {"name": name}});
    for (present, made) in [
        (vec![], vec!["dynamo-default", "dynamo"]),
        (vec![queue("dynamo-default")], vec!["dynamo"]),
        (vec![queue("dynamo")], vec!["dynamo-default"]),
        (vec![queue("dynamo"), queue("dynamo-default")], vec![]),
    ] {
        let cluster = StandIn::start(present);
        let mut more = api_versions(&[API]);
        more.extend(cluster.arguments());
        let output = helm.template_with(&platform(), RELEASE, NAMESPACE, &json!({}), &more);
        assert_eq!(queues(&Objects::parse(&output)), made);
    }
}

#[test]
fn who_may_make_nothing_without_a_namespace_gets_no_queue_and_looks_for_none() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({"dynamo-operator": {
        "namespaceRestriction": {"enabled": true, "clusterObjects": false},
        "webhook": {"enabled": false}, "metricsService": {"authentication": false},
    }});
    let cluster = StandIn::forbidding();
    let mut more = api_versions(&[API]);
    more.extend(cluster.arguments());
    let objects = Objects::parse(&helm.template_with(&platform(), RELEASE, NAMESPACE, &values, &more));
    assert_eq!(queues(&objects), Vec::<&str>::new());
}

/// When the scheduler comes after the chart, the operator makes them.
#[test]
fn a_cluster_wide_operator_may_make_queues_and_a_restricted_one_reads_them() {
    let helm = or_skip!(Helm::find(), "helm");
    let verbs = |values: Value, kind: &str, suffix: &str| {
        let objects = helm.operator(&values);
        let role = objects.get(kind, &format!("dynamo-platform-dynamo-operator-{suffix}"));
        let about = role["rules"].as_array().into_iter().flatten();
        let about = about.filter(|rule| rule["resources"] == json!(["queues"]));
        about.map(|rule| rule["verbs"].clone()).collect::<Vec<_>>()
    };
    let restricted = || json!({"namespaceRestriction": {"enabled": true}});
    let made = json!(["create", "get", "list", "watch"]);
    assert_eq!(verbs(json!({}), "ClusterRole", "manager-role"), [made]);
    assert_eq!(verbs(restricted(), "Role", "manager-role"), Vec::<Value>::new());
    for values in [json!({}), restricted()] {
        let read = json!(["get", "list"]);
        assert_eq!(verbs(values, "ClusterRole", "dynamo-system-queue-reader"), [read]);
    }
}
