//! Each value of bundled NATS that changes one place: its default and its effect (charts.md section 4).
//! Must not look at how places depend on each other: `nats.rs` does.

use serde_json::{Value, json};

use crate::helm::Helm;
use crate::nats::{at, nats};
use crate::or_skip;

const SET: &str = "StatefulSet dynamo-platform-nats";
const SERVICE: &str = "Service dynamo-platform-nats";
const CLAIM: &str = "/spec/volumeClaimTemplates/0/spec";

/// A value, where its effect shows (object and place), and what stands there with and without it.
type Case = (Value, &'static str, &'static str, Value, Value);

fn store_cases() -> Vec<Case> {
    let pvc = |value: Value| json!({"config": {"jetstream": {"fileStore": {"pvc": value}}}});
    vec![
        (json!({"config": {"cluster": {"enabled": true}}}), SET, "/spec/replicas", json!(3), json!(1)),
        (
            json!({"config": {"cluster": {"enabled": true, "replicas": 5}}}),
            SET,
            "/spec/replicas",
            json!(5),
            json!(1),
        ),
        (
            pvc(json!({"size": "50Gi"})),
            SET,
            "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
            json!("50Gi"),
            json!("10Gi"),
        ),
        (
            pvc(json!({"storageClassName": "fast"})),
            SET,
            "/spec/volumeClaimTemplates/0/spec/storageClassName",
            json!("fast"),
            Value::Null,
        ),
        (
            pvc(json!({"name": "streams"})),
            SET,
            "/spec/volumeClaimTemplates/0/metadata/name",
            json!("streams"),
            json!("dynamo-platform-nats-js"),
        ),
        (
            pvc(json!({"merge": {"metadata": {"labels": {"a": "b"}}}})),
            SET,
            "/spec/volumeClaimTemplates/0/metadata/labels",
            json!({"a": "b"}),
            Value::Null,
        ),
        (
            pvc(
                json!({"patch": [{"op": "replace", "path": "/spec/accessModes/0", "value": "ReadWriteOncePod"}]}),
            ),
            SET,
            "/spec/volumeClaimTemplates/0/spec/accessModes/0",
            json!("ReadWriteOncePod"),
            json!("ReadWriteOnce"),
        ),
        (
            pvc(json!({"enabled": false})),
            SET,
            CLAIM,
            Value::Null,
            json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}),
        ),
    ]
}

fn container_cases() -> Vec<Case> {
    vec![
        (
            json!({"container": {"image": {"repository": "n", "tag": 2}}}),
            SET,
            "/spec/template/spec/containers/0/image",
            json!("n:2"),
            json!("nats:2.10.21-alpine"),
        ),
        (
            json!({"container": {"image": {"registry": "reg.example"}}}),
            SET,
            "/spec/template/spec/containers/0/image",
            json!("reg.example/nats:2.10.21-alpine"),
            json!("nats:2.10.21-alpine"),
        ),
        (
            json!({"global": {"image": {"registry": "reg.example"}}}),
            SET,
            "/spec/template/spec/containers/1/image",
            json!("reg.example/natsio/nats-server-config-reloader:0.16.0"),
            json!("natsio/nats-server-config-reloader:0.16.0"),
        ),
        (
            json!({"global": {"image": {"pullSecretNames": ["pull"]}}}),
            SET,
            "/spec/template/spec/imagePullSecrets",
            json!([{"name": "pull"}]),
            Value::Null,
        ),
        (
            json!({"container": {"image": {"pullPolicy": "Always"}}}),
            SET,
            "/spec/template/spec/containers/0/imagePullPolicy",
            json!("Always"),
            Value::Null,
        ),
        (
            json!({"container": {"env": {"GOMEMLIMIT": "1GiB"}}}),
            SET,
            "/spec/template/spec/containers/0/env/2",
            json!({"name": "GOMEMLIMIT", "value": "1GiB"}),
            Value::Null,
        ),
        (
            json!({"container": {"ports": {"nats": {"hostPort": 4222}}}}),
            SET,
            "/spec/template/spec/containers/0/ports/0/hostPort",
            json!(4222),
            Value::Null,
        ),
        (
            json!({"container": {"merge": {"resources": {"limits": {"memory": "1Gi"}}}}}),
            SET,
            "/spec/template/spec/containers/0/resources",
            json!({"limits": {"memory": "1Gi"}}),
            Value::Null,
        ),
        (
            json!({"container": {"patch": [{"op": "add", "path": "/args/-", "value": "-D"}]}}),
            SET,
            "/spec/template/spec/containers/0/args/2",
            json!("-D"),
            Value::Null,
        ),
        (
            json!({"reloader": {"enabled": false}}),
            SET,
            "/spec/template/spec/shareProcessNamespace",
            Value::Null,
            json!(true),
        ),
        (
            json!({"promExporter": {"enabled": true, "port": 7778}}),
            SET,
            "/spec/template/spec/containers/2/ports/0",
            json!({"name": "prom-metrics", "containerPort": 7778}),
            Value::Null,
        ),
    ]
}

fn pod_cases() -> Vec<Case> {
    let toleration = json!([{"key": "dedicated", "operator": "Exists"}]);
    vec![
        (
            json!({"config": {"serverNamePrefix": "eu-"}}),
            SET,
            "/spec/template/spec/containers/0/env/1/value",
            json!("eu-$(POD_NAME)"),
            json!("$(POD_NAME)"),
        ),
        (
            json!({"podTemplate": {"merge": {"spec": {"tolerations": toleration}}}}),
            SET,
            "/spec/template/spec/tolerations",
            toleration.clone(),
            json!([]),
        ),
        (
            json!({"podTemplate": {"patch": [{"op": "add", "path": "/spec/hostNetwork", "value": true}]}}),
            SET,
            "/spec/template/spec/hostNetwork",
            json!(true),
            Value::Null,
        ),
        (
            json!({"podTemplate": {"topologySpreadConstraints": {"zone": {"maxSkew": 1}}}}),
            SET,
            "/spec/template/spec/topologySpreadConstraints/0/topologyKey",
            json!("zone"),
            Value::Null,
        ),
        (
            json!({"statefulSet": {"merge": {"metadata": {"annotations": {"a": "b"}}}}}),
            SET,
            "/metadata/annotations",
            json!({"a": "b"}),
            Value::Null,
        ),
        (
            json!({"serviceAccount": {"enabled": true}}),
            SET,
            "/spec/template/spec/serviceAccountName",
            json!("dynamo-platform-nats"),
            Value::Null,
        ),
        (
            json!({"natsBox": {"enabled": true}}),
            "Deployment dynamo-platform-nats-box",
            "/spec/template/spec/containers/0/image",
            json!("natsio/nats-box:0.14.5"),
            Value::Null,
        ),
        (json!({"global": {"labels": {"team": "a"}}}), SET, "/metadata/labels/team", json!("a"), Value::Null),
    ]
}

fn object_cases() -> Vec<Case> {
    vec![
        (
            json!({"service": {"merge": {"spec": {"type": "NodePort"}}}}),
            SERVICE,
            "/spec/type",
            json!("NodePort"),
            Value::Null,
        ),
        (
            json!({"service": {"ports": {"nats": {"nodePort": 30_422}}}}),
            SERVICE,
            "/spec/ports/0/nodePort",
            json!(30_422),
            Value::Null,
        ),
        (
            json!({"service": {"ports": {"monitor": {"enabled": true}}}}),
            SERVICE,
            "/spec/ports/1/name",
            json!("monitor"),
            Value::Null,
        ),
        (json!({"service": {"enabled": false}}), SERVICE, "/kind", Value::Null, json!("Service")),
        (
            json!({"config": {"nats": {"port": 4333}}}),
            SERVICE,
            "/spec/ports/0/port",
            json!(4333),
            json!(4222),
        ),
        (
            json!({"headlessService": {"patch": [{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]}}),
            "Service dynamo-platform-nats-headless",
            "/metadata/annotations",
            json!({"a": "b"}),
            Value::Null,
        ),
        (
            json!({"configMap": {"name": "conf"}}),
            SET,
            "/spec/template/spec/volumes/0/configMap/name",
            json!("conf"),
            json!("dynamo-platform-nats-config"),
        ),
        (
            json!({"headlessService": {"name": "peers"}}),
            SET,
            "/spec/serviceName",
            json!("peers"),
            json!("dynamo-platform-nats-headless"),
        ),
        (
            json!({"podDisruptionBudget": {"enabled": false}}),
            "PodDisruptionBudget dynamo-platform-nats",
            "/spec/maxUnavailable",
            Value::Null,
            json!(1),
        ),
        (
            json!({"podDisruptionBudget": {"merge": {"spec": {"maxUnavailable": 0}}}}),
            "PodDisruptionBudget dynamo-platform-nats",
            "/spec/maxUnavailable",
            json!(0),
            json!(1),
        ),
        (
            json!({"extraResources": [{"kind": "Extra", "metadata": {"name": "{{ .Release.Name }}"}}]}),
            "Extra dynamo-platform",
            "/kind",
            json!("Extra"),
            Value::Null,
        ),
    ]
}

/// A number that was not quoted comes as a float, which must not be printed with an exponent.
fn number_cases() -> Vec<Case> {
    let claims = |value: Value| json!({"config": {"jetstream": {"fileStore": {"pvc": value}}}});
    let env = |value: Value| json!({"container": {"env": {"LIMIT": value}}});
    let variable = "/spec/template/spec/containers/0/env/2/value";
    vec![
        (
            json!({"container": {"image": {"tag": 20_250_101}}}),
            SET,
            "/spec/template/spec/containers/0/image",
            json!("nats:20250101"),
            json!("nats:2.10.21-alpine"),
        ),
        (
            claims(json!({"size": 10_737_418_240_u64})),
            SET,
            "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
            json!("10737418240"),
            json!("10Gi"),
        ),
        (env(json!(12_345_678)), SET, variable, json!("12345678"), Value::Null),
        (env(json!(1.5)), SET, variable, json!("1.5"), Value::Null),
        (env(json!(true)), SET, variable, json!("true"), Value::Null),
        (env(json!("0012")), SET, variable, json!("0012"), Value::Null),
    ]
}

#[test]
fn each_value_of_nats_changes_its_place_and_the_default_stands_without_it() {
    let helm = or_skip!(Helm::find(), "helm");
    let default = nats(&helm, &json!({}));
    let cases = [store_cases(), container_cases(), pod_cases(), object_cases(), number_cases()];
    for (values, object, pointer, set, unset) in cases.into_iter().flatten() {
        assert_eq!(at(&default, object, pointer), unset, "{object} {pointer} by default");
        assert_eq!(at(&nats(&helm, &values), object, pointer), set, "{object} {pointer} with {values}");
    }
}
