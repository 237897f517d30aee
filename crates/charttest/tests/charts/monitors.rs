//! The metrics Service, its port, and what Prometheus scrapes (charts.md sections 6, 11).
//! Must not look at rights: `rights.rs` does.

use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, Objects, text};
use crate::or_skip;

const API: &str = "monitoring.coreos.com/v1";

fn monitors(objects: &Objects) -> Vec<String> {
    objects.list().into_iter().filter(|name| name.contains("Monitor ")).collect()
}

#[test]
fn the_operator_serves_metrics_itself_and_the_service_leads_to_it() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&json!({}));
    assert_eq!(objects.pod()["containers"].as_array().map(Vec::len), Some(1), "no proxy");
    let port = json!({"name": "https", "containerPort": 8443, "protocol": "TCP"});
    assert_eq!(objects.manager()["ports"][0], port);
    let service = objects.get("Service", FULLNAME);
    assert_eq!(service["spec"]["type"], "ClusterIP");
    let ports = json!([{"name": "https", "port": 8443, "protocol": "TCP", "targetPort": "https"}]);
    assert_eq!(service["spec"]["ports"], ports);
    assert_eq!(
        service["spec"]["selector"],
        objects.deployment()["spec"]["selector"]["matchLabels"],
        "it selects the operator's pods"
    );
    let moved = json!({"controllerManager": {"kubeRbacProxy": {"args": ["--secure-listen-address=:9999"]}}});
    let moved = helm.operator(&moved);
    assert_eq!(moved.manager()["ports"][0]["containerPort"], 9999);
    let own = json!({"metricsService": {"type": "LoadBalancer", "ports": [{"name": "m", "port": 443, "targetPort": "https"}]}});
    let spec = helm.operator(&own).get("Service", FULLNAME)["spec"].clone();
    assert_eq!((&spec["type"], &spec["ports"][0]["port"]), (&json!("LoadBalancer"), &json!(443)));
    let off = helm.operator(&json!({"metricsService": {"enabled": false}}));
    assert!(off.find("Service", FULLNAME).is_none());
}

/// Null detects; a render without a cluster cannot, so true makes them anyway.
#[test]
fn monitors_are_made_where_the_cluster_knows_them_or_where_the_value_says_so() {
    let helm = or_skip!(Helm::find(), "helm");
    let pods = ["dynamo-epp", "dynamo-frontend", "dynamo-planner", "dynamo-worker"];
    let pods = pods.map(|name| format!("PodMonitor {name}"));
    let operator = [format!("ServiceMonitor {FULLNAME}-operator")];
    for (value, known, made) in [
        (Value::Null, true, true),
        (Value::Null, false, false),
        (json!(true), false, true),
        (json!(true), true, true),
        (json!(false), true, false),
    ] {
        let apis: &[&str] = if known { &[API] } else { &[] };
        let made = |of: &[String]| if made { of.to_vec() } else { Vec::new() };
        let of_pods = json!({
            "dynamo": {"metrics": {"podMonitors": {"enabled": value}}},
            "metricsService": {"serviceMonitor": {"enabled": false}},
        });
        assert_eq!(monitors(&helm.operator_with(&of_pods, apis)), made(&pods), "{value}, {known}");
        let of_operator = json!({
            "dynamo": {"metrics": {"podMonitors": {"enabled": false}}},
            "metricsService": {"serviceMonitor": {"enabled": value}},
        });
        assert_eq!(monitors(&helm.operator_with(&of_operator, apis)), made(&operator), "{value}, {known}");
    }
    let off = json!({"metricsService": {"enabled": false, "serviceMonitor": {"enabled": true}}});
    assert_eq!(monitors(&helm.operator(&off)), Vec::<String>::new(), "it needs the Service");
}

#[test]
fn prometheus_shows_a_token_of_its_own_or_of_yours_only_where_one_is_asked_for() {
    let helm = or_skip!(Helm::find(), "helm");
    let endpoint = |values: Value| {
        let objects = helm.operator_with(&json!({ "metricsService": values }), &[API]);
        let monitor = objects.get("ServiceMonitor", &format!("{FULLNAME}-operator"));
        assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
        monitor["spec"]["endpoints"][0].clone()
    };
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let mut expected = json!({
        "port": "https", "scheme": "https", "path": "/metrics", "interval": "15s", "honorLabels": true,
        "bearerTokenFile": token, "tlsConfig": {"insecureSkipVerify": true},
    });
    assert_eq!(endpoint(json!({})), expected);
    let own = json!({"type": "Bearer", "credentials": {"name": "scraper", "key": "token"}});
    let with_own = endpoint(json!({"serviceMonitor": {"authorization": own}}));
    assert_eq!((&with_own["authorization"], &with_own["bearerTokenFile"]), (&own, &Value::Null));
    expected.as_object_mut().expect("a map").remove("bearerTokenFile");
    assert_eq!(endpoint(json!({"authentication": false})), expected);
}

/// A ServiceMonitor knows ports by their names.
#[test]
fn the_monitor_asks_by_the_port_of_the_service_that_leads_to_the_metrics() {
    let helm = or_skip!(Helm::find(), "helm");
    let with = |ports: &Value, enabled: bool| json!({"metricsService": {"ports": ports, "serviceMonitor": {"enabled": enabled}}});
    let other = json!({"name": "other", "port": 80, "targetPort": "web"});
    for (port, name) in [
        (json!({"name": "secure", "port": 443, "targetPort": "https"}), "secure"),
        (json!({"name": "by-number", "port": 443, "targetPort": 8443}), "by-number"),
        (json!({"name": "the-same", "port": 8443}), "the-same"),
    ] {
        let objects = helm.operator(&with(&json!([other, port]), true));
        let monitor = objects.get("ServiceMonitor", &format!("{FULLNAME}-operator"));
        assert_eq!(monitor["spec"]["endpoints"][0]["port"], name);
    }
    for ports in [json!([other]), json!([{"port": 8443, "targetPort": "https"}])] {
        let message = helm.refusal(&with(&ports, true));
        for words in [
            "metricsService.ports has no port with a name and targetPort https",
            "metricsService.serviceMonitor.enabled=false",
        ] {
            assert!(message.contains(words), "{message}");
        }
        helm.operator(&with(&ports, false));
    }
}

#[test]
fn labels_and_names_of_monitors_are_yours_to_choose() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({
        "metricsService": {"serviceMonitor": {"labels": {"release": null, "team": "a"}}},
        "dynamo": {"metrics": {"podMonitors": {"labels": {"team": "b"}, "namePrefix": "team-b-"}}},
    });
    let objects = helm.operator_with(&values, &[API]);
    let labels = &objects.get("ServiceMonitor", &format!("{FULLNAME}-operator"))["metadata"]["labels"];
    assert_eq!((&labels["team"], &labels["release"]), (&json!("a"), &Value::Null));
    for part in ["frontend", "worker", "planner", "epp"] {
        let monitor = objects.get("PodMonitor", &format!("team-b-dynamo-{part}"));
        assert_eq!(monitor["metadata"]["labels"], json!({"team": "b"}));
    }
}

/// By type, port and namespace, as pods carry them.
#[test]
fn pods_of_every_type_with_metrics_are_scraped_once() {
    let helm = or_skip!(Helm::find(), "helm");
    for (restriction, namespaces) in [
        (json!({}), json!({"any": true})),
        (json!({"enabled": true}), json!({"matchNames": ["dynamo-system"]})),
        (json!({"enabled": true, "targetNamespace": "tenant"}), json!({"matchNames": ["tenant"]})),
    ] {
        let objects = helm.operator_with(&json!({ "namespaceRestriction": restriction }), &[API]);
        let mut scraped = Vec::new();
        for monitor in objects.0.iter().filter(|object| object["kind"] == "PodMonitor") {
            let spec = &monitor["spec"];
            assert_eq!(spec["namespaceSelector"], namespaces);
            let (label, labels) = ("nvidia.com/dynamo-component-type", &spec["selector"]["matchLabels"]);
            assert_eq!(labels["nvidia.com/metrics-enabled"], "true", "a graph can opt out");
            let endpoint = &spec["podMetricsEndpoints"][0];
            assert_eq!((&endpoint["path"], &endpoint["interval"]), (&json!("/metrics"), &json!("5s")));
            let port = text(&endpoint["port"]);
            let types = &spec["selector"]["matchExpressions"][0];
            match labels[label].as_str() {
                Some(one) => scraped.push((one.to_owned(), port)),
                None => {
                    assert_eq!((&types["key"], &types["operator"]), (&json!(label), &json!("In")));
                    let types = types["values"].as_array().into_iter().flatten();
                    scraped.extend(types.map(|one| (text(one).to_owned(), port)));
                }
            }
        }
        scraped.sort();
        let expected = [
            ("decode", "system"),
            ("epp", "metrics"),
            ("frontend", "http"),
            ("planner", "metrics"),
            ("prefill", "system"),
            ("worker", "system"),
        ];
        assert_eq!(scraped, expected.map(|(part, port)| (part.to_owned(), port)));
    }
}
