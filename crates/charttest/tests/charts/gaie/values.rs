//! Every value of the chart: its default, its effect, and what is refused with which words.
//! Must cover all of values.yaml: a value without a case here is a failure.

use serde_json::{Value, json};

use super::{NAMESPACE, chart, refusal, render};
use crate::helm::{Helm, Objects, yaml};
use crate::or_skip;

/// `{"a": {"b": value}}` of the path `a.b`.
fn nested(path: &str, value: &Value) -> Value {
    path.rsplit('.').fold(value.clone(), |inner, key| json!({ key: inner }))
}

/// The paths of all values that are no section.
fn leaves(values: &Value, path: &str, found: &mut Vec<String>) {
    match values.as_object().filter(|map| !map.is_empty()) {
        None => found.push(path.to_owned()),
        Some(map) => {
            for (key, value) in map {
                leaves(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
            }
        }
    }
}

fn assert_covered<'a>(cases: impl Iterator<Item = &'a str>) {
    let mut all = Vec::new();
    leaves(&yaml(&chart().join("values.yaml")), "", &mut all);
    let cases: Vec<&str> = cases.collect();
    let covered =
        |leaf: &String| cases.iter().any(|path| leaf == path || leaf.starts_with(&format!("{path}.")));
    let missing: Vec<&String> = all.iter().filter(|leaf| !covered(leaf)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

/// What stands at a place: `env:NAME`, `container:POINTER`, `pod:POINTER`, else `KIND:POINTER`.
fn at(objects: &Objects, place: &str) -> Value {
    let (kind, pointer) = place.split_once(':').expect("a kind and a pointer");
    let found = match kind {
        "env" => {
            let env = objects.manager()["env"].as_array();
            let last = env.into_iter().flatten().rfind(|entry| entry["name"] == pointer);
            last.and_then(|entry| entry.get("value"))
        }
        "container" => objects.manager().pointer(pointer),
        "pod" => objects.pod().pointer(pointer),
        _ => {
            objects.0.iter().find(|object| object["kind"] == kind).and_then(|object| object.pointer(pointer))
        }
    };
    found.cloned().unwrap_or_default()
}

struct Case {
    path: &'static str,
    place: &'static str,
    default: Value,
    value: Value,
    then: Value,
}

/// A value and what it changes: what stands at `place` by default, and with `value`.
fn case(
    path: &'static str,
    place: &'static str,
    default: impl Into<Value>,
    value: impl Into<Value>,
    then: impl Into<Value>,
) -> Case {
    Case { path, place, default: default.into(), value: value.into(), then: then.into() }
}

fn names_and_routes() -> Vec<Case> {
    let graph = "dynamoGraphDeploymentName";
    let label = "InferencePool:/spec/selector/matchLabels/nvidia.com~1dynamo-namespace";
    let rule = "HTTPRoute:/spec/rules/0/timeouts";
    let config = "ConfigMap:/metadata/name";
    vec![
        case(graph, "env:DYN_NAMESPACE", "my-model-vllm-agg", "g", "my-model-g"),
        case(graph, label, "my-model-vllm-agg", "g", "my-model-g"),
        case("model.identifier", "env:DYN_MODEL", "Qwen/Qwen3-0.6B", "meta/llama", "meta/llama"),
        case("model.identifier", "env:DYN_MODEL", "Qwen/Qwen3-0.6B", "", ()),
        case("model.shortName", "Deployment:/metadata/name", "qwen-epp", "m", "m-epp"),
        case("model.shortName", "Service:/metadata/name", "qwen-epp", "m", "m-epp"),
        case("model.shortName", "HTTPRoute:/metadata/name", "qwen-route", "m", "m-route"),
        case("model.shortName", "InferencePool:/metadata/name", "qwen-pool", "m", "m-pool"),
        case("inferencePool.port", "InferencePool:/spec/targetPorts/0/number", 8000, 9000, 9000),
        case("inferencePool.port", "HTTPRoute:/spec/rules/0/backendRefs/0/port", 8000, 9000, 9000),
        case("httpRoute.enabled", "HTTPRoute:/kind", "HTTPRoute", false, ()),
        case("httpRoute.gatewayName", "HTTPRoute:/spec/parentRefs/0/name", "inference-gateway", "gw", "gw"),
        case("httpRoute.gatewayNamespace", "HTTPRoute:/spec/parentRefs/0/namespace", NAMESPACE, "gw", "gw"),
        case("httpRoute.path.prefix", "HTTPRoute:/spec/rules/0/matches/0/path/value", "/", "/v1", "/v1"),
        case(
            "httpRoute.timeout.request",
            rule,
            json!({"request": "300s"}),
            "1h30m",
            json!({"request": "1h30m"}),
        ),
        case("httpRoute.timeout.request", rule, json!({"request": "300s"}), "", ()),
        case("serviceAccount.create", "ServiceAccount:/kind", "ServiceAccount", false, ()),
        case("serviceAccount.name", "ServiceAccount:/metadata/name", "dynamo-gaie-epp", "mine", "mine"),
        case(
            "serviceAccount.annotations",
            "ServiceAccount:/metadata/annotations",
            (),
            json!({"cloud/role": "r"}),
            json!({"cloud/role": "r"}),
        ),
        case("rbac.clusterReviews", "ClusterRole:/kind", "ClusterRole", false, ()),
        case("rbac.clusterReviews", "ClusterRoleBinding:/kind", "ClusterRoleBinding", false, ()),
        case("nameOverride", config, "dynamo-gaie-epp-config", "picker", "dynamo-gaie-picker-epp-config"),
        case(
            "nameOverride",
            "ConfigMap:/metadata/labels/app.kubernetes.io~1name",
            "dynamo-gaie",
            "picker",
            "picker",
        ),
        case("fullnameOverride", config, "dynamo-gaie-epp-config", "f", "f-epp-config"),
        case("fullnameOverride", "Role:/metadata/name", "dynamo-gaie-epp", "f", "f-epp"),
    ]
}

fn the_pod() -> Vec<Case> {
    let nats = "nats://dynamo-platform-nats.my-model:4222";
    let log = "debug,dynamo_llm::kv_router=trace";
    let probe = json!({"grpc": {"port": 9003, "service": "inference-extension"}, "periodSeconds": 5, "failureThreshold": 9});
    let variable = |name: &str, value: Value| json!([{"name": name, "value": value}]);
    let from = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    vec![
        case("extension.image", "container:/image", "reg.example/dynamo-epp:1", "r/e:2", "r/e:2"),
        case(
            "imagePullSecrets",
            "pod:/imagePullSecrets",
            json!([{"name": "docker-imagepullsecret"}]),
            json!(["a", "1"]),
            json!([{"name": "a"}, {"name": "1"}]),
        ),
        case("epp.imagePullPolicy", "container:/imagePullPolicy", "IfNotPresent", "Never", "Never"),
        case("epp.extraEnv", "env:LIMIT", (), variable("LIMIT", json!(1_000_000)), "1000000"),
        case("epp.extraEnv", "env:SHARE", (), variable("SHARE", json!(0.25)), "0.25"),
        case("epp.extraEnv", "env:ON", (), variable("ON", json!(false)), "false"),
        case("epp.extraEnv", "env:NONE", (), json!([{"name": "NONE"}]), ""),
        case(
            "epp.extraEnv",
            "env:DYN_MODEL",
            "Qwen/Qwen3-0.6B",
            variable("DYN_MODEL", json!("mine")),
            "mine",
        ),
        case(
            "epp.extraEnv",
            "container:/env/10/valueFrom",
            (),
            json!([{"name": "TOKEN", "valueFrom": from}]),
            from.clone(),
        ),
        case("epp.argsOverride", "container:/args/1", "qwen-pool", json!(["-v", 1]), "1"),
        case("epp.useDynamo", "env:DYN_NAMESPACE", "my-model-vllm-agg", false, ()),
        case("epp.useDynamo", "pod:/volumes/1/name", "epp-config", false, ()),
        case("epp.configFile", "container:/args/15", "/etc/epp/epp-config-dynamo.yaml", "/x.yaml", "/x.yaml"),
        case("epp.rustLog", "env:RUST_LOG", log, "info", "info"),
        case("epp.rustLog", "env:RUST_LOG", log, "", ()),
        case(
            "epp.startupProbe",
            "container:/startupProbe",
            (),
            json!({"failureThreshold": 9, "periodSeconds": 5}),
            probe,
        ),
        case(
            "epp.resources",
            "container:/resources",
            (),
            json!({"requests": {"cpu": "1"}}),
            json!({"requests": {"cpu": "1"}}),
        ),
        case(
            "epp.podSecurityContext",
            "pod:/securityContext",
            json!({"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}),
            json!({"runAsUser": null, "runAsGroup": null, "fsGroup": 7}),
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": 7}),
        ),
        case(
            "epp.containerSecurityContext",
            "container:/securityContext",
            json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
            json!({"capabilities": null, "readOnlyRootFilesystem": true}),
            json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true}),
        ),
        case("epp.dynamo.kvBlockSize", "env:DYN_KV_BLOCK_SIZE", "16", "128", "128"),
        case("epp.dynamo.kvBlockSize", "env:DYN_KV_BLOCK_SIZE", "16", 8192, "8192"),
        case("epp.dynamo.useEtcd", "env:ETCD_ENDPOINTS", (), true, "dynamo-platform-etcd.my-model:2379"),
        case("epp.dynamo.useEtcd", "env:DYN_DISCOVERY_BACKEND", "kubernetes", true, ()),
        case("platformReleaseName", "env:NATS_SERVER", nats, "p", "nats://p-nats.my-model:4222"),
        case("platformReleaseName", "env:NATS_SERVER", nats, "", nats),
        case("platformNamespace", "env:NATS_SERVER", nats, "infra", "nats://dynamo-platform-nats.infra:4222"),
    ]
}

#[test]
fn every_value_has_its_default_and_its_effect() {
    let helm = or_skip!(Helm::find(), "helm");
    let cases: Vec<Case> = names_and_routes().into_iter().chain(the_pod()).collect();
    assert_covered(cases.iter().map(|case| case.path));
    let untouched = render(&helm, &json!({}));
    for Case { path, place, default, value, then } in cases {
        assert_eq!(at(&untouched, place), default, "{path}: {place} by default");
        assert_eq!(at(&render(&helm, &nested(path, &value)), place), then, "{path}={value}: {place}");
    }
}

/// A value file that takes a default back (`key: null`) still renders something that a cluster takes, or is refused.
#[test]
fn every_value_may_be_null_or_is_refused_by_its_name() {
    let helm = or_skip!(Helm::find(), "helm");
    let mut all = Vec::new();
    leaves(&yaml(&chart().join("values.yaml")), "", &mut all);
    let needed = [
        "dynamoGraphDeploymentName",
        "model.shortName",
        "inferencePool.port",
        "httpRoute.gatewayName",
        "httpRoute.path.prefix",
        "extension.image",
        "epp.configFile",
        "epp.dynamo.kvBlockSize",
    ];
    for path in all {
        let values = nested(&path, &Value::Null);
        if needed.contains(&path.as_str()) {
            let key = path.rsplit('.').next().expect("a key");
            assert!(refusal(&helm, &values).contains(key), "{path}");
        } else {
            let objects = render(&helm, &values);
            assert!(objects.0.iter().all(|object| !has_null(object)), "{path}: {:?}", objects.0);
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(map) => map.values().any(has_null),
        _ => false,
    }
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_their_path() {
    let helm = or_skip!(Helm::find(), "helm");
    let cases = [
        ("dynamoGraphDeploymentName", json!("Vllm Agg")),
        ("model.identifier", json!(["Qwen/Qwen3-0.6B"])),
        ("model.shortName", json!("Qwen")),
        ("model.shortName", json!("3-qwen")),
        ("model.shortName", json!("q".repeat(60))),
        ("inferencePool.port", json!("http")),
        ("inferencePool.port", json!(70_000)),
        ("httpRoute.enabled", json!("yes")),
        ("httpRoute.gatewayName", json!("")),
        ("httpRoute.gatewayNamespace", json!("GW")),
        ("httpRoute.path.prefix", json!("v1")),
        ("httpRoute.timeout.request", json!(300)),
        ("httpRoute.timeout.request", json!("1.5h")),
        ("extension.image", json!("reg.example/epp 1")),
        ("imagePullSecrets", json!("docker-imagepullsecret")),
        ("imagePullSecrets.0", json!([{"name": "docker-imagepullsecret"}])),
        ("epp.imagePullPolicy", json!("Sometimes")),
        ("epp.extraEnv", json!({"DYN_MODEL": "x"})),
        ("epp.extraEnv.0", json!([{"value": "x"}])),
        ("epp.extraEnv.0", json!([{"name": "X", "value": "x", "valueFrom": {"fieldRef": {}}}])),
        ("epp.argsOverride", json!("-v 4")),
        ("epp.useDynamo", json!("no")),
        ("epp.configFile", json!("")),
        ("epp.rustLog", json!(true)),
        ("epp.startupProbe.failureThreshold", json!(-1)),
        ("epp.startupProbe.periodSeconds", json!(0)),
        ("epp.resources", json!("small")),
        ("epp.podSecurityContext", json!("nonroot")),
        ("epp.containerSecurityContext", json!(["ALL"])),
        ("epp.dynamo.kvBlockSize", json!("24")),
        ("epp.dynamo.kvBlockSize", json!(8)),
        ("epp.dynamo.useEtcd", json!("on")),
        ("platformReleaseName", json!("a.b")),
        ("platformNamespace", json!("Infra")),
        ("serviceAccount.create", json!("yes")),
        ("serviceAccount.name", json!(1)),
        ("serviceAccount.annotations", json!({"a": 1})),
        ("rbac.clusterReviews", json!("yes")),
        ("nameOverride", json!(1)),
        ("fullnameOverride", json!(1)),
    ];
    assert_covered(cases.iter().map(|(path, _)| *path));
    for (path, value) in cases {
        let message = refusal(&helm, &nested(path.trim_end_matches(".0"), &value));
        let place = format!("/{}", path.replace('.', "/"));
        assert!(message.contains(&place), "{path}={value} is refused without {place}: {message}");
    }
}

#[test]
fn a_misspelt_key_within_a_section_is_refused() {
    let helm = or_skip!(Helm::find(), "helm");
    for section in [
        "model",
        "inferencePool",
        "httpRoute",
        "httpRoute.path",
        "httpRoute.timeout",
        "extension",
        "epp",
        "epp.startupProbe",
        "epp.resources",
        "epp.dynamo",
        "serviceAccount",
        "rbac",
    ] {
        let message = refusal(&helm, &nested(&format!("{section}.mispelt"), &json!(true)));
        assert!(message.contains("'mispelt' not allowed"), "{section}: {message}");
    }
    render(&helm, &json!({"dynamo-operator": {"enabled": true}, "global": {}}));
}

#[test]
fn a_namespace_and_graph_too_long_for_a_label_are_refused_with_the_fix() {
    let helm = or_skip!(Helm::find(), "helm");
    render(&helm, &json!({"dynamoGraphDeploymentName": "g".repeat(54)}));
    let message = refusal(&helm, &json!({"dynamoGraphDeploymentName": "g".repeat(55)}));
    for words in ["dynamoGraphDeploymentName", "64 characters, more than 63", "use a shorter name"] {
        assert!(message.contains(words), "{words:?} is missing in {message}");
    }
}

#[test]
fn every_value_has_a_comment() {
    let values = std::fs::read_to_string(chart().join("values.yaml")).expect("the values");
    let mut before = "";
    for line in values.lines().map(str::trim) {
        let value = line.split_once(':').filter(|_| !line.starts_with(['#', '-']));
        if value.is_some_and(|(_, value)| !value.trim().is_empty()) {
            assert!(before.starts_with('#'), "{line:?} has no comment");
        }
        before = line;
    }
}
