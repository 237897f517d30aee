//! The operator's command line: which flags, in which order, from which value (charts.md section 5).
//! Must not repeat the recorded renders: `recorded.rs` compares those; nor flags of ours: `webhooks.rs` does.

use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, Objects};
use crate::or_skip;

/// The arguments of the contract: ours come after them.
fn contract(objects: &Objects) -> Vec<String> {
    let args = objects.args();
    let end = args.iter().position(|arg| arg.starts_with("--webhook-")).expect("webhooks are on");
    args[..end].to_vec()
}

#[test]
fn a_default_install_passes_the_contract_flags_in_order() {
    let helm = or_skip!(Helm::find(), "helm");
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        "--health-probe-bind-address=:8081".to_owned(),
        "--metrics-bind-address=127.0.0.1:8080".to_owned(),
        "--leader-elect".to_owned(),
        "--leader-election-id=dynamo.nvidia.com".to_owned(),
        "--leader-election-namespace=kube-system".to_owned(),
        "--grove-termination-delay=4h".to_owned(),
        "--mpi-run-ssh-secret-name=mpi-run-ssh-secret".to_owned(),
        "--mpi-run-ssh-secret-namespace=dynamo-system".to_owned(),
        format!("--dgdr-profiling-cluster-role-name={FULLNAME}-dgdr-profiling"),
        format!("--planner-cluster-role-name={FULLNAME}-planner"),
        format!("--epp-cluster-role-name={FULLNAME}-epp"),
        "--discovery-backend=kubernetes".to_owned(),
        format!("--operator-version={version}"),
        "--enable-webhooks=true".to_owned(),
    ];
    assert_eq!(contract(&helm.operator(&json!({}))), expected);
}

#[test]
fn a_restricted_install_passes_its_namespace_and_lease_and_no_cluster_role() {
    let helm = or_skip!(Helm::find(), "helm");
    let version = env!("CARGO_PKG_VERSION");
    let values = json!({"namespaceRestriction": {"enabled": true, "targetNamespace": "tenant"}});
    let expected = [
        "--health-probe-bind-address=:8081",
        "--metrics-bind-address=127.0.0.1:8080",
        "--leader-elect",
        "--leader-election-id=dynamo.nvidia.com",
        "--restrictedNamespace=tenant",
        "--leader-election-namespace=tenant",
        "--grove-termination-delay=4h",
        "--mpi-run-ssh-secret-name=mpi-run-ssh-secret",
        "--mpi-run-ssh-secret-namespace=dynamo-system",
        "--discovery-backend=kubernetes",
        "--namespace-scope-lease-duration=30s",
        "--namespace-scope-lease-renew-interval=10s",
        &format!("--operator-version={version}"),
        "--enable-webhooks=true",
    ];
    assert_eq!(contract(&helm.operator(&values)), expected);
}

#[test]
fn every_option_at_once_keeps_the_order_of_the_contract() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({
        "natsAddr": "nats://n:4222", "etcdAddr": "e:2379", "modelExpressURL": "http://mx:8001",
        "controllerManager": {"leaderElection": {"namespace": "leases"}},
        "dynamo": {
            "istio": {"enabled": true, "gateway": "istio-system/gw"},
            "ingress": {"enabled": true, "className": "nginx", "tlsSecretName": "tls"},
            "ingressHostSuffix": "apps.example", "groveTerminationDelay": "20m", "virtualServiceSupportsHTTPS": true,
            "metrics": {"prometheusEndpoint": "http://prom:9090"},
        },
        "checkpoint": {"enabled": true, "storage": {"type": "oci", "oci": {"uri": "oci://r/c", "credentialsSecretRef": "c"}}},
    });
    let names: Vec<String> = contract(&helm.operator(&values))
        .iter()
        .map(|arg| arg.split('=').next().unwrap_or_default().trim_start_matches('-').to_owned())
        .collect();
    let expected = [
        "health-probe-bind-address",
        "metrics-bind-address",
        "leader-elect",
        "leader-election-id",
        "leader-election-namespace",
        "natsAddr",
        "etcdAddr",
        "istio-virtual-service-gateway",
        "ingress-controller-class-name",
        "ingress-controller-tls-secret-name",
        "ingress-host-suffix",
        "virtual-service-supports-https",
        "grove-termination-delay",
        "model-express-url",
        "prometheus-endpoint",
        "mpi-run-ssh-secret-name",
        "mpi-run-ssh-secret-namespace",
        "dgdr-profiling-cluster-role-name",
        "planner-cluster-role-name",
        "epp-cluster-role-name",
        "discovery-backend",
        "operator-version",
        "enable-webhooks",
        "checkpoint-enabled",
        "checkpoint-storage-type",
        "checkpoint-signal-host-path",
        "checkpoint-init-container-image",
        "checkpoint-ready-for-checkpoint-file-path",
        "checkpoint-restore-marker-file-path",
        "checkpoint-oci-uri",
        "checkpoint-oci-credentials-secret",
    ];
    assert_eq!(names, expected);
}

/// Values, the flag they set, and what it is with and without them.
type FlagCase = (Value, &'static str, Option<&'static str>, Option<&'static str>);

/// How frontends are reached from outside.
fn route_flag_cases() -> Vec<FlagCase> {
    vec![
        (
            json!({"dynamo": {"istio": {"enabled": true, "gateway": "a/b"}}}),
            "istio-virtual-service-gateway",
            Some("a/b"),
            None,
        ),
        (json!({"dynamo": {"istio": {"enabled": true}}}), "istio-virtual-service-gateway", None, None),
        (json!({"dynamo": {"istio": {"gateway": "a/b"}}}), "istio-virtual-service-gateway", None, None),
        (
            json!({"dynamo": {"ingress": {"enabled": true, "className": "nginx"}}}),
            "ingress-controller-class-name",
            Some("nginx"),
            None,
        ),
        (json!({"dynamo": {"ingress": {"className": "nginx"}}}), "ingress-controller-class-name", None, None),
        (
            json!({"dynamo": {"ingress": {"enabled": true}}}),
            "ingress-controller-tls-secret-name",
            Some("my-tls-secret"),
            None,
        ),
        (
            json!({"dynamo": {"ingressHostSuffix": "a.example"}}),
            "ingress-host-suffix",
            Some("a.example"),
            None,
        ),
        (
            json!({"dynamo": {"virtualServiceSupportsHTTPS": true}}),
            "virtual-service-supports-https",
            Some("true"),
            None,
        ),
        (
            json!({"dynamo": {"ingress": {"annotations": {"a/b": "c=d"}}}}),
            "ingress-annotations",
            Some("a/b=c=d"),
            None,
        ),
        (json!({"dynamo": {"istio": {"timeout": "10m"}}}), "virtual-service-timeout", Some("10m"), None),
        (
            json!({"dynamo": {"istio": {"retries": {"attempts": 3}}}}),
            "virtual-service-retry-attempts",
            Some("3"),
            None,
        ),
        (
            json!({"dynamo": {"istio": {"retries": {"perTryTimeout": "30s"}}}}),
            "virtual-service-retry-per-try-timeout",
            Some("30s"),
            None,
        ),
        (
            json!({"dynamo": {"istio": {"retries": {"retryOn": "reset,connect-failure"}}}}),
            "virtual-service-retry-on",
            Some("reset,connect-failure"),
            None,
        ),
    ]
}

fn flag_cases() -> Vec<FlagCase> {
    vec![
        (json!({"natsAddr": "nats://n:4222"}), "natsAddr", Some("nats://n:4222"), None),
        (json!({"etcdAddr": "http://e:2379"}), "etcdAddr", Some("http://e:2379"), None),
        (json!({"modelExpressURL": "http://mx:8001"}), "model-express-url", Some("http://mx:8001"), None),
        (json!({"discoveryBackend": "etcd"}), "discovery-backend", Some("etcd"), Some("kubernetes")),
        (json!({"dynamo": {"groveTerminationDelay": ""}}), "grove-termination-delay", None, Some("4h")),
        (
            json!({"dynamo": {"metrics": {"prometheusEndpoint": "http://p"}}}),
            "prometheus-endpoint",
            Some("http://p"),
            None,
        ),
        (
            json!({"dynamo": {"mpiRun": {"secretName": "ssh"}}}),
            "mpi-run-ssh-secret-name",
            Some("ssh"),
            Some("mpi-run-ssh-secret"),
        ),
        (
            json!({"dynamo": {"mpiRun": {"secretName": ""}}}),
            "mpi-run-ssh-secret-namespace",
            None,
            Some("dynamo-system"),
        ),
        (
            json!({"controllerManager": {"leaderElection": {"namespace": "leases"}}}),
            "leader-election-namespace",
            Some("leases"),
            Some("kube-system"),
        ),
        (
            json!({"namespaceRestriction": {"enabled": true}, "controllerManager": {"leaderElection": {"id": "own"}}}),
            "leader-election-id",
            Some("own"),
            Some("dynamo.nvidia.com"),
        ),
        (
            json!({"controllerManager": {"kubeRbacProxy": {"args": ["--v=4", "--secure-listen-address=[::]:9443"]}}}),
            "metrics-secure-bind-address",
            Some("[::]:9443"),
            Some("0.0.0.0:8443"),
        ),
        (
            json!({"controllerManager": {"kubeRbacProxy": null}}),
            "metrics-secure-bind-address",
            Some("0.0.0.0:8443"),
            Some("0.0.0.0:8443"),
        ),
        (json!({"metricsService": {"authentication": false}}), "metrics-anonymous", Some("true"), None),
        (json!({"metricsService": {"authentication": null}}), "metrics-anonymous", None, None),
        (
            json!({"dynamo": {"mpiRun": {"sshKeygen": {"enabled": false}}}}),
            "mpi-run-ssh-keygen",
            None,
            Some("true"),
        ),
        (json!({"dynamo": {"mpiRun": {"secretName": ""}}}), "mpi-run-ssh-keygen", None, Some("true")),
        (json!({"dynamo": {"natsAuth": {"secretName": "n"}}}), "nats-auth-secret", Some("n"), None),
        (json!({"dynamo": {"etcdAuth": {"secretName": "e"}}}), "etcd-auth-secret", Some("e"), None),
        (json!({"dynamo": {"natsTLS": {"caSecretName": "c"}}}), "nats-tls-ca-secret", Some("c"), None),
        (
            json!({"namespaceRestriction": {"enabled": true, "lease": {"duration": "60s"}}}),
            "namespace-scope-lease-duration",
            Some("60s"),
            None,
        ),
        (
            json!({"namespaceRestriction": {"enabled": true, "lease": null}}),
            "namespace-scope-lease-renew-interval",
            None,
            None,
        ),
    ]
}

#[test]
fn each_value_sets_its_flag_and_without_it_the_default_stands() {
    let helm = or_skip!(Helm::find(), "helm");
    let default = helm.operator(&json!({}));
    for (values, flag, set, unset) in flag_cases().into_iter().chain(route_flag_cases()) {
        assert_eq!(default.flag(flag).as_deref(), unset, "--{flag} by default");
        assert_eq!(helm.operator(&values).flag(flag).as_deref(), set, "--{flag} with {values}");
    }
}

/// All that begin with `--checkpoint-`, without the six that every storage type has.
fn storage_args(objects: &Objects) -> Vec<String> {
    let args = objects.args().into_iter().filter(|arg| arg.starts_with("--checkpoint-"));
    args.skip(6).collect()
}

#[test]
fn each_storage_type_of_checkpoints_passes_its_own_values_only() {
    let helm = or_skip!(Helm::find(), "helm");
    let places = json!({
        "pvc": {"pvcName": "claim", "basePath": "/ck"},
        "s3": {"uri": "s3://bucket/p", "credentialsSecretRef": ""},
        "oci": {"uri": "", "credentialsSecretRef": "registry"},
    });
    for (storage, expected) in [
        ("pvc", &["--checkpoint-pvc-name=claim", "--checkpoint-pvc-base-path=/ck"][..]),
        ("s3", &["--checkpoint-s3-uri=s3://bucket/p"]),
        ("oci", &["--checkpoint-oci-uri=", "--checkpoint-oci-credentials-secret=registry"]),
        ("nfs", &[]),
        ("signalHostPath", &[]),
        ("", &[]),
    ] {
        let mut places = places.clone();
        places["type"] = json!(storage);
        let objects = helm.operator(&json!({"checkpoint": {"enabled": true, "storage": places}}));
        assert_eq!(storage_args(&objects), expected, "{storage}");
        assert_eq!(objects.flag("checkpoint-storage-type").as_deref(), Some(storage));
    }
}

#[test]
fn checkpoint_flags_are_passed_without_webhooks_and_never_while_checkpoints_are_off() {
    let helm = or_skip!(Helm::find(), "helm");
    let with = |checkpoint: Value, webhooks: bool| {
        helm.operator(&json!({"checkpoint": checkpoint, "webhook": {"enabled": webhooks}}))
    };
    for webhooks in [true, false] {
        let on = with(json!({"enabled": true}), webhooks);
        assert_eq!(on.flag("checkpoint-enabled").as_deref(), Some("true"));
        assert_eq!(
            storage_args(&on),
            ["--checkpoint-pvc-name=chrek-pvc", "--checkpoint-pvc-base-path=/checkpoints"]
        );
        for off in [json!({"enabled": false, "storage": {"type": "s3"}}), Value::Null] {
            let args = with(off, webhooks).args();
            assert!(!args.iter().any(|arg| arg.starts_with("--checkpoint-")), "{args:?}");
        }
    }
    // Nothing there: the operator says which flag is empty when a pod needs it.
    let bare = with(json!({"enabled": true, "storage": null, "initContainerImage": null}), true);
    assert_eq!(bare.flag("checkpoint-storage-type").as_deref(), Some(""));
    assert_eq!(bare.flag("checkpoint-init-container-image").as_deref(), Some(""));
}

#[test]
fn own_first_arguments_replace_the_list_and_survive_yaml() {
    let helm = or_skip!(Helm::find(), "helm");
    let odd = "--zap-encoder=json # not: a comment";
    let args = helm.operator(&json!({"controllerManager": {"manager": {"args": [odd]}}})).args();
    assert_eq!(args[..2], [odd, "--leader-elect"]);
    let none = helm.operator(&json!({"controllerManager": {"manager": {"args": []}}})).args();
    assert_eq!(none[0], "--leader-elect");
}

#[test]
fn a_text_with_yaml_characters_reaches_its_flag_unchanged() {
    let helm = or_skip!(Helm::find(), "helm");
    let address = "nats://user:p@ss#1@n:4222, nats://m: 4222";
    assert_eq!(helm.operator(&json!({"natsAddr": address})).flag("natsAddr").as_deref(), Some(address));
}
