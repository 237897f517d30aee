//! Values that shape the pod, the accounts and the Secret: their default and their effect (charts.md section 3).
//! Must not look at flags: `arguments.rs` does.

use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, Objects, RELEASE, operator, platform, text, yaml};
use crate::or_skip;

/// The platform repeats the operator's values, so that `helm show values` tells all; they must not drift apart.
#[test]
fn the_platform_repeats_the_operator_values_but_for_the_grove_delay() {
    let mut own = yaml(&operator().join("values.yaml"));
    let mut repeated = yaml(&platform().join("values.yaml"))["dynamo-operator"].take();
    assert_eq!(own["dynamo"]["groveTerminationDelay"].take(), "15m");
    assert_eq!(repeated["dynamo"]["groveTerminationDelay"].take(), "4h");
    assert_eq!(repeated.as_object_mut().and_then(|values| values.remove("enabled")), Some(json!(true)));
    assert_eq!(own, repeated);
}

#[test]
fn every_value_has_a_comment() {
    let bundled = ["charts/nats", "charts/etcd"].map(|chart| platform().join(chart));
    let all = [platform(), operator()].into_iter().chain(bundled);
    for path in all.map(|chart| chart.join("values.yaml")) {
        let text = std::fs::read_to_string(&path).expect("the values are readable");
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let (key, value) = match line.trim_start().split_once(':') {
                Some(pair) if !line.trim_start().starts_with(['#', '-']) => pair,
                _ => continue,
            };
            // Maps explain themselves by their keys; resources and the security context have one comment for all.
            let indent = line.len() - line.trim_start().len();
            let grouped = lines[..index]
                .iter()
                .rev()
                .find(|above| !above.trim().is_empty() && above.len() - above.trim_start().len() < indent);
            let in_group = grouped.is_some_and(|above| {
                ["limits:", "requests:", "containerSecurityContext:", "capabilities:"].contains(&above.trim())
            });
            if value.trim().is_empty() || in_group {
                continue;
            }
            assert!(
                lines[index - 1].trim_start().starts_with('#'),
                "{}: {key} has no comment",
                path.display()
            );
        }
    }
}

#[test]
fn versions_are_those_of_the_workspace() {
    let version = env!("CARGO_PKG_VERSION");
    let (platform, operator) = (yaml(&platform().join("Chart.yaml")), yaml(&operator().join("Chart.yaml")));
    for value in [
        &platform["version"],
        &platform["dependencies"][0]["version"],
        &operator["version"],
        &operator["appVersion"],
    ] {
        assert_eq!(value, version);
    }
}

#[test]
fn the_pod_is_as_the_contract_says() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&json!({}));
    let deployment = objects.get("Deployment", &format!("{FULLNAME}-controller-manager"));
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["spec"]["strategy"], json!({"type": "Recreate"}));
    assert_eq!(deployment["metadata"]["labels"]["control-plane"], "controller-manager");
    assert_eq!(deployment["metadata"]["labels"]["app.kubernetes.io/component"], "manager");
    let pod = objects.pod();
    assert_eq!(pod["terminationGracePeriodSeconds"], 30);
    assert_eq!(pod["serviceAccountName"], format!("{FULLNAME}-controller-manager"));
    assert_eq!(pod["containers"].as_array().map(Vec::len), Some(1));
    assert!(pod.get("volumes").is_none());
    let manager = objects.manager();
    assert_eq!(manager["name"], "manager");
    assert_eq!(manager["command"], json!(["/manager"]));
    assert_eq!(manager["env"], json!([{"name": "KUBERNETES_CLUSTER_DOMAIN", "value": "cluster.local"}]));
    assert_eq!(
        manager["envFrom"],
        json!([{"secretRef": {"name": "dynamo-deployment-env", "optional": true}}])
    );
    let probe = |path: &str, delay: u32, period: u32| json!({"httpGet": {"path": path, "port": 8081}, "initialDelaySeconds": delay, "periodSeconds": period});
    assert_eq!(manager["livenessProbe"], probe("/healthz", 15, 20));
    assert_eq!(manager["readinessProbe"], probe("/readyz", 5, 10));
}

#[test]
fn the_pod_meets_pod_security_level_restricted() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&json!({}));
    let pod = &objects.pod()["securityContext"];
    assert_eq!(pod["runAsNonRoot"], true);
    assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault");
    let container = &objects.manager()["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["runAsUser"], 65532);
}

/// Values, where their effect shows, and what stands there with and without them.
fn pod_cases() -> Vec<(Value, &'static str, Value, Value)> {
    let image = |value: Value| json!({"controllerManager": {"manager": {"image": value}}});
    let default_image = format!("nvcr.io/nvidia/ai-dynamo/kubernetes-operator:{}", env!("CARGO_PKG_VERSION"));
    let toleration = json!([{"key": "dedicated", "operator": "Exists"}]);
    let affinity = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}});
    vec![
        (json!({"controllerManager": {"replicas": 2}}), "/spec/replicas", json!(2), json!(1)),
        (
            image(json!({"repository": "reg.example/op", "tag": "v2"})),
            "/spec/template/spec/containers/0/image",
            json!("reg.example/op:v2"),
            json!(default_image),
        ),
        (
            image(json!({"tag": 20_260_101})),
            "/spec/template/spec/containers/0/image",
            json!("nvcr.io/nvidia/ai-dynamo/kubernetes-operator:20260101"),
            json!(default_image),
        ),
        (
            image(json!({"pullPolicy": "Always"})),
            "/spec/template/spec/containers/0/imagePullPolicy",
            json!("Always"),
            json!("IfNotPresent"),
        ),
        (
            json!({"imagePullSecrets": [{"name": "pull"}]}),
            "/spec/template/spec/imagePullSecrets",
            json!([{"name": "pull"}]),
            Value::Null,
        ),
        (
            json!({"controllerManager": {"tolerations": toleration}}),
            "/spec/template/spec/tolerations",
            toleration,
            Value::Null,
        ),
        (
            json!({"controllerManager": {"affinity": affinity}}),
            "/spec/template/spec/affinity",
            affinity,
            Value::Null,
        ),
        (
            json!({"controllerManager": {"manager": {"resources": {"limits": {"memory": "1Gi"}}}}}),
            "/spec/template/spec/containers/0/resources/limits/memory",
            json!("1Gi"),
            json!("256Mi"),
        ),
        (
            json!({"controllerManager": {"manager": {"containerSecurityContext": {"runAsUser": 7}}}}),
            "/spec/template/spec/containers/0/securityContext/runAsUser",
            json!(7),
            json!(65532),
        ),
        (
            json!({"controllerManager": {"manager": {"containerSecurityContext": {"runAsUser": null}}}}),
            "/spec/template/spec/containers/0/securityContext/runAsUser",
            Value::Null,
            json!(65532),
        ),
        (
            json!({"kubernetesClusterDomain": "corp.example"}),
            "/spec/template/spec/containers/0/env/0/value",
            json!("corp.example"),
            json!("cluster.local"),
        ),
    ]
}

#[test]
fn each_value_changes_its_place_in_the_deployment_and_the_default_stands_without_it() {
    let helm = or_skip!(Helm::find(), "helm");
    let at = |objects: &Objects, pointer: &str| {
        objects.deployment().pointer(pointer).cloned().unwrap_or(Value::Null)
    };
    let default = helm.operator(&json!({}));
    for (values, pointer, set, unset) in pod_cases() {
        assert_eq!(at(&default, pointer), unset, "{pointer} by default");
        assert_eq!(at(&helm.operator(&values), pointer), set, "{pointer} with {values}");
    }
}

#[test]
fn annotations_reach_their_accounts() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({
        "controllerManager": {"serviceAccount": {"annotations": {"a/b": "c"}}},
        "dynamo": {"components": {"serviceAccount": {"annotations": {"d/e": "f"}}}},
    });
    let objects = helm.operator(&values);
    let account = |suffix: &str| &objects.get("ServiceAccount", &format!("{FULLNAME}-{suffix}"))["metadata"];
    assert_eq!(account("controller-manager")["annotations"], json!({"a/b": "c"}));
    assert_eq!(account("component")["annotations"], json!({"d/e": "f"}));
    assert_eq!(account("component")["labels"]["nvidia.com/dynamo-component-pod"], "true");
    let default = helm.operator(&json!({}));
    for object in default.0.iter().filter(|object| object["kind"] == "ServiceAccount") {
        assert!(object["metadata"].get("annotations").is_none(), "{object}");
    }
}

#[test]
fn the_debugger_image_is_in_the_secret_and_a_change_restarts_the_operator() {
    let helm = or_skip!(Helm::find(), "helm");
    let checksum = |objects: &Objects| {
        let annotations = &objects.deployment()["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["kubectl.kubernetes.io/default-container"], "manager");
        text(&annotations["checksum/deployment-env"]).to_owned()
    };
    let default = helm.operator(&json!({}));
    let changed = helm.operator(&json!({"dynamo": {"internalImages": {"debugger": "reg.example/py:1"}}}));
    let secret = default.get("Secret", "dynamo-deployment-env");
    assert_eq!(secret["stringData"], json!({"INTERNAL_IMAGES_DEBUGGER": "python:3.12-slim"}));
    assert_eq!(secret["metadata"]["namespace"], NAMESPACE);
    assert_eq!(
        changed.get("Secret", "dynamo-deployment-env")["stringData"],
        json!({"INTERNAL_IMAGES_DEBUGGER": "reg.example/py:1"})
    );
    assert_ne!(checksum(&default), checksum(&changed));
}

#[test]
fn restricted_security_of_pods_is_in_the_secret_only_when_it_is_on() {
    let helm = or_skip!(Helm::find(), "helm");
    for (on, variable) in [(true, json!("true")), (false, Value::Null)] {
        let objects = helm.operator(&json!({"dynamo": {"enableRestrictedSecurityContext": on}}));
        let secret = objects.get("Secret", "dynamo-deployment-env");
        assert_eq!(secret["stringData"]["ENABLE_RESTRICTED_SECURITY_CONTEXT"], variable);
    }
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    let helm = or_skip!(Helm::find(), "helm");
    for restricted in [false, true] {
        for webhook in [
            json!({}),
            json!({"certManager": {"enabled": true}}),
            json!({"certGenerator": {"enabled": true}}),
        ] {
            let values = json!({"dynamo-operator": {
                "namespaceRestriction": {"enabled": restricted}, "webhook": webhook,
            }});
            let render = || helm.template(&platform(), RELEASE, NAMESPACE, &values).stdout;
            assert_eq!(render(), render());
        }
    }
}

#[test]
fn value_files_written_for_the_reference_render() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({
        "nats": {"enabled": true, "config": {"cluster": {"enabled": true}}},
        "etcd": {"enabled": true, "disasterRecovery": {"enabled": false}}, "grove": {"affinity": {}},
        "global": {"kai-scheduler": {"install": true}},
        "dynamo-operator": {
            "nats": {"enabled": true},
            "metricsService": {"enabled": true, "type": "NodePort"}, "serviceAccount": {"create": false, "name": "x"},
            "checkpoint": {"enabled": true, "storage": {"type": "pvc"}, "criu": {"timeout": 60}},
            "istioVirtualServiceEnabled": true,
            "controllerManager": {"kubeRbacProxy": {"image": {"tag": "v0.15.0"}, "resources": {"limits": {"cpu": "1"}}}},
            "dynamo": {"dockerRegistry": {"useKubernetesSecret": false, "server": "nvcr.io"}, "istio": {"gateway": null}},
            "webhook": {"enabled": true, "failurePolicy": "Ignore", "certGenerator": {"image": {"repository": "reg/kubectl", "tolerations": []}}},
        },
    });
    let objects = helm.objects(RELEASE, NAMESPACE, &values);
    assert!(objects.flag("natsAddr").is_some() && objects.flag("etcdAddr").is_some());
}
