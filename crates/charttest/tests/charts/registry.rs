//! The Secret by which pods of graphs pull images, and what is checked about it (charts.md section 8).
//! Must not need a cluster: what a check finds in one is answered by a stand-in.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, Objects, Output, RELEASE, platform, strings, text};
use crate::or_skip;
use crate::stand_in::{StandIn, existing, namespace};

fn registry(values: &Value) -> Value {
    let mut registry = values.clone();
    registry["useKubernetesSecret"] = json!(true);
    json!({"dynamo": {"dockerRegistry": registry}})
}

fn with_password(server: &str, password: &str) -> Value {
    registry(&json!({"server": server, "username": "$oauthtoken", "password": password}))
}

/// What the Secret holds, decoded.
fn config(objects: &Objects) -> Value {
    let secret = objects.get("Secret", &format!("{FULLNAME}-regcred"));
    assert_eq!(secret["type"], "kubernetes.io/dockerconfigjson");
    let data = text(&secret["data"][".dockerconfigjson"]);
    let data = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
    serde_json::from_slice(&data).expect("JSON, whatever the password holds")
}

#[test]
fn any_password_reaches_the_registry_as_it_was_written() {
    let helm = or_skip!(Helm::find(), "helm");
    for password in ["pw", "a\"b", "a\\b", "{{ x }}", "$(x) <&> ü", "a: b # c"] {
        let config = config(&helm.operator(&with_password("nvcr.io", password)));
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("$oauthtoken:{password}"));
        let entry = json!({"username": "$oauthtoken", "password": password, "auth": auth});
        assert_eq!(config, json!({"auths": {"nvcr.io": entry}}), "{password}");
    }
}

/// The kubelet and the operator look for hosts; Docker Hub has a key of its own.
#[test]
fn the_key_of_the_entry_is_the_host() {
    let helm = or_skip!(Helm::find(), "helm");
    let hub = "https://index.docker.io/v1/";
    for (server, key) in [
        ("nvcr.io/nvidia", "nvcr.io"),
        ("https://reg.example:5000/v2/team", "reg.example:5000"),
        ("docker.io", hub),
        ("docker.io/team", hub),
        (hub, hub),
        ("registry-1.docker.io", hub),
        ("docker.io.example", "docker.io.example"),
    ] {
        let config = config(&helm.operator(&with_password(server, "pw")));
        let keys: Vec<&String> = config["auths"].as_object().expect("auths").keys().collect();
        assert_eq!(keys, [key], "{server}");
    }
}

#[test]
fn accounts_of_graphs_pods_name_the_secret_and_the_operators_own_does_not() {
    let helm = or_skip!(Helm::find(), "helm");
    let own = with_password("nvcr.io", "pw");
    let yours = registry(&json!({"existingSecretName": "pull", "server": "nvcr.io"}));
    for (mut values, secret) in [(own, format!("{FULLNAME}-regcred")), (yours, "pull".to_owned())] {
        for restricted in [false, true] {
            values["namespaceRestriction"] = json!({"enabled": restricted});
            let objects = helm.operator(&values);
            let accounts = objects.0.iter().filter(|object| object["kind"] == "ServiceAccount");
            let with = accounts.filter(|account| !account["imagePullSecrets"].is_null());
            let mut names = Vec::new();
            for account in with {
                assert_eq!(account["imagePullSecrets"], json!([{"name": secret}]));
                names.push(text(&account["metadata"]["name"]).to_owned());
            }
            names.sort();
            let component = format!("{FULLNAME}-component");
            let expected = if restricted {
                vec![component, "epp-serviceaccount".to_owned(), "planner-serviceaccount".to_owned()]
            } else {
                vec![component]
            };
            assert_eq!(names, expected, "{secret}, restricted: {restricted}");
            let made = objects.find("Secret", &format!("{FULLNAME}-regcred")).is_some();
            assert_eq!(made, secret != "pull");
        }
    }
}

/// A pod reads Secrets of its own namespace only.
#[test]
fn the_secret_is_where_the_accounts_are() {
    let helm = or_skip!(Helm::find(), "helm");
    let mut values = with_password("nvcr.io", "pw");
    values["namespaceRestriction"] = json!({"enabled": true, "targetNamespace": "tenant"});
    let objects = helm.operator(&values);
    assert_eq!(objects.get("Secret", &format!("{FULLNAME}-regcred"))["metadata"]["namespace"], "tenant");
    assert_eq!(
        objects.get("ServiceAccount", &format!("{FULLNAME}-component"))["metadata"]["namespace"],
        "tenant"
    );
}

#[test]
fn while_it_is_off_nothing_is_made_or_checked() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({"dynamo": {"dockerRegistry": {"server": "nvcr.io", "existingSecretName": "pull"}}});
    assert_eq!(helm.operator(&values).list(), helm.operator(&json!({})).list());
    let cluster = StandIn::start(vec![namespace(NAMESPACE)]);
    assert!(on(&helm, &cluster, &values).ok);
}

#[test]
fn what_is_missing_is_asked_for_in_the_order_of_the_contract() {
    let helm = or_skip!(Helm::find(), "helm");
    for (values, words) in [
        (json!({}), "docker registry server is required"),
        (json!({"server": "r"}), "docker registry username is required when not using existing secret"),
        (
            json!({"server": "r", "username": "u"}),
            "docker registry password is required when not using existing secret",
        ),
    ] {
        let message = helm.refusal(&registry(&values));
        assert!(message.contains(words) && message.contains("existingSecretName"), "{message}");
    }
}

fn on(helm: &Helm, cluster: &StandIn, values: &Value) -> Output {
    let values = json!({ "dynamo-operator": values });
    helm.template_with(&platform(), RELEASE, NAMESPACE, &values, &cluster.arguments())
}

fn pull_secret(kind: &str, config: &Value) -> Value {
    existing(&json!({
        "apiVersion": "v1", "kind": "Secret", "name": "pull", "namespace": NAMESPACE, "type": kind, "dockerconfig": config,
    }))
}

#[test]
fn a_secret_of_yours_is_checked_where_a_cluster_is_seen() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = |server: &str| registry(&json!({"server": server, "existingSecretName": "pull"}));
    let kind = "kubernetes.io/dockerconfigjson";
    let hub = json!({"auths": {"https://index.docker.io/v1/": {}, "reg.example:5000": {}}});
    for (secret, server, refused) in [
        (pull_secret(kind, &hub), "docker.io/team", None),
        (pull_secret(kind, &hub), "registry-1.docker.io", None),
        (pull_secret(kind, &hub), "https://reg.example:5000/team", None),
        (pull_secret(kind, &hub), "", None),
        (pull_secret(kind, &hub), "reg.example", Some("does not contain auth for server reg.example")),
        (
            pull_secret(kind, &hub),
            "nvcr.io/nvidia",
            Some("does not contain auth for server nvcr.io (extracted from nvcr.io/nvidia)"),
        ),
        (
            pull_secret("Opaque", &hub),
            "docker.io",
            Some("Secret pull is not of type kubernetes.io/dockerconfigjson"),
        ),
        (pull_secret(kind, &json!({"x": {}})), "docker.io", Some("Secret pull does not contain auths field")),
        (pull_secret(kind, &json!("no map")), "docker.io", Some("Secret pull does not contain auths field")),
        (namespace("other"), "docker.io", Some("Secret pull not found in namespace dynamo-system")),
    ] {
        let output = on(&helm, &StandIn::start(vec![secret, namespace(NAMESPACE)]), &values(server));
        match refused {
            None => assert!(output.ok, "{server}: {}", output.stderr),
            Some(words) => {
                assert!(!output.ok && output.stderr.contains(words), "{server}: {}", output.stderr);
            }
        }
    }
}

/// Also a namespace that the install is about to make.
#[test]
fn an_absent_secret_is_told_from_an_absent_cluster() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = registry(&json!({"server": "nvcr.io", "existingSecretName": "pull"}));
    helm.operator(&values);
    let output = on(&helm, &StandIn::start(vec![namespace("kube-system")]), &values);
    assert!(!output.ok && output.stderr.contains("Secret pull not found"), "{}", output.stderr);
    let mut elsewhere = values;
    elsewhere["namespaceRestriction"] = json!({"enabled": true, "targetNamespace": "tenant"});
    let output = on(&helm, &StandIn::start(vec![namespace("tenant")]), &elsewhere);
    assert!(output.stderr.contains("not found in namespace tenant"), "{}", output.stderr);
}

#[test]
fn the_password_is_in_the_secret_alone() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&with_password("nvcr.io", "s3cret-word"));
    let with: Vec<String> =
        objects.0.iter().map(Value::to_string).filter(|text| text.contains("s3cret")).collect();
    assert_eq!(with, Vec::<String>::new(), "not in the clear");
    assert!(!strings(&objects.manager()["args"]).iter().any(|arg| arg.contains("nvcr.io")));
}
