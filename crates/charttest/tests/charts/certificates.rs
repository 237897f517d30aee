//! Who makes the serving certificate, mode by mode: objects, rights, flags and the mounted Secret (charts.md sections 3, 9).
//! Must not look at the webhook entries but for their bundle: `webhooks.rs` does.

use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, Objects, strings, text};
use crate::or_skip;

const SERVICE: &str = "dynamo-platform-dynamo-operator-webhook-service";

fn render(helm: &Helm, webhook: Value) -> Objects {
    helm.operator(&json!({ "webhook": webhook }))
}

fn bundles(objects: &Objects) -> Vec<Value> {
    let webhooks = objects.0.iter().filter(|object| text(&object["kind"]).ends_with("WebhookConfiguration"));
    webhooks
        .flat_map(|object| object["webhooks"].as_array().cloned().unwrap_or_default())
        .map(|webhook| webhook["clientConfig"]["caBundle"].clone())
        .collect()
}

fn mounted(objects: &Objects) -> Option<&str> {
    let volume = objects.pod()["volumes"].get(0)?;
    let mount =
        json!([{"name": "cert", "mountPath": "/tmp/k8s-webhook-server/serving-certs", "readOnly": true}]);
    assert_eq!(objects.manager()["volumeMounts"], mount);
    assert_eq!(volume["secret"]["defaultMode"], 420);
    assert!(volume["secret"].get("optional").is_none(), "the pod waits for the Secret");
    Some(text(&volume["secret"]["secretName"]))
}

/// Whether the operator reads the configurations, and whether it writes them.
fn configurations(objects: &Objects) -> (bool, bool) {
    let named = ["validating", "mutating"].map(|part| objects.flag(&format!("webhook-{part}-configuration")));
    let role = objects.find("ClusterRole", &format!("{FULLNAME}-{NAMESPACE}-webhook-configurations"));
    assert_eq!(named.iter().all(Option::is_some), role.is_some(), "flags and rights go together");
    let Some(role) = role else {
        assert_eq!(named, [None, None]);
        return (false, false);
    };
    objects.get("ClusterRoleBinding", &format!("{FULLNAME}-{NAMESPACE}-webhook-configurations"));
    let rules = role["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), 2);
    for (rule, name) in rules.iter().zip(named) {
        assert_eq!(strings(&rule["resourceNames"]), [name.expect("the flag is passed")]);
    }
    let verbs = strings(&rules[0]["verbs"]);
    assert_eq!(verbs, strings(&rules[1]["verbs"]));
    assert!(["get", "list", "watch"].iter().all(|verb| verbs.iter().any(|other| other == verb)));
    (true, verbs.iter().any(|verb| verb == "patch"))
}

fn certificate_kinds(objects: &Objects) -> Vec<String> {
    let parts = ["Job ", "Issuer ", "Certificate "];
    objects.list().into_iter().filter(|name| parts.iter().any(|part| name.starts_with(part))).collect()
}

#[test]
fn by_default_the_operator_makes_and_publishes_its_certificate_without_jobs_and_volumes() {
    let helm = or_skip!(Helm::find(), "helm");
    for restriction in [json!({}), json!({"enabled": true, "targetNamespace": "tenant"})] {
        let objects = helm.operator(&json!({"namespaceRestriction": restriction}));
        assert_eq!(objects.flag("webhook-certificate-mode").as_deref(), Some("operator"));
        assert_eq!(certificate_kinds(&objects), Vec::<String>::new());
        assert_eq!(mounted(&objects), None);
        assert_eq!(configurations(&objects), (true, true));
        assert_eq!(
            bundles(&objects),
            vec![Value::Null; 5],
            "an upgrade must not touch what the operator published"
        );
        for (name, namespace) in [("webhook-cert-reader", NAMESPACE), ("webhook-cert-writer", NAMESPACE)] {
            let role = objects.get("Role", &format!("{FULLNAME}-{name}"));
            assert_eq!(role["metadata"]["namespace"], namespace);
            objects.get("RoleBinding", &format!("{FULLNAME}-{name}"));
        }
    }
}

#[test]
fn the_secret_and_its_life_can_be_chosen() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = render(&helm, json!({"certificateSecret": {"name": "my-cert"}, "certificateValidity": 90}));
    assert_eq!(objects.flag("webhook-certificate-secret").as_deref(), Some("my-cert"));
    assert_eq!(objects.flag("webhook-certificate-validity").as_deref(), Some("90"));
    for name in ["webhook-cert-reader", "webhook-cert-writer"] {
        let rules = objects.get("Role", &format!("{FULLNAME}-{name}"))["rules"].clone();
        let named: Vec<String> = rules
            .as_array()
            .expect("rules")
            .iter()
            .flat_map(|rule| strings(&rule["resourceNames"]))
            .collect();
        assert_eq!(named, ["my-cert"]);
    }
}

#[test]
fn cert_manager_wins_and_its_ca_chain_is_that_of_the_contract() {
    let helm = or_skip!(Helm::find(), "helm");
    let external = json!({"certManager": {"enabled": true}, "certificateSecret": {"external": true}, "caBundle": "Q0E="});
    for webhook in [json!({"certManager": {"enabled": true}, "certGenerator": {"enabled": true}}), external] {
        let objects = render(&helm, webhook);
        assert_eq!(objects.flag("webhook-certificate-mode").as_deref(), Some("files"));
        assert_eq!(mounted(&objects), Some("webhook-server-cert"));
        assert_eq!(configurations(&objects), (true, false));
        assert_eq!(bundles(&objects), vec![Value::Null; 5]);
        let expected = [
            "Certificate F-root-ca",
            "Certificate F-serving-cert",
            "Issuer F-ca-issuer",
            "Issuer F-selfsigned-issuer",
        ];
        assert_eq!(
            certificate_kinds(&objects),
            expected.map(|name| name.replace("F-", &format!("{FULLNAME}-")))
        );
        for part in ["validating", "mutating"] {
            let kind = if part == "mutating" {
                "MutatingWebhookConfiguration"
            } else {
                "ValidatingWebhookConfiguration"
            };
            let annotations = &objects.get(kind, &format!("{FULLNAME}-{part}"))["metadata"]["annotations"];
            let from = format!("{NAMESPACE}/{FULLNAME}-serving-cert");
            assert_eq!(annotations, &json!({"cert-manager.io/inject-ca-from": from}));
        }
        let serving = &objects.get("Certificate", &format!("{FULLNAME}-serving-cert"))["spec"];
        let full = format!("{SERVICE}.{NAMESPACE}.svc");
        assert_eq!(serving["dnsNames"], json!([SERVICE, full, format!("{full}.cluster.local")]));
        assert_eq!(serving["issuerRef"], json!({"kind": "Issuer", "name": format!("{FULLNAME}-ca-issuer")}));
    }
}

#[test]
fn an_own_issuer_replaces_the_chart_s_ca() {
    let helm = or_skip!(Helm::find(), "helm");
    for (issuer, expected) in [
        (json!({"name": "company"}), json!({"name": "company", "kind": "Issuer"})),
        (
            json!({"name": "company", "kind": "ClusterIssuer", "group": "ca.example"}),
            json!({"name": "company", "kind": "ClusterIssuer", "group": "ca.example"}),
        ),
    ] {
        let objects = render(&helm, json!({"certManager": {"enabled": true, "issuerRef": issuer}}));
        assert_eq!(certificate_kinds(&objects), [format!("Certificate {FULLNAME}-serving-cert")]);
        let serving = objects.get("Certificate", &format!("{FULLNAME}-serving-cert"));
        assert_eq!(serving["spec"]["issuerRef"], expected);
    }
    let nameless =
        json!({"webhook": {"certManager": {"enabled": true, "issuerRef": {"kind": "ClusterIssuer"}}}});
    let message = helm.refusal(&nameless);
    assert!(message.contains("VALIDATION ERROR") && message.contains("issuerRef.name"), "{message}");
}

#[test]
fn lives_of_cert_manager_certificates_can_be_chosen() {
    let helm = or_skip!(Helm::find(), "helm");
    let life = |objects: &Objects, name: &str| {
        let spec = &objects.get("Certificate", &format!("{FULLNAME}-{name}"))["spec"];
        [text(&spec["duration"]).to_owned(), text(&spec["renewBefore"]).to_owned()]
    };
    let default = render(&helm, json!({"certManager": {"enabled": true}}));
    assert_eq!(life(&default, "serving-cert"), ["8760h", "360h"]);
    assert_eq!(life(&default, "root-ca"), ["87600h", "720h"]);
    let certificate = json!({"duration": "90m", "renewBefore": "30m", "rootCA": {"duration": "100h", "renewBefore": "1h30m"}});
    let set = render(&helm, json!({"certManager": {"enabled": true, "certificate": certificate}}));
    assert_eq!(life(&set, "serving-cert"), ["90m", "30m"]);
    assert_eq!(life(&set, "root-ca"), ["100h", "1h30m"]);
}

/// cert-manager refuses a common name of more than 64 characters, and that of a default install has 65.
#[test]
fn common_names_fit_what_cert_manager_takes() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({"dynamo-operator": {"webhook": {"certManager": {"enabled": true}}}});
    let names = |release: &str, namespace: &str| -> Vec<String> {
        let objects = helm.objects(release, namespace, &values);
        let certificates = objects.0.iter().filter(|object| object["kind"] == "Certificate");
        certificates.map(|object| text(&object["spec"]["commonName"]).to_owned()).collect()
    };
    assert!(names("d", "team").contains(&"d-dynamo-operator-webhook-service.team.svc".to_owned()));
    for release in ["dynamo-platform", &"r".repeat(53)] {
        let names = names(release, NAMESPACE);
        assert_eq!(names.len(), 2);
        assert!(names.iter().all(|name| !name.is_empty() && name.len() <= 64), "{names:?}");
    }
}

#[test]
fn an_external_certificate_is_mounted_and_verified_only_against_a_bundle_that_is_given() {
    let helm = or_skip!(Helm::find(), "helm");
    let without = render(&helm, json!({"certificateSecret": {"external": true, "name": "mine"}}));
    assert_eq!(without.flag("webhook-certificate-mode").as_deref(), Some("files"));
    assert_eq!(mounted(&without), Some("mine"));
    assert_eq!(configurations(&without), (false, false));
    assert_eq!(bundles(&without), vec![Value::Null; 5]);
    assert_eq!(certificate_kinds(&without), Vec::<String>::new());
    assert!(
        without.find("Role", &format!("{FULLNAME}-webhook-cert-writer")).is_none(),
        "the Secret is the user's"
    );
    // As `base64` prints it, in lines.
    let with =
        render(&helm, json!({"certificateSecret": {"external": true}, "caBundle": "Q0Et\nQlVORExF\n"}));
    assert_eq!(bundles(&with), vec![json!("Q0EtQlVORExF"); 5]);
    assert_eq!(configurations(&with), (true, false));
}

#[test]
fn a_bundle_without_external_certificate_is_not_rendered() {
    let helm = or_skip!(Helm::find(), "helm");
    assert_eq!(bundles(&render(&helm, json!({"caBundle": "Q0EtQlVORExF"}))), vec![Value::Null; 5]);
}

#[test]
fn hook_jobs_run_the_operators_program_with_names_weights_and_order_of_the_contract() {
    let helm = or_skip!(Helm::find(), "helm");
    let toleration = json!([{"key": "dedicated", "operator": "Exists"}]);
    let objects = helm.operator(&json!({
        "imagePullSecrets": [{"name": "pull"}],
        "controllerManager": {
            "tolerations": toleration, "manager": {"image": {"repository": "reg.example/op", "tag": "v2"}}
        },
        "webhook": {"certGenerator": {"enabled": true, "image": {"repository": "reg.example/kubectl", "tag": "1"}}},
    }));
    assert_eq!(objects.flag("webhook-certificate-mode").as_deref(), Some("files"));
    assert_eq!(mounted(&objects), Some("webhook-server-cert"));
    // `helm --wait` looks at readiness before the second job publishes: readiness must not wait for it.
    assert_eq!(configurations(&objects), (false, false));
    for (name, hook, weight, retries, word) in [
        ("webhook-cert-gen", "pre-install,pre-upgrade", -5, 3, "generate"),
        ("webhook-ca-inject", "post-install,post-upgrade", 1, 5, "inject"),
    ] {
        let job = objects.get("Job", &format!("{FULLNAME}-{name}-1"));
        let annotations = &job["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/hook"], hook);
        assert_eq!(annotations["helm.sh/hook-weight"], (weight + 1).to_string());
        assert_eq!(job["spec"]["backoffLimit"], retries);
        assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 3600);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["restartPolicy"], "OnFailure");
        assert_eq!(pod["imagePullSecrets"], json!([{"name": "pull"}]));
        assert_eq!(pod["tolerations"], toleration);
        let container = &pod["containers"][0];
        assert_eq!(container["image"], "reg.example/op:v2");
        assert_eq!(container["command"], json!(["/manager"]));
        assert_eq!(container["env"], objects.manager()["env"]);
        assert_eq!(strings(&container["args"])[..2], ["webhook-certificate", word]);
        assert_eq!(container["securityContext"], objects.manager()["securityContext"]);
        for kind in ["ServiceAccount", "Role", "RoleBinding"] {
            let object = objects.get(kind, &format!("{FULLNAME}-{name}"));
            assert_eq!(object["metadata"]["annotations"]["helm.sh/hook"], hook, "{kind}");
            assert_eq!(
                object["metadata"]["annotations"]["helm.sh/hook-weight"],
                weight.to_string(),
                "{kind}"
            );
        }
    }
    let inject = objects.get("ClusterRole", &format!("{FULLNAME}-webhook-ca-inject"));
    let named: Vec<String> = inject["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .flat_map(|rule| strings(&rule["resourceNames"]))
        .collect();
    assert_eq!(named, [format!("{FULLNAME}-validating"), format!("{FULLNAME}-mutating")]);
}

/// Each job gets what it works on by name; a wrong one would make a certificate for nobody.
#[test]
fn hook_jobs_are_told_the_objects_that_the_release_has() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&json!({
        "namespaceRestriction": {"enabled": true, "targetNamespace": "tenant"},
        "webhook": {
            "certGenerator": {"enabled": true}, "certificateSecret": {"name": "my-cert"}, "certificateValidity": 30
        },
    }));
    let args = |name: &str| {
        let job = objects.get("Job", &format!("{FULLNAME}-{name}-1"));
        strings(&job["spec"]["template"]["spec"]["containers"][0]["args"])[2..].to_vec()
    };
    let (secret, namespace) = ("--webhook-certificate-secret=my-cert", "--webhook-namespace=dynamo-system");
    let service = format!("--webhook-service={SERVICE}");
    assert_eq!(args("webhook-cert-gen"), [secret, &service, namespace, "--webhook-certificate-validity=30"]);
    let configuration = |part| format!("--webhook-{part}-configuration={FULLNAME}-{part}-{NAMESPACE}");
    let (validating, mutating) = (configuration("validating"), configuration("mutating"));
    assert_eq!(args("webhook-ca-inject"), [secret, namespace, &validating, &mutating]);
    // Weak spot: restricted releases of one name must not share a ClusterRole.
    objects.get("ClusterRole", &format!("{FULLNAME}-webhook-ca-inject-{NAMESPACE}"));
}
