//! Webhook configurations, their Service and the flags that go with them (charts.md sections 3, 5, 6 and 9).
//! Must not look at where the certificate comes from: `certificates.rs` does.

use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, Objects, strings, text};
use crate::or_skip;

fn restricted() -> Value {
    json!({"enabled": true, "targetNamespace": "tenant"})
}

fn configuration<'a>(objects: &'a Objects, kind: &str) -> &'a Value {
    let kind = format!("{kind}WebhookConfiguration");
    objects.0.iter().find(|object| object["kind"] == kind).expect("a configuration")
}

/// All five webhooks, in order.
fn webhooks(objects: &Objects) -> Vec<Value> {
    ["Validating", "Mutating"]
        .iter()
        .flat_map(|kind| configuration(objects, kind)["webhooks"].as_array().expect("webhooks").clone())
        .collect()
}

#[test]
fn the_five_webhooks_stand_in_the_order_and_with_the_paths_of_the_contract() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&json!({}));
    let expected = [
        ("v", "dynamocomponentdeployment", "validate", &["CREATE", "UPDATE"][..]),
        ("v", "dynamographdeployment", "validate", &["CREATE", "UPDATE"]),
        ("v", "dynamomodel", "validate", &["CREATE", "UPDATE"]),
        ("v", "dynamographdeploymentrequest", "validate", &["CREATE", "UPDATE"]),
        ("m", "dynamographdeployment", "mutate", &["CREATE"]),
    ];
    let rendered = webhooks(&objects);
    assert_eq!(rendered.len(), expected.len());
    for (webhook, (letter, kind, verb, operations)) in rendered.iter().zip(expected) {
        assert_eq!(
            webhook,
            &json!({
                "name": format!("{letter}{kind}.kb.io"),
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"service": {
                    "name": format!("{FULLNAME}-webhook-service"),
                    "namespace": NAMESPACE,
                    "path": format!("/{verb}-nvidia-com-v1alpha1-{kind}"),
                }},
                "failurePolicy": "Fail",
                "rules": [{
                    "apiGroups": ["nvidia.com"],
                    "apiVersions": ["v1alpha1"],
                    "operations": operations,
                    "resources": [format!("{kind}s")],
                }],
                "sideEffects": "None",
                "timeoutSeconds": 10,
            })
        );
    }
}

#[test]
fn the_service_leads_port_443_to_ready_operator_pods_on_9443() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&json!({}));
    let service = objects.get("Service", &format!("{FULLNAME}-webhook-service"));
    assert_eq!(service["metadata"]["namespace"], NAMESPACE);
    assert_eq!(service["metadata"]["labels"]["app.kubernetes.io/component"], "webhook");
    let spec = &service["spec"];
    assert_eq!(
        spec["ports"],
        json!([{"name": "webhook", "port": 443, "protocol": "TCP", "targetPort": 9443}])
    );
    assert_eq!(spec["publishNotReadyAddresses"], false);
    assert_eq!(spec["selector"], objects.deployment()["spec"]["template"]["metadata"]["labels"]);
    let port = json!({"name": "webhook-server", "containerPort": 9443, "protocol": "TCP"});
    assert_eq!(objects.manager()["ports"][1], port, "after that of metrics");
}

#[test]
fn configurations_of_a_restricted_release_carry_its_namespace_and_review_the_served_one() {
    let helm = or_skip!(Helm::find(), "helm");
    for (restriction, suffix, selector) in [
        (json!({}), "", Value::Null),
        (
            json!({"enabled": true}),
            "-dynamo-system",
            json!({"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}),
        ),
        // Weak spot 21: the reference selects the release namespace, where the restricted operator has nothing to do.
        (restricted(), "-dynamo-system", json!({"matchLabels": {"kubernetes.io/metadata.name": "tenant"}})),
    ] {
        let objects = helm.operator(&json!({"namespaceRestriction": restriction}));
        for (kind, part) in [("Validating", "validating"), ("Mutating", "mutating")] {
            let name = format!("{FULLNAME}-{part}{suffix}");
            assert_eq!(configuration(&objects, kind)["metadata"]["name"], name);
            let flag = objects.flag(&format!("webhook-{part}-configuration"));
            assert_eq!(flag.as_deref(), Some(&name[..]), "the operator knows its configuration");
        }
        for webhook in webhooks(&objects) {
            assert_eq!(webhook["namespaceSelector"], selector, "{restriction}");
        }
    }
}

#[test]
fn a_selector_of_the_user_wins_in_both_scopes() {
    let helm = or_skip!(Helm::find(), "helm");
    let selector = json!({"matchExpressions": [{"key": "dynamo", "operator": "NotIn", "values": ["off"]}]});
    for restriction in [json!({}), restricted()] {
        let webhook = json!({"namespaceSelector": selector});
        let objects = helm.operator(&json!({"namespaceRestriction": restriction, "webhook": webhook}));
        assert!(webhooks(&objects).iter().all(|webhook| webhook["namespaceSelector"] == selector));
    }
}

#[test]
fn policy_and_time_out_reach_every_webhook_and_the_operator_knows_its_time() {
    let helm = or_skip!(Helm::find(), "helm");
    let default = helm.operator(&json!({}));
    assert_eq!(default.flag("webhook-timeout").as_deref(), Some("10s"));
    let set = helm.operator(&json!({"webhook": {"failurePolicy": "Ignore", "timeoutSeconds": 5}}));
    assert_eq!(set.flag("webhook-timeout").as_deref(), Some("5s"));
    // The operator takes 2 s and more; the API server still waits for 1 s only.
    let shortest = helm.operator(&json!({"webhook": {"timeoutSeconds": 1}}));
    assert_eq!(shortest.flag("webhook-timeout").as_deref(), Some("2s"));
    assert!(webhooks(&shortest).iter().all(|webhook| webhook["timeoutSeconds"] == 1));
    for webhook in webhooks(&set) {
        assert_eq!((&webhook["failurePolicy"], &webhook["timeoutSeconds"]), (&json!("Ignore"), &json!(5)));
    }
}

#[test]
fn without_webhooks_nothing_of_them_is_left() {
    let helm = or_skip!(Helm::find(), "helm");
    for (restriction, webhook) in [
        (json!({}), json!({"enabled": false, "certManager": {"enabled": true}})),
        (restricted(), json!({"enabled": false, "certGenerator": {"enabled": true}})),
        (json!({}), Value::Null),
    ] {
        let objects = helm.operator(&json!({"namespaceRestriction": restriction, "webhook": webhook}));
        let left: Vec<String> = objects
            .list()
            .into_iter()
            .filter(|name| name.contains("webhook") || name.contains("Webhook"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(objects.manager()["ports"].as_array().map(Vec::len), Some(1), "that of metrics");
        assert!(!objects.args().iter().any(|arg| arg.contains("webhook")), "{:?}", objects.args());
    }
}

/// Replicas of a graph belong to its adapters: the operator itself must pass (operator-process.md section 7).
#[test]
fn the_operator_trusts_its_own_account_by_its_exact_name() {
    let helm = or_skip!(Helm::find(), "helm");
    for values in [json!({}), json!({"webhook": {"enabled": false}}), json!({"fullnameOverride": "dynop"})] {
        let objects = helm.operator(&values);
        let account = text(&objects.pod()["serviceAccountName"]).to_owned();
        let trusted = objects.flag("trusted-service-account");
        assert_eq!(trusted, Some(format!("{NAMESPACE}/{account}")), "{values}");
    }
}

/// charts.md section 24: suffixes after a prefix of 63 characters make Services and Jobs that the API server refuses.
#[test]
fn names_that_must_fit_63_characters_do_and_stay_apart() {
    let helm = or_skip!(Helm::find(), "helm");
    let jobs = json!({"dynamo-operator": {"webhook": {"certGenerator": {"enabled": true}}}});
    let mut seen = std::collections::BTreeSet::new();
    for release in ["r".repeat(28), "r".repeat(32), "r".repeat(53), format!("{}s", "r".repeat(52))] {
        let objects = helm.objects(&release, "team", &jobs).without_bundled();
        for object in &objects.0 {
            if ["Service", "Job"].iter().any(|kind| object["kind"] == **kind) {
                let name = text(&object["metadata"]["name"]);
                assert!(name.len() <= 63, "{name}");
                assert!(seen.insert(name.to_owned()), "{name} twice");
            }
        }
        let service = objects.flag("webhook-service").expect("the flag is passed");
        objects.get("Service", &service);
        for webhook in webhooks(&objects) {
            assert_eq!(webhook["clientConfig"]["service"]["name"], service);
        }
    }
    // A name that fits is that of the contract.
    let objects = helm.objects(&"r".repeat(27), "team", &jobs);
    objects.get("Job", &format!("{}-dynamo-operator-webhook-ca-inject-1", "r".repeat(27)));
}

/// Null takes a key away, also the default of the chart (charts.md section 3).
#[test]
fn a_null_is_as_good_as_the_default() {
    let helm = or_skip!(Helm::find(), "helm");
    let default = helm.operator(&json!({}));
    for key in [
        "failurePolicy",
        "timeoutSeconds",
        "namespaceSelector",
        "certificateSecret",
        "caBundle",
        "certificateValidity",
        "certManager",
        "certGenerator",
    ] {
        let objects = helm.operator(&json!({"webhook": {key: null}}));
        assert_eq!(objects.0, default.0, "webhook.{key}: null");
    }
    let certificate = |value: Value| {
        helm.operator(
            &json!({"webhook": {"certManager": {"enabled": true, "certificate": value, "issuerRef": value}}}),
        )
    };
    assert_eq!(certificate(Value::Null).0, certificate(json!({})).0);
}

#[test]
fn wrong_values_are_refused_with_their_path() {
    let helm = or_skip!(Helm::find(), "helm");
    for (webhook, path) in [
        (json!({"enabled": "yes"}), "webhook/enabled"),
        (json!({"failurePolicy": "Maybe"}), "webhook/failurePolicy"),
        (json!({"timeoutSeconds": 0}), "webhook/timeoutSeconds"),
        (json!({"timeoutSeconds": 31}), "webhook/timeoutSeconds"),
        (json!({"timeoutSeconds": "10s"}), "webhook/timeoutSeconds"),
        (json!({"namespaceSelector": {"matchLabel": {"a": "b"}}}), "webhook/namespaceSelector"),
        (
            json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
            "webhook/namespaceSelector/matchExpressions/0/operator",
        ),
        (json!({"certificateSecret": {"name": "Not_A_Name"}}), "webhook/certificateSecret/name"),
        (json!({"certificateSecret": {"external": "yes"}}), "webhook/certificateSecret/external"),
        (json!({"caBundle": "-----BEGIN CERTIFICATE-----"}), "webhook/caBundle"),
        (json!({"certificateValidity": 0}), "webhook/certificateValidity"),
        (json!({"certificateValidity": 36_501}), "webhook/certificateValidity"),
        (json!({"certificateValidity": "1y"}), "webhook/certificateValidity"),
        (json!({"certManager": {"enabled": 1}}), "webhook/certManager/enabled"),
        (json!({"certManager": {"issuerRef": "company"}}), "webhook/certManager/issuerRef"),
        (json!({"certManager": {"issuerRef": {"name": 1}}}), "webhook/certManager/issuerRef/name"),
        (
            json!({"certManager": {"certificate": {"duration": "1y"}}}),
            "webhook/certManager/certificate/duration",
        ),
        (
            json!({"certManager": {"certificate": {"rootCA": {"renewBefore": 720}}}}),
            "webhook/certManager/certificate/rootCA/renewBefore",
        ),
        (json!({"certGenerator": {"enabled": "yes"}}), "webhook/certGenerator/enabled"),
        (json!({"certGenerator": {"image": {"tag": 1.5}}}), "webhook/certGenerator/image/tag"),
        (json!({"certGenerator": {"image": {"repository": 1}}}), "webhook/certGenerator/image/repository"),
        (
            json!({"certGenerator": {"image": {"pullPolicy": "Sometimes"}}}),
            "webhook/certGenerator/image/pullPolicy",
        ),
        (json!({"certManager": {"issuerRef": {"kind": []}}}), "webhook/certManager/issuerRef/kind"),
        (json!({"certManager": {"issuerRef": {"group": 1}}}), "webhook/certManager/issuerRef/group"),
        (
            json!({"certManager": {"certificate": {"renewBefore": "15 days"}}}),
            "webhook/certManager/certificate/renewBefore",
        ),
        (
            json!({"certManager": {"certificate": {"rootCA": {"duration": true}}}}),
            "webhook/certManager/certificate/rootCA/duration",
        ),
    ] {
        let message = helm.refusal(&json!({"webhook": webhook}));
        assert!(message.contains(path), "{webhook} is refused without {path}: {message}");
    }
}

#[test]
fn all_flags_of_ours_follow_those_of_the_contract() {
    let helm = or_skip!(Helm::find(), "helm");
    let args = helm.operator(&json!({})).args();
    let enabled = args.iter().position(|arg| arg == "--enable-webhooks=true").expect("webhooks are on");
    assert!(args[enabled - 1].starts_with("--operator-version="));
    assert_eq!(
        args[enabled + 1..],
        strings(&json!([
            "--webhook-certificate-mode=operator",
            format!("--webhook-service={FULLNAME}-webhook-service"),
            "--webhook-namespace=dynamo-system",
            "--webhook-timeout=10s",
            "--webhook-certificate-secret=webhook-server-cert",
            "--webhook-certificate-validity=365",
            format!("--webhook-validating-configuration={FULLNAME}-validating"),
            format!("--webhook-mutating-configuration={FULLNAME}-mutating"),
            format!("--trusted-service-account=dynamo-system/{FULLNAME}-controller-manager"),
            "--metrics-secure-bind-address=0.0.0.0:8443",
            "--mpi-run-ssh-keygen=true",
        ]))
    );
}
