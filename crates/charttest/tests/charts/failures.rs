//! Values that must not install, and the words that tell the user why (charts.md section 13).
//! Must not check exact sentences: only the words people search for.

use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, RELEASE, platform};
use crate::or_skip;

fn refused(helm: &Helm, values: &Value, words: &[&str]) {
    let message = helm.refusal(values);
    for word in words {
        assert!(message.contains(word), "{values} is refused without {word:?}: {message}");
    }
}

#[test]
fn an_unknown_discovery_backend_is_refused_with_the_two_known_ones() {
    let helm = or_skip!(Helm::find(), "helm");
    let words = ["VALIDATION ERROR", "discoveryBackend must be 'kubernetes' (default) or 'etcd'"];
    for (backend, got) in
        [(json!("consul"), "Got: 'consul'"), (json!(""), "Got: ''"), (Value::Null, "Got: ''")]
    {
        refused(&helm, &json!({"discoveryBackend": backend}), &[words[0], words[1], got]);
    }
}

#[test]
fn a_cluster_wide_operator_with_its_own_election_id_is_refused() {
    let helm = or_skip!(Helm::find(), "helm");
    let words =
        ["VALIDATION WARNING: Using custom leader election ID 'my.id'", "cluster-wide", "split-brain"];
    refused(&helm, &json!({"controllerManager": {"leaderElection": {"id": "my.id"}}}), &words);
}

#[test]
fn an_election_in_the_release_namespace_is_refused_unless_restricted() {
    let helm = or_skip!(Helm::find(), "helm");
    let election = json!({"leaderElection": {"namespace": NAMESPACE}});
    let words = ["WARNING: Leader election namespace is set to the same as release namespace", NAMESPACE];
    refused(&helm, &json!({"controllerManager": election}), &words);
    let restricted = json!({"controllerManager": election, "namespaceRestriction": {"enabled": true}});
    assert_eq!(helm.operator(&restricted).flag("leader-election-namespace").as_deref(), Some(NAMESPACE));
}

/// The operator would refuse them at its start (operator-process.md section 2).
#[test]
fn times_of_the_claim_below_a_second_or_in_the_wrong_order_are_refused() {
    let helm = or_skip!(Helm::find(), "helm");
    let lease = |duration: &str, interval: &str| {
        let lease = json!({"duration": duration, "renewInterval": interval});
        json!({"namespaceRestriction": {"enabled": true, "lease": lease}})
    };
    for (duration, interval, words) in [
        ("500ms", "100ms", ["lease.", "at least 1s"]),
        ("30s", "999ms", ["lease.renewInterval", "at least 1s"]),
        ("", "30s", ["lease.renewInterval", "must be shorter"]),
        ("10s", "", ["lease.renewInterval", "must be shorter"]),
        ("1m", "1h", ["lease.renewInterval", "must be shorter"]),
        ("2.5s", "2s", ["lease.duration", "whole seconds"]),
    ] {
        refused(&helm, &lease(duration, interval), &words);
    }
    for (duration, interval) in [("1m500ms", "1000ms"), ("1.5h", "1h29m59s"), ("", "")] {
        let objects = helm.operator(&lease(duration, interval));
        assert_eq!(objects.flag("namespace-scope-lease-duration").unwrap_or_default(), duration);
    }
}

#[test]
fn a_metrics_address_without_a_port_is_refused() {
    let helm = or_skip!(Helm::find(), "helm");
    let values =
        json!({"controllerManager": {"kubeRbacProxy": {"args": ["--secure-listen-address=0.0.0.0"]}}});
    refused(&helm, &values, &["controllerManager.kubeRbacProxy.args", "must end with a port", "'0.0.0.0'"]);
}

#[test]
fn an_image_whose_parts_hold_more_than_they_should_is_refused_with_the_place_for_it() {
    let helm = or_skip!(Helm::find(), "helm");
    let image = |image: Value| json!({"controllerManager": {"manager": {"image": image}}});
    let place = "controllerManager.manager.image.digest";
    for (key, value) in [
        ("repository", "reg.example/op@sha256:ab"),
        ("tag", "v1@sha256:ab"),
        ("tag", "sha256:ab"),
        ("tag", "reg.example/op:v1"),
    ] {
        let path = format!("controllerManager.manager.image.{key}");
        refused(&helm, &image(json!({key: value})), &["VALIDATION ERROR", &path, value, place]);
    }
    refused(
        &helm,
        &image(json!({"digest": "latest"})),
        &["schema", "controllerManager/manager/image/digest"],
    );
    let objects = helm.operator(&image(json!({"repository": "reg.example:5000/op", "tag": "v1"})));
    assert_eq!(objects.manager()["image"], "reg.example:5000/op:v1");
}

#[test]
fn without_cluster_scoped_objects_what_needs_them_is_refused_with_the_value_to_set() {
    let helm = or_skip!(Helm::find(), "helm");
    let restriction = json!({"enabled": true, "clusterObjects": false});
    for (more, words) in [
        (json!({}), ["clusterObjects is false", "webhook.enabled=false"]),
        (
            json!({"webhook": {"enabled": false}}),
            ["clusterObjects is false", "metricsService.authentication=false"],
        ),
    ] {
        let mut values = more;
        values["namespaceRestriction"] = restriction.clone();
        refused(&helm, &values, &words);
    }
    // A cluster-wide operator cannot do without, so there the value says nothing.
    helm.operator(&json!({"namespaceRestriction": {"clusterObjects": false}}));
}

#[test]
fn the_order_of_checks_is_that_of_the_contract() {
    let helm = or_skip!(Helm::find(), "helm");
    let all = json!({
        "controllerManager": {"leaderElection": {"id": "my.id", "namespace": NAMESPACE}},
        "discoveryBackend": "consul",
        "dynamo": {"dockerRegistry": {"useKubernetesSecret": true}},
    });
    refused(&helm, &all, &["custom leader election ID"]);
    let last =
        json!({"discoveryBackend": "consul", "dynamo": {"dockerRegistry": {"useKubernetesSecret": true}}});
    refused(&helm, &last, &["discoveryBackend must be"]);
    let two = json!({"controllerManager": {"leaderElection": {"namespace": NAMESPACE}}, "discoveryBackend": "consul"});
    refused(&helm, &two, &["Leader election namespace is set"]);
}

#[test]
fn values_of_the_wrong_type_are_refused_with_their_path() {
    let helm = or_skip!(Helm::find(), "helm");
    for (values, path) in [
        (json!({"controllerManager": {"replicas": "many"}}), "controllerManager/replicas"),
        (json!({"controllerManager": {"replicas": -1}}), "controllerManager/replicas"),
        (
            json!({"controllerManager": {"manager": {"image": {"tag": 1.5}}}}),
            "controllerManager/manager/image/tag",
        ),
        (
            json!({"controllerManager": {"manager": {"image": {"pullPolicy": "Sometimes"}}}}),
            "controllerManager/manager/image/pullPolicy",
        ),
        (json!({"imagePullSecrets": ["pull"]}), "imagePullSecrets/0"),
        (json!({"namespaceRestriction": {"enabled": "yes"}}), "namespaceRestriction/enabled"),
        (
            json!({"namespaceRestriction": {"targetNamespace": "Team A"}}),
            "namespaceRestriction/targetNamespace",
        ),
        (json!({"namespaceRestriction": {"lease": {"duration": 30}}}), "namespaceRestriction/lease/duration"),
        (
            json!({"namespaceRestriction": {"lease": {"renewInterval": "soon"}}}),
            "namespaceRestriction/lease/renewInterval",
        ),
        (json!({"natsAddr": ["nats://n:4222"]}), "natsAddr"),
        (json!({"namespaceRestriction": {"clusterObjects": "no"}}), "namespaceRestriction/clusterObjects"),
        (json!({"metricsService": {"type": "Headless"}}), "metricsService/type"),
        (json!({"metricsService": {"ports": [{"port": 0}]}}), "metricsService/ports/0/port"),
        (json!({"metricsService": {"authentication": "no"}}), "metricsService/authentication"),
        (
            json!({"metricsService": {"serviceMonitor": {"enabled": "auto"}}}),
            "metricsService/serviceMonitor/enabled",
        ),
        (
            json!({"dynamo": {"metrics": {"podMonitors": {"enabled": "auto"}}}}),
            "dynamo/metrics/podMonitors/enabled",
        ),
        (json!({"dynamo": {"dockerRegistry": {"password": 12345}}}), "dynamo/dockerRegistry/password"),
        (json!({"dynamo": {"natsAuth": {"secretName": "A B"}}}), "dynamo/natsAuth/secretName"),
        (json!({"dynamo": {"mpiRun": {"sshKeygen": {"enabled": 1}}}}), "dynamo/mpiRun/sshKeygen/enabled"),
        (json!({"networkPolicy": {"enabled": "on"}}), "networkPolicy/enabled"),
        (
            json!({"controllerManager": {"podDisruptionBudget": {"minAvailable": "some"}}}),
            "controllerManager/podDisruptionBudget/minAvailable",
        ),
        (
            json!({"controllerManager": {"manager": {"livenessProbe": {"periodSeconds": 0}}}}),
            "controllerManager/manager/livenessProbe/periodSeconds",
        ),
        (json!({"dynamo": {"ingress": {"enabled": "on"}}}), "dynamo/ingress/enabled"),
        (json!({"kubernetesClusterDomain": ""}), "kubernetesClusterDomain"),
        (json!({"istioVirtualServiceEnabled": "yes"}), "istioVirtualServiceEnabled"),
        (json!({"checkpoint": {"enabled": "on"}}), "checkpoint/enabled"),
        (json!({"checkpoint": {"storage": {"type": 3}}}), "checkpoint/storage/type"),
        (json!({"checkpoint": {"storage": {"s3": {"uri": ["s3://b"]}}}}), "checkpoint/storage/s3/uri"),
    ] {
        refused(&helm, &values, &["schema", path]);
    }
}

#[test]
fn a_wrong_type_of_the_switch_itself_is_refused() {
    let helm = or_skip!(Helm::find(), "helm");
    let output =
        helm.template(&platform(), RELEASE, NAMESPACE, &json!({"dynamo-operator": {"enabled": "maybe"}}));
    assert!(!output.ok && output.stderr.contains("enabled"), "{}", output.stderr);
}
