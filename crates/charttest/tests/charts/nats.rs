//! What bundled NATS installs for which values (charts.md section 4).
//! Must not judge the server's configuration: `nats_server.rs` asks the server itself.

use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, Objects, RELEASE, platform, strings, text};
use crate::or_skip;

const NATS: &str = "dynamo-platform-nats";

pub fn nats(helm: &Helm, values: &Value) -> Objects {
    helm.objects(
        RELEASE,
        NAMESPACE,
        &json!({"nats": values, "etcd": {"enabled": false}, "dynamo-operator": {"enabled": false}}),
    )
}

fn refusal(helm: &Helm, values: &Value) -> String {
    let output = helm.template(&platform(), RELEASE, NAMESPACE, &json!({ "nats": values }));
    assert!(!output.ok, "these values must not render: {values}");
    output.stderr
}

/// What stands at `pointer` of an object named `KIND NAME`; null when one of them is not there.
pub fn at(objects: &Objects, object: &str, pointer: &str) -> Value {
    let (kind, name) = object.split_once(' ').expect("kind and name");
    objects.find(kind, name).and_then(|found| found.pointer(pointer)).cloned().unwrap_or(Value::Null)
}

fn pod(objects: &Objects) -> &Value {
    &objects.get("StatefulSet", NATS)["spec"]["template"]["spec"]
}

fn container<'a>(objects: &'a Objects, name: &str) -> &'a Value {
    let containers = pod(objects)["containers"].as_array().expect("containers");
    containers.iter().find(|container| container["name"] == name).expect("the container")
}

#[test]
fn a_default_install_makes_exactly_these_objects_of_nats() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = nats(&helm, &json!({}));
    assert_eq!(
        objects.list(),
        [
            "ConfigMap dynamo-platform-nats-config",
            "PodDisruptionBudget dynamo-platform-nats",
            "Service dynamo-platform-nats",
            "Service dynamo-platform-nats-headless",
            "StatefulSet dynamo-platform-nats",
        ]
    );
    let names: Vec<&str> = pod(&objects)["containers"]
        .as_array()
        .expect("containers")
        .iter()
        .map(|container| text(&container["name"]))
        .collect();
    assert_eq!(names, ["nats", "reloader"], "the pod shows 2/2");
    let labels = &objects.get("StatefulSet", NATS)["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/name"], "nats");
    assert_eq!(labels["app.kubernetes.io/instance"], RELEASE);
    for service in [NATS, "dynamo-platform-nats-headless"] {
        let selector =
            objects.get("Service", service)["spec"]["selector"].as_object().expect("a selector").clone();
        assert!(selector.iter().all(|(key, value)| labels[key] == *value), "{service} finds the pods");
    }
    let claims = &objects.get("StatefulSet", NATS)["spec"]["volumeClaimTemplates"];
    assert_eq!(claims[0]["metadata"]["name"], "dynamo-platform-nats-js");
    assert_eq!(claims[0]["spec"]["resources"]["requests"]["storage"], "10Gi");
}

#[test]
fn every_pod_of_nats_meets_pod_security_level_restricted() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = nats(&helm, &json!({"promExporter": {"enabled": true}, "natsBox": {"enabled": true}}));
    for workload in [objects.get("StatefulSet", NATS), objects.get("Deployment", "dynamo-platform-nats-box")]
    {
        let pod = &workload["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["runAsUser"], 1000);
        assert_eq!(pod["securityContext"]["fsGroup"], 1000);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["automountServiceAccountToken"], false);
        for container in pod["containers"].as_array().expect("containers") {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{}", container["name"]);
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{}", container["name"]);
            assert_eq!(security["readOnlyRootFilesystem"], true, "{}", container["name"]);
        }
    }
    let own = json!({"podTemplate": {"merge": {"spec": {"securityContext": {"runAsUser": 0, "runAsNonRoot": false}}}}});
    let own = nats(&helm, &own);
    assert_eq!(pod(&own)["securityContext"]["runAsUser"], 0, "the user's merge says otherwise");
    assert_eq!(pod(&own)["securityContext"]["runAsNonRoot"], false);
}

#[test]
fn probes_are_those_of_the_contract_and_only_with_the_monitor() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = nats(&helm, &json!({}));
    let probe = |path: &str, period: u32, failures: u32| {
        json!({
            "httpGet": {"path": path, "port": "monitor"}, "initialDelaySeconds": 10, "timeoutSeconds": 5,
            "periodSeconds": period, "successThreshold": 1, "failureThreshold": failures,
        })
    };
    let server = container(&objects, "nats");
    assert_eq!(server["startupProbe"], probe("/healthz", 10, 90));
    assert_eq!(server["readinessProbe"], probe("/healthz?js-server-only=true", 10, 3));
    assert_eq!(server["livenessProbe"], probe("/healthz?js-enabled-only=true", 30, 3));
    assert!(server["lifecycle"]["preStop"]["exec"]["command"].to_string().contains("ldm="));
    let off = nats(&helm, &json!({"config": {"monitor": {"enabled": false}}}));
    let tls = json!({"config": {"nats": {"tls": {"enabled": true}}, "monitor": {"tls": {"enabled": true}}}});
    let tls = nats(&helm, &tls);
    let merged = nats(&helm, &json!({"container": {"merge": {"livenessProbe": null}}}));
    for name in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container(&off, "nats")[name], Value::Null);
        assert_eq!(container(&tls, "nats")[name]["httpGet"]["scheme"], "HTTPS");
        assert_eq!(container(&merged, "nats")[name].is_null(), name == "livenessProbe");
    }
}

#[test]
fn without_a_file_store_no_claim_is_made_and_the_pod_still_has_a_folder_to_write() {
    let helm = or_skip!(Helm::find(), "helm");
    for values in [
        json!({"config": {"jetstream": {"fileStore": {"enabled": false}, "memoryStore": {"enabled": true}}}}),
        json!({"config": {"jetstream": {"fileStore": {"pvc": {"enabled": false}}}}}),
    ] {
        let objects = nats(&helm, &values);
        assert!(objects.get("StatefulSet", NATS)["spec"].get("volumeClaimTemplates").is_none(), "{values}");
        let mounts = container(&objects, "nats")["volumeMounts"].to_string();
        assert!(mounts.contains("\"/data\""), "{mounts}");
        assert!(pod(&objects)["volumes"].to_string().contains(r#"{"emptyDir":{},"name":"jetstream"}"#));
    }
    let none = nats(&helm, &json!({"config": {"jetstream": {"enabled": false}}}));
    assert!(!container(&none, "nats")["volumeMounts"].to_string().contains("/data"));
}

#[test]
fn the_reloader_sees_every_file_that_the_server_reads() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = nats(
        &helm,
        &json!({
            "tlsCA": {"enabled": true, "secretName": "ca"},
            "config": {"nats": {"tls": {"enabled": true, "secretName": "cert"}}, "merge": {"00$include": "extra.conf"}},
        }),
    );
    let reloader = container(&objects, "reloader");
    let args = strings(&reloader["args"]);
    for file in [
        "/etc/nats-config/nats.conf",
        "/etc/nats-config/extra.conf",
        "/etc/nats-certs/nats/tls.crt",
        "/etc/nats-certs/nats/tls.key",
        "/etc/nats-ca-cert/ca.crt",
    ] {
        assert!(args.iter().any(|arg| arg == file), "{file} is not in {args:?}");
        let folder = &file[..file.rfind('/').expect("a folder")];
        let mounted =
            reloader["volumeMounts"].as_array().expect("mounts").iter().any(|m| m["mountPath"] == folder);
        assert!(mounted, "{folder} is not mounted");
    }
}

#[test]
fn a_changed_configuration_replaces_the_pods_unless_the_reloader_shall_do() {
    let helm = or_skip!(Helm::find(), "helm");
    let annotations = |values: &Value| {
        at(&nats(&helm, values), "StatefulSet dynamo-platform-nats", "/spec/template/metadata/annotations")
    };
    let sum = |payload: u32| annotations(&json!({"config": {"merge": {"max_payload": payload}}}));
    assert_ne!(sum(1), sum(2));
    assert_eq!(sum(1), sum(1));
    assert_eq!(annotations(&json!({"podTemplate": {"configChecksumAnnotation": false}})), Value::Null);
}

#[test]
fn nats_box_knows_the_address_its_credentials_and_no_shell_script() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = nats(
        &helm,
        &json!({"natsBox": {"enabled": true, "serviceAccount": {"enabled": true}, "contexts": {
            "default": {"creds": {"secretName": "user"}, "merge": {"description": "all"}},
            "admin": {"nkey": {"contents": "SUAB"}},
        }}}),
    );
    let contexts = &objects.get("Secret", "dynamo-platform-nats-box-contexts")["stringData"];
    let context: Value = serde_json::from_str(text(&contexts["default.json"])).expect("JSON");
    assert_eq!(
        context,
        json!({"url": "nats://dynamo-platform-nats:4222", "creds": "/etc/nats-creds/default/nats.creds", "description": "all"})
    );
    let admin: Value = serde_json::from_str(text(&contexts["admin.json"])).expect("JSON");
    assert_eq!(admin["nkey"], "/etc/nats-nkey/admin/nats.nk");
    let contents = objects.get("Secret", "dynamo-platform-nats-box-contents");
    assert_eq!(contents["stringData"], json!({"admin.nats.nk": "SUAB"}));
    let pod = &objects.get("Deployment", "dynamo-platform-nats-box")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "dynamo-platform-nats-box");
    for file in ["/etc/nats-creds/default", "/etc/nats-nkey/admin"] {
        assert!(pod["containers"][0]["volumeMounts"].to_string().contains(file), "{file}");
    }
}

#[test]
fn a_certificate_without_a_name_is_awaited_under_one_of_the_charts_choice() {
    let helm = or_skip!(Helm::find(), "helm");
    let secrets = |tls: Value| {
        let objects = nats(&helm, &json!({"config": {"nats": {"tls": tls}}}));
        pod(&objects)["volumes"]
            .as_array()
            .expect("volumes")
            .iter()
            .map(|v| text(&v["secret"]["secretName"]).to_owned())
            .filter(|n| !n.is_empty())
            .collect::<Vec<_>>()
    };
    assert_eq!(secrets(json!({"enabled": true})), ["dynamo-platform-nats-tls"]);
    assert_eq!(secrets(json!({"enabled": true, "secretName": "mine"})), ["mine"]);
    assert!(secrets(json!({"enabled": true, "merge": {"cert_file": "/x/a", "key_file": "/x/b"}})).is_empty());
    assert!(secrets(json!({"secretName": "mine"})).is_empty(), "off");
}

#[test]
fn wrong_values_of_nats_are_refused_with_their_path() {
    let helm = or_skip!(Helm::find(), "helm");
    let patch = |operation: Value| json!({"container": {"patch": [operation]}});
    for (values, words) in [
        (
            json!({"config": {"cluster": {"enabled": true, "replicas": 1}}}),
            "nats.config.cluster.replicas: JetStream in a cluster needs at least 2",
        ),
        (json!({"config": {"monitor": {"tls": {"enabled": true}}}}), "Set nats.config.nats.tls.enabled=true"),
        (
            json!({"config": {"monitor": {"enabled": false}}, "promExporter": {"enabled": true}}),
            "Set nats.config.monitor.enabled=true",
        ),
        (
            json!({"config": {"mqtt": {"enabled": true}, "jetstream": {"enabled": false}}}),
            "nats.config.mqtt.enabled",
        ),
        (json!({"tlsCA": {"enabled": true}}), "set nats.tlsCA.secretName or nats.tlsCA.configMapName"),
        (
            json!({"config": {"websocket": {"enabled": true, "ingress": {"enabled": true}}}}),
            "nats.config.websocket.ingress.hosts",
        ),
        (json!({"config": {"nats": {"port": 0}}}), "/config/nats/port"),
        (
            json!({"config": {"jetstream": {"fileStore": {"pvc": {"size": "ten"}}}}}),
            "/config/jetstream/fileStore/pvc/size",
        ),
        (
            json!({"config": {"jetstream": {"memoryStore": {"maxSize": "1 GB"}}}}),
            "/config/jetstream/memoryStore/maxSize",
        ),
        (json!({"container": {"image": {"pullPolicy": "Sometimes"}}}), "/container/image/pullPolicy"),
        (json!({"container": {"image": {"tag": null}}}), "missing property 'tag'"),
        (json!({"config": null}), "missing property 'config'"),
        (json!({"enabled": "yes"}), "/nats/enabled"),
        (
            patch(json!({"op": "move", "path": "/a", "from": "/b"})),
            "nats.container.patch[0].op: this chart knows the operations add, replace and remove. Got: \"move\"",
        ),
        (patch(json!({"op": "add", "value": 1})), "nats.container.patch[0].path"),
        (
            patch(json!({"op": "replace", "path": "/name"})),
            "nats.container.patch[0].value: the operation replace needs a value",
        ),
        (patch(json!({"op": "remove", "path": "/nope"})), "there is no \"nope\""),
        (patch(json!({"op": "remove", "path": "/args/7"})), "\"7\" is no position in a list of 2"),
        (patch(json!({"op": "add", "path": "/name/x", "value": 1})), "cannot be looked up"),
    ] {
        let message = refusal(&helm, &values);
        assert!(message.contains(words), "{values}: {words:?} is missing in {message}");
    }
}
