//! What bundled etcd installs for which values (charts.md section 4).
//! Must not start a server.

use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, Objects, RELEASE, platform, strings, text};
use crate::or_skip;

const ETCD: &str = "dynamo-platform-etcd";

fn etcd(helm: &Helm, values: &Value) -> Objects {
    helm.objects(
        RELEASE,
        NAMESPACE,
        &json!({"etcd": values, "nats": {"enabled": false}, "dynamo-operator": {"enabled": false}}),
    )
}

fn pod(objects: &Objects) -> &Value {
    &objects.get("StatefulSet", ETCD)["spec"]["template"]["spec"]
}

fn server(objects: &Objects) -> &Value {
    &pod(objects)["containers"][0]
}

/// The value of a variable of the server, or none.
fn variable(objects: &Objects, name: &str) -> Option<String> {
    let variables = server(objects)["env"].as_array().expect("variables");
    variables
        .iter()
        .find(|variable| variable["name"] == name)
        .map(|variable| text(&variable["value"]).to_owned())
}

#[test]
fn metrics_are_scraped_by_a_pod_monitor_on_demand_and_their_port_is_open_for_it() {
    let helm = or_skip!(Helm::find(), "helm");
    let monitor = json!({"enabled": true, "namespace": "monitoring", "interval": "7s",
        "additionalLabels": {"release": "prometheus"}});
    let objects = etcd(&helm, &json!({"metrics": {"podMonitor": monitor}}));
    let monitor = objects.get("PodMonitor", ETCD);
    assert_eq!(monitor["metadata"]["namespace"], "monitoring");
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    let spec = &monitor["spec"];
    assert_eq!(spec["namespaceSelector"], json!({"matchNames": [NAMESPACE]}));
    let labels = &objects.get("StatefulSet", ETCD)["spec"]["template"]["metadata"]["labels"];
    for (label, value) in spec["selector"]["matchLabels"].as_object().expect("labels") {
        assert_eq!(&labels[label], value, "{label}");
    }
    assert_eq!(
        spec["podMetricsEndpoints"],
        json!([{"port": "metrics", "path": "/metrics", "interval": "7s"}])
    );
    let ports = server(&objects)["ports"].as_array().expect("ports");
    assert!(ports.iter().any(|port| port["name"] == "metrics" && port["containerPort"] == 2381), "{ports:?}");
    assert_eq!(variable(&objects, "ETCD_LISTEN_METRICS_URLS").as_deref(), Some("http://0.0.0.0:2381"));
}

#[test]
fn a_default_install_makes_exactly_these_objects_of_etcd() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = etcd(&helm, &json!({}));
    assert_eq!(
        objects.list(),
        [
            "Service dynamo-platform-etcd",
            "Service dynamo-platform-etcd-headless",
            "StatefulSet dynamo-platform-etcd"
        ]
    );
    let labels = &objects.get("StatefulSet", ETCD)["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/name"], "etcd");
    assert_eq!(labels["app.kubernetes.io/instance"], RELEASE);
    for service in [ETCD, "dynamo-platform-etcd-headless"] {
        let service = objects.get("Service", service);
        assert_eq!(service["spec"]["selector"], *labels);
        assert_eq!(service["spec"]["ports"][0]["port"], 2379);
    }
    assert_eq!(
        objects.get("Service", "dynamo-platform-etcd-headless")["spec"]["publishNotReadyAddresses"],
        true
    );
    let set = &objects.get("StatefulSet", ETCD)["spec"];
    assert_eq!(set["volumeClaimTemplates"][0]["metadata"]["name"], "data");
    assert_eq!(set["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], "1Gi");
    assert_eq!(set["podManagementPolicy"], "Parallel");
}

/// An image with nothing but the programs must do.
#[test]
fn nothing_of_etcd_needs_a_shell() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({
        "preUpgradeJob": {"enabled": true}, "auth": {"rbac": {"create": true, "existingSecret": "root"}},
        "readinessProbe": {"enabled": true},
    });
    let objects = etcd(&helm, &values);
    let command = |pod: &Value| strings(&pod["containers"][0]["command"]);
    assert_eq!(command(pod(&objects)), ["etcd"]);
    let job = |name: &str| &objects.get("Job", name)["spec"]["template"]["spec"];
    assert_eq!(command(job("dynamo-platform-etcd-pre-upgrade")), ["etcdctl"]);
    assert_eq!(command(job("dynamo-platform-etcd-auth")), ["/manager"]);
    assert!(server(&objects)["readinessProbe"].get("exec").is_none());
    assert_eq!(pod(&objects)["enableServiceLinks"], false, "etcd reads all variables that begin with ETCD_");
}

#[test]
fn every_pod_of_etcd_meets_pod_security_level_restricted() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({"preUpgradeJob": {"enabled": true}, "auth": {"rbac": {"create": true}}});
    let objects = etcd(&helm, &values);
    let mut seen = 0;
    for object in objects.0.iter().filter(|object| object["spec"].get("template").is_some()) {
        seen += 1;
        let pod = &object["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        let security = &pod["containers"][0]["securityContext"];
        assert_eq!(security["runAsNonRoot"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(security["readOnlyRootFilesystem"], true);
    }
    assert_eq!(seen, 3);
}

#[test]
fn members_are_listed_by_the_names_that_the_headless_service_gives_them() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = etcd(&helm, &json!({"replicaCount": 3}));
    let member = |n: u8| format!("{ETCD}-{n}=http://{ETCD}-{n}.{ETCD}-headless.{NAMESPACE}.svc:2380");
    assert_eq!(variable(&objects, "ETCD_INITIAL_CLUSTER"), Some([0, 1, 2].map(member).join(",")));
    assert_eq!(
        variable(&objects, "ETCD_INITIAL_ADVERTISE_PEER_URLS"),
        Some(format!("http://$(ETCD_NAME).{ETCD}-headless.{NAMESPACE}.svc:2380"))
    );
    assert_eq!(objects.get("StatefulSet", ETCD)["spec"]["replicas"], 3);
    let spread = &pod(&objects)["affinity"]["podAntiAffinity"];
    assert!(spread.get("preferredDuringSchedulingIgnoredDuringExecution").is_some(), "{spread}");
    let domain =
        etcd(&helm, &json!({"clusterDomain": "corp.example", "auth": {"peer": {"secureTransport": true}}}));
    assert_eq!(
        variable(&domain, "ETCD_INITIAL_CLUSTER"),
        Some(format!("{ETCD}-0=https://{ETCD}-0.{ETCD}-headless.{NAMESPACE}.svc.corp.example:2380"))
    );
}

/// A value, where its effect shows, and what stands there with and without it.
type Case = (Value, &'static str, Value, Value);

fn image_and_store_cases() -> Vec<Case> {
    let image = |value: Value| json!({ "image": value });
    let at = "/spec/template/spec/containers/0/image";
    let default = json!("docker.io/bitnamilegacy/etcd:3.5.18-debian-12-r5");
    let claim = "/spec/volumeClaimTemplates/0/spec/storageClassName";
    vec![
        (
            image(json!({"repository": "coreos/etcd", "tag": 4})),
            at,
            json!("docker.io/coreos/etcd:4"),
            default.clone(),
        ),
        (
            image(json!({"tag": 20_250_101})),
            at,
            json!("docker.io/bitnamilegacy/etcd:20250101"),
            default.clone(),
        ),
        (
            image(json!({"registry": ""})),
            at,
            json!("bitnamilegacy/etcd:3.5.18-debian-12-r5"),
            default.clone(),
        ),
        (
            image(json!({"digest": "sha256:ab"})),
            at,
            json!("docker.io/bitnamilegacy/etcd@sha256:ab"),
            default.clone(),
        ),
        (
            json!({"global": {"imageRegistry": "reg.example"}}),
            at,
            json!("reg.example/bitnamilegacy/etcd:3.5.18-debian-12-r5"),
            default,
        ),
        (
            json!({"global": {"security": {"allowInsecureImages": true}}}),
            at,
            json!("docker.io/bitnamilegacy/etcd:3.5.18-debian-12-r5"),
            json!("docker.io/bitnamilegacy/etcd:3.5.18-debian-12-r5"),
        ),
        (
            json!({"global": {"imagePullSecrets": ["a"]}, "image": {"pullSecrets": [{"name": "b"}]}}),
            "/spec/template/spec/imagePullSecrets",
            json!([{"name": "a"}, {"name": "b"}]),
            Value::Null,
        ),
        (
            json!({"persistence": {"size": "20Gi"}}),
            "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
            json!("20Gi"),
            json!("1Gi"),
        ),
        (
            json!({"persistence": {"size": 10_737_418_240_u64}}),
            "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
            json!("10737418240"),
            json!("1Gi"),
        ),
        (json!({"persistence": {"storageClass": "fast"}}), claim, json!("fast"), Value::Null),
        (json!({"persistence": {"storageClass": "-"}}), claim, json!(""), Value::Null),
        (json!({"global": {"defaultStorageClass": "slow"}}), claim, json!("slow"), Value::Null),
        (
            json!({"persistence": {"enabled": false}}),
            "/spec/template/spec/volumes/0",
            json!({"name": "data", "emptyDir": {}}),
            Value::Null,
        ),
        (
            json!({"persistence": {"enabled": false}}),
            "/spec/volumeClaimTemplates/0/metadata/name",
            Value::Null,
            json!("data"),
        ),
    ]
}

fn pod_cases() -> Vec<Case> {
    let toleration = json!([{"key": "dedicated", "operator": "Exists"}]);
    let affinity = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}});
    vec![
        (json!({"replicaCount": 5}), "/spec/replicas", json!(5), json!(1)),
        (
            json!({"livenessProbe": {"enabled": true}}),
            "/spec/template/spec/containers/0/livenessProbe/httpGet",
            json!({"path": "/health?serializable=true", "port": "metrics"}),
            Value::Null,
        ),
        (
            json!({"readinessProbe": {"enabled": true, "periodSeconds": 3}}),
            "/spec/template/spec/containers/0/readinessProbe/periodSeconds",
            json!(3),
            Value::Null,
        ),
        (
            json!({"startupProbe": {"enabled": true}}),
            "/spec/template/spec/containers/0/ports/2/containerPort",
            json!(2381),
            Value::Null,
        ),
        (
            json!({"resources": {"limits": {"memory": "1Gi"}}}),
            "/spec/template/spec/containers/0/resources/limits/memory",
            json!("1Gi"),
            Value::Null,
        ),
        (
            json!({"nodeSelector": {"disk": "ssd"}}),
            "/spec/template/spec/nodeSelector",
            json!({"disk": "ssd"}),
            Value::Null,
        ),
        (json!({"tolerations": toleration}), "/spec/template/spec/tolerations", toleration, Value::Null),
        (json!({"affinity": affinity}), "/spec/template/spec/affinity", affinity, Value::Null),
        (
            json!({"podSecurityContext": {"enabled": false}}),
            "/spec/template/spec/securityContext",
            Value::Null,
            json!({"fsGroup": 1001, "fsGroupChangePolicy": "OnRootMismatch"}),
        ),
        (
            json!({"containerSecurityContext": {"runAsUser": 7}}),
            "/spec/template/spec/containers/0/securityContext/runAsUser",
            json!(7),
            json!(1001),
        ),
        (
            json!({"podAnnotations": {"a": "b"}}),
            "/spec/template/metadata/annotations",
            json!({"a": "b"}),
            Value::Null,
        ),
        (json!({"commonLabels": {"team": "a"}}), "/metadata/labels/team", json!("a"), Value::Null),
        (
            json!({"priorityClassName": "high"}),
            "/spec/template/spec/priorityClassName",
            json!("high"),
            Value::Null,
        ),
        (
            json!({"updateStrategy": {"type": "OnDelete"}}),
            "/spec/updateStrategy/type",
            json!("OnDelete"),
            json!("RollingUpdate"),
        ),
    ]
}

#[test]
fn each_value_of_etcd_changes_its_place_and_the_default_stands_without_it() {
    let helm = or_skip!(Helm::find(), "helm");
    let at = |objects: &Objects, pointer: &str| {
        objects.get("StatefulSet", ETCD).pointer(pointer).cloned().unwrap_or(Value::Null)
    };
    let default = etcd(&helm, &json!({}));
    for (values, pointer, set, unset) in image_and_store_cases().into_iter().chain(pod_cases()) {
        assert_eq!(at(&default, pointer), unset, "{pointer} by default");
        assert_eq!(at(&etcd(&helm, &values), pointer), set, "{pointer} with {values}");
    }
    let variables = json!({"extraEnvVars": [{"name": "ETCD_QUOTA_BACKEND_BYTES", "value": "1"}], "logLevel": "warn",
            "autoCompactionMode": "revision", "autoCompactionRetention": 1_000_000});
    let variables = etcd(&helm, &variables);
    assert_eq!(variable(&variables, "ETCD_AUTO_COMPACTION_RETENTION").as_deref(), Some("1000000"));
    assert_eq!(variable(&variables, "ETCD_QUOTA_BACKEND_BYTES").as_deref(), Some("1"));
    assert_eq!(variable(&variables, "ETCD_LOG_LEVEL").as_deref(), Some("warn"));
}

#[test]
fn the_budget_takes_one_member_at_a_time_or_what_the_user_says() {
    let helm = or_skip!(Helm::find(), "helm");
    let budget =
        |pdb: Value| etcd(&helm, &json!({ "pdb": pdb })).get("PodDisruptionBudget", ETCD)["spec"].clone();
    assert_eq!(budget(json!({"create": true}))["maxUnavailable"], 1);
    let half = budget(json!({"create": true, "minAvailable": "51%"}));
    assert_eq!((&half["minAvailable"], &half["maxUnavailable"]), (&json!("51%"), &Value::Null));
}

#[test]
fn a_password_is_turned_on_by_a_hook_of_the_operators_program_and_never_stands_in_its_arguments() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.objects(
        RELEASE,
        NAMESPACE,
        &json!({
            "dynamo-operator": {
                "controllerManager": {"manager": {"image": {"repository": "reg.example/op", "tag": "v1"}}},
                "imagePullSecrets": [{"name": "pull"}],
            },
            "etcd": {"auth": {"rbac": {"create": true, "rootPassword": "s3cret"}, "client": {"secureTransport": true, "caFilename": "ca.crt"}}},
        }),
    );
    let job = objects.get("Job", "dynamo-platform-etcd-auth");
    assert_eq!(job["metadata"]["annotations"]["helm.sh/hook"], "post-install,post-upgrade");
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "pull"}]));
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "reg.example/op:v1");
    assert_eq!(
        strings(&container["args"]),
        [
            "etcd-auth",
            "--endpoints=https://dynamo-platform-etcd.dynamo-system.svc:2379",
            "--ca-file=/certs/client/ca.crt"
        ]
    );
    assert_eq!(
        container["env"],
        json!([{"name": "ETCD_AUTH_PASSWORD", "valueFrom": {"secretKeyRef": {"name": ETCD, "key": "etcd-root-password"}}}])
    );
    assert_eq!(objects.get("Secret", ETCD)["stringData"]["etcd-root-password"], "s3cret");
    let members = &objects.get("Service", ETCD)["spec"]["selector"];
    assert_ne!(
        job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"],
        members["app.kubernetes.io/name"]
    );

    let named = json!({"auth": {"rbac": {"create": true, "existingSecret": "root", "existingSecretPasswordKey": "pw", "image": "own:1"}}});
    let named = etcd(&helm, &named);
    let container =
        &named.get("Job", "dynamo-platform-etcd-auth")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "own:1");
    assert_eq!(container["env"][0]["valueFrom"]["secretKeyRef"], json!({"name": "root", "key": "pw"}));
    assert!(named.find("Secret", ETCD).is_none());
    assert_eq!(variable(&named, "ALLOW_NONE_AUTHENTICATION").as_deref(), Some("no"));
}

/// The operator's tag, which the platform hands on, may be a number, too.
#[test]
fn the_job_runs_the_operators_image_by_its_tag_or_by_its_digest() {
    let helm = or_skip!(Helm::find(), "helm");
    let digest = format!("sha256:{}", "a".repeat(64));
    for (image, wanted) in [
        (json!({"repository": "reg.example/op", "tag": 20_250_101}), "reg.example/op:20250101".to_owned()),
        (
            json!({"repository": "reg.example/op", "tag": "v1", "digest": digest}),
            format!("reg.example/op@{digest}"),
        ),
    ] {
        for enabled in [true, false] {
            let operator = json!({"enabled": enabled, "controllerManager": {"manager": {"image": image}}});
            let etcd = json!({"auth": {"rbac": {"create": true}}});
            let objects =
                helm.objects(RELEASE, NAMESPACE, &json!({"dynamo-operator": operator, "etcd": etcd}));
            let job = objects.get("Job", "dynamo-platform-etcd-auth");
            assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["image"], wanted);
        }
    }
}

#[test]
fn the_password_is_changed_when_the_old_one_is_named() {
    let helm = or_skip!(Helm::find(), "helm");
    let variables = |rbac: Value| {
        let objects = etcd(&helm, &json!({"auth": {"rbac": rbac}}));
        let job = objects.get("Job", "dynamo-platform-etcd-auth");
        job["spec"]["template"]["spec"]["containers"][0]["env"].clone()
    };
    let reference = |key: &str| json!({"name": "root", "key": key});
    let named = variables(
        json!({"create": true, "image": "own:1", "existingSecret": "root", "existingSecretOldPasswordKey": "old"}),
    );
    let mut old = reference("old");
    old["optional"] = json!(true);
    assert_eq!(
        named,
        json!([
            {"name": "ETCD_AUTH_PASSWORD", "valueFrom": {"secretKeyRef": reference("etcd-root-password")}},
            {"name": "ETCD_AUTH_OLD_PASSWORD", "valueFrom": {"secretKeyRef": old}},
        ])
    );
    let unnamed = variables(json!({"create": true, "image": "own:1", "existingSecret": "root"}));
    assert_eq!(unnamed.as_array().map(Vec::len), Some(1), "{unnamed}");
}

/// etcdctl knows `--cacert`, `--cert`, `--key`, the operator's program `--ca-file`, `--cert-file`, `--key-file`.
#[test]
fn each_job_names_its_certificates_by_the_flags_that_its_program_knows() {
    let helm = or_skip!(Helm::find(), "helm");
    let args = |client: Value| {
        let values = json!({
            "preUpgradeJob": {"enabled": true},
            "auth": {"rbac": {"create": true, "image": "own:1"}, "client": client},
        });
        let objects = etcd(&helm, &values);
        ["pre-upgrade", "auth"].map(|job| {
            let job = objects.get("Job", &format!("dynamo-platform-etcd-{job}"));
            let args = strings(&job["spec"]["template"]["spec"]["containers"][0]["args"]);
            let after = args.iter().position(|arg| arg.starts_with("--endpoints=https://"));
            args[after.expect("endpoints by TLS") + 1..].join(" ")
        })
    };
    assert_eq!(
        args(json!({"secureTransport": true, "enableAuthentication": true, "certFilename": "tls.crt"})),
        [
            "--cacert=/certs/client/ca.crt --cert=/certs/client/tls.crt --key=/certs/client/key.pem",
            "--ca-file=/certs/client/ca.crt --cert-file=/certs/client/tls.crt --key-file=/certs/client/key.pem",
        ]
    );
    assert_eq!(
        args(json!({"secureTransport": true, "caFilename": "root.pem"})),
        ["--cacert=/certs/client/root.pem", "--ca-file=/certs/client/root.pem"]
    );
    assert_eq!(args(json!({"useAutoTLS": true})), ["--insecure-skip-tls-verify"; 2]);
}

#[test]
fn jobs_run_on_the_nodes_of_the_members_whatever_pods_are_there() {
    let helm = or_skip!(Helm::find(), "helm");
    let nodes = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["etcd"]}]},
    ]}});
    let pods = json!({"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]});
    let render = |affinity: Value| {
        let values = json!({
            "affinity": affinity, "preUpgradeJob": {"enabled": true},
            "auth": {"rbac": {"create": true, "image": "own:1"}},
        });
        let objects = etcd(&helm, &values);
        ["pre-upgrade", "auth"].map(|job| {
            let job = objects.get("Job", &format!("dynamo-platform-etcd-{job}"));
            job["spec"]["template"]["spec"]["affinity"].clone()
        })
    };
    let all = json!({"nodeAffinity": nodes, "podAntiAffinity": pods, "podAffinity": pods});
    assert_eq!(render(all), [json!({"nodeAffinity": nodes}), json!({"nodeAffinity": nodes})]);
    assert_eq!(render(json!({"podAntiAffinity": pods})), [Value::Null, Value::Null]);
}

#[test]
fn an_upgrade_asks_every_member_first_when_it_shall() {
    let helm = or_skip!(Helm::find(), "helm");
    let values =
        json!({"replicaCount": 3, "preUpgradeJob": {"enabled": true}, "auth": {"rbac": {"create": true}}});
    let objects = etcd(&helm, &values);
    let job = objects.get("Job", "dynamo-platform-etcd-pre-upgrade");
    assert_eq!(job["metadata"]["annotations"]["helm.sh/hook"], "pre-upgrade");
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let args = strings(&container["args"]);
    assert_eq!(args[..2], ["endpoint", "health"]);
    assert_eq!(args[2].matches(".svc:2379").count(), 3, "{args:?}");
    assert!(container["env"].to_string().contains("ETCDCTL_PASSWORD"));
}

#[test]
fn certificates_reach_the_server_and_both_sides_can_be_asked_for_theirs() {
    let helm = or_skip!(Helm::find(), "helm");
    let side = json!({"secureTransport": true, "enableAuthentication": true, "existingSecret": "certs", "certFilename": "tls.crt"});
    let objects = etcd(&helm, &json!({"auth": {"client": side, "peer": side}}));
    for (prefix, folder) in [("ETCD_", "/certs/client"), ("ETCD_PEER_", "/certs/peer")] {
        let of = |name: &str| variable(&objects, &format!("{prefix}{name}"));
        assert_eq!(of("CERT_FILE"), Some(format!("{folder}/tls.crt")));
        assert_eq!(of("KEY_FILE"), Some(format!("{folder}/key.pem")));
        assert_eq!(of("TRUSTED_CA_FILE"), Some(format!("{folder}/ca.crt")));
        assert_eq!(of("CLIENT_CERT_AUTH").as_deref(), Some("true"));
        assert!(server(&objects)["volumeMounts"].to_string().contains(folder));
    }
    assert_eq!(variable(&objects, "ETCD_LISTEN_CLIENT_URLS").as_deref(), Some("https://0.0.0.0:2379"));
    let auto = etcd(&helm, &json!({"auth": {"client": {"useAutoTLS": true}}}));
    assert_eq!(variable(&auto, "ETCD_AUTO_TLS").as_deref(), Some("true"));
    assert!(pod(&auto).get("volumes").is_none());
    let unnamed = etcd(&helm, &json!({"auth": {"peer": {"secureTransport": true}}}));
    assert_eq!(pod(&unnamed)["volumes"][0]["secret"]["secretName"], "dynamo-platform-etcd-peer-tls");
}

#[test]
fn wrong_values_of_etcd_are_refused_with_their_path() {
    let helm = or_skip!(Helm::find(), "helm");
    for (values, words) in [
        (json!({"replicaCount": 0}), "etcd.replicaCount: must be at least 1. Got: 0"),
        (json!({"replicaCount": "three"}), "/replicaCount"),
        (json!({"persistence": {"size": "big"}}), "/persistence/size"),
        (json!({"service": {"type": "External"}}), "/service/type"),
        (json!({"logLevel": "loud"}), "/logLevel"),
        (json!({"image": {"repository": null}}), "missing property 'repository'"),
        (json!({"auth": null}), "missing property 'auth'"),
        (
            json!({"pdb": {"create": true, "minAvailable": 1, "maxUnavailable": 1}}),
            "etcd.pdb: minAvailable and maxUnavailable are both set",
        ),
        (
            json!({"auth": {"client": {"enableAuthentication": true}}}),
            "Set etcd.auth.client.secureTransport=true",
        ),
        (
            json!({"auth": {"peer": {"useAutoTLS": true, "enableAuthentication": true}}}),
            "Set etcd.auth.peer.secureTransport=true",
        ),
        (
            json!({"auth": {"rbac": {"create": true, "existingSecret": "a", "rootPassword": "b"}}}),
            "etcd.auth.rbac: existingSecret and rootPassword are both set",
        ),
        (json!({"auth": {"rbac": {"create": true, "rootPassword": 12_345_678}}}), "/auth/rbac/rootPassword"),
        (json!({"enabled": "yes"}), "/etcd/enabled"),
    ] {
        let output = helm.template(&platform(), RELEASE, NAMESPACE, &json!({ "etcd": values }));
        assert!(
            !output.ok && output.stderr.contains(words),
            "{values}: {words:?} is missing in {}",
            output.stderr
        );
    }
}
