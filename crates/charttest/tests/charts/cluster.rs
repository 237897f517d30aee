//! The charts against a real API server: it takes every object, and an upgrade keeps what the operator wrote.
//! Must not run pods: there is no node, so the operator itself is not part of these tests.

use dynamo_devkit::control_plane::ControlPlane;
use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, NAMESPACE, RELEASE, text};
use crate::or_skip;
use crate::plane::{Installed, TENANT, kubectl, ok, operator, plane};

/// Value sets that between them render every object of the operator chart.
fn sets() -> Vec<Value> {
    let mut sets = Vec::new();
    for restriction in
        [json!({}), json!({"enabled": true}), json!({"enabled": true, "targetNamespace": TENANT})]
    {
        for webhook in [
            json!({}),
            json!({"enabled": false}),
            json!({"failurePolicy": "Ignore", "timeoutSeconds": 30, "namespaceSelector": {"matchLabels": {"a": "b"}}}),
            json!({"certGenerator": {"enabled": true}}),
            json!({"certificateSecret": {"external": true}, "caBundle": "Q0EtQlVORExF"}),
            json!({"certManager": {"enabled": true}}),
        ] {
            sets.push(operator(&json!({"namespaceRestriction": restriction, "webhook": webhook})));
        }
        sets.push(operator(&json!({
            "namespaceRestriction": restriction,
            "controllerManager": {"podDisruptionBudget": {"enabled": true}, "replicas": 2},
            "networkPolicy": {"enabled": true, "webhookFrom": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]},
            "metricsService": {"type": "NodePort"},
            "dynamo": {"dockerRegistry": {
                "useKubernetesSecret": true, "server": "reg.example", "username": "u", "password": "a\"b"
            }},
        })));
    }
    sets
}

#[test]
fn the_api_server_takes_every_object_of_every_mode_and_scope_under_short_and_long_names() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let mut documents = String::new();
    let mut kinds = std::collections::BTreeSet::new();
    let jobs = operator(&json!({"webhook": {"certGenerator": {"enabled": true}}}));
    for (release, sets) in
        [(RELEASE.to_owned(), sets()), ("r".repeat(28), vec![jobs.clone()]), ("r".repeat(53), vec![jobs])]
    {
        for values in sets {
            documents.clear();
            for mut object in helm.objects(&release, NAMESPACE, &values).0 {
                let kind = text(&object["kind"]).to_owned();
                // As Helm does for objects that name none.
                if object["metadata"]["namespace"].is_null()
                    && !kind.starts_with("Cluster")
                    && !kind.ends_with("Configuration")
                {
                    object["metadata"]["namespace"] = json!(NAMESPACE);
                }
                kinds.insert(kind);
                // cert-manager is not here; its definitions would come with it.
                if !text(&object["apiVersion"]).starts_with("cert-manager.io/") {
                    documents.push_str(&format!("---\n{object}\n"));
                }
            }
            let args = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
            ok(&kubectl(plane, None, &args, &documents), &format!("{release}, {values}"));
        }
    }
    for kind in [
        "Job",
        "Service",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "Role",
        "NetworkPolicy",
        "PodDisruptionBudget",
    ] {
        assert!(kinds.contains(kind), "no set renders a {kind}: {kinds:?}");
    }
}

fn bundles(plane: &ControlPlane) -> Vec<String> {
    let names =
        ["validating", "mutating"].map(|part| format!("{part}webhookconfiguration/{FULLNAME}-{part}"));
    let mut found = Vec::new();
    for name in names {
        let object: Value =
            serde_json::from_str(&ok(&kubectl(plane, None, &["get", &name, "-o", "json"], ""), &name))
                .expect("JSON");
        for webhook in object["webhooks"].as_array().expect("webhooks") {
            found.push(text(&webhook["clientConfig"]["caBundle"]).to_owned());
        }
    }
    found
}

/// The operator publishes with a JSON patch, as here.
fn publish(installed: &Installed<'_>) {
    for (part, count) in [("validating", 4), ("mutating", 1)] {
        let patch: Vec<Value> = (0..count)
            .map(|i| json!({"op": "add", "path": format!("/webhooks/{i}/clientConfig/caBundle"), "value": "Q0EK"}))
            .collect();
        let name = format!("{part}webhookconfiguration/{FULLNAME}-{part}");
        let patch = Value::from(patch).to_string();
        ok(&installed.account(&["patch", &name, "--type=json", "-p", &patch], ""), "the operator publishes");
    }
}

#[test]
fn an_upgrade_keeps_the_bundle_that_the_operator_published() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let mut installed = Installed::new(&helm, plane, operator(&json!({})));
    assert_eq!(bundles(plane), [""; 5]);
    publish(&installed);
    assert_eq!(bundles(plane), ["Q0EK"; 5]);
    installed.helm("upgrade");
    assert_eq!(bundles(plane), ["Q0EK"; 5]);
    installed.values = operator(&json!({"webhook": {"timeoutSeconds": 7, "failurePolicy": "Ignore"}}));
    installed.helm("upgrade");
    assert_eq!(bundles(plane), ["Q0EK"; 5], "also when the entries change");
}

/// The runbook's way out of a bundle that must not be trusted any more.
#[test]
fn an_upgrade_makes_deleted_configurations_again_without_a_bundle() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let installed = Installed::new(&helm, plane, operator(&json!({})));
    publish(&installed);
    let names =
        ["validating", "mutating"].map(|part| format!("{part}webhookconfiguration/{FULLNAME}-{part}"));
    ok(&kubectl(plane, None, &["delete", &names[0], &names[1]], ""), "the administrator deletes them");
    installed.helm("upgrade");
    assert_eq!(bundles(plane), [""; 5]);
}
