//! What Helm prints after an install (charts.md sections 3 and 12).
//! Must not need a cluster: Helm prints notes only after an install, so a copy of the chart renders them into an object.

use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, Objects, RELEASE, copy, platform, text};
use crate::or_skip;

fn notes(helm: &Helm, values: &Value) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let chart = dir.path().join("platform");
    copy(&platform(), &chart);
    let notes = std::fs::read_to_string(chart.join("templates/NOTES.txt")).expect("the notes");
    let wrapped = format!(
        "{{{{- define \"notes\" -}}}}{notes}{{{{- end -}}}}\nkind: Notes\nmetadata: {{name: notes}}\n\
         text: {{{{ include \"notes\" . | toJson }}}}\n"
    );
    std::fs::write(chart.join("templates/notes.yaml"), wrapped).expect("the notes are wrapped");
    let objects = Objects::parse(&helm.template(&chart, RELEASE, NAMESPACE, values));
    text(&objects.get("Notes", "notes")["text"]).to_owned()
}

#[test]
fn the_notes_say_what_was_installed_and_what_to_do_next() {
    let helm = or_skip!(Helm::find(), "helm");
    let notes = notes(&helm, &json!({"dynamo-operator": {"natsAddr": "nats://n:4222"}}));
    for words in [
        "release dynamo-platform in namespace dynamo-system",
        "Deployment dynamo-platform-dynamo-operator-controller-manager",
        "all namespaces",
        "nats://n:4222",
        "no address (set dynamo-operator.etcdAddr)",
        "kubectl -n dynamo-system rollout status",
        "kubectl -n NAMESPACE apply -f GRAPH.yaml",
        "get dynamographdeployments -w",
    ] {
        assert!(notes.contains(words), "{words:?} is missing in:\n{notes}");
    }
    assert!(!notes.contains("Warnings:"), "{notes}");
}

#[test]
fn the_notes_name_the_served_namespace() {
    let helm = or_skip!(Helm::find(), "helm");
    let values =
        json!({"dynamo-operator": {"namespaceRestriction": {"enabled": true, "targetNamespace": "tenant"}}});
    assert!(notes(&helm, &values).contains("namespace tenant only"));
}

#[test]
fn the_notes_say_who_makes_the_webhook_certificate() {
    let helm = or_skip!(Helm::find(), "helm");
    for (webhook, words) in [
        (json!({}), "on (failure policy Fail), certificate by the operator in Secret webhook-server-cert"),
        (json!({"certManager": {"enabled": true}}), "certificate by cert-manager"),
        (json!({"certManager": {"enabled": true, "issuerRef": {"name": "company"}}}), "issuer company"),
        (
            json!({"certificateSecret": {"external": true, "name": "mine"}, "failurePolicy": "Ignore"}),
            "on (failure policy Ignore), certificate by you in Secret mine",
        ),
        (
            json!({"certGenerator": {"enabled": true}}),
            "certificate by Helm hook jobs, renewed by upgrades only",
        ),
        (json!({"enabled": false}), "off; the operator checks objects before it acts on them"),
    ] {
        let notes = notes(&helm, &json!({"dynamo-operator": {"webhook": webhook}}));
        assert!(notes.contains(words), "{webhook}: {words:?} is missing in:\n{notes}");
        assert!(!notes.contains("Warnings:"), "{notes}");
    }
}

#[test]
fn a_disabled_operator_is_said_so() {
    let helm = or_skip!(Helm::find(), "helm");
    assert!(notes(&helm, &json!({"dynamo-operator": {"enabled": false}})).contains("nothing was installed"));
}

#[test]
fn values_without_effect_are_named() {
    let helm = or_skip!(Helm::find(), "helm");
    let stored =
        |storage: Value| json!({"dynamo-operator": {"checkpoint": {"enabled": true, "storage": storage}}});
    for (values, words) in [
        (json!({"nats": {"enabled": true}}), "nats.enabled: a bundled nats is not in this version"),
        (json!({"kai-scheduler": {"enabled": true}}), "kai-scheduler.enabled: a bundled kai-scheduler"),
        (
            json!({"dynamo-operator": {"nats": {"enabled": true}}}),
            "dynamo-operator.nats.enabled: not in this version",
        ),
        (stored(json!({"type": "s3"})), "dynamo-operator.checkpoint.storage.s3.uri is empty"),
        (
            stored(json!({"type": "oci", "oci": {"uri": ""}})),
            "dynamo-operator.checkpoint.storage.oci.uri is empty",
        ),
        (stored(json!({"pvc": {"pvcName": ""}})), "dynamo-operator.checkpoint.storage.pvc.pvcName is empty"),
        (
            stored(json!({"type": "s3", "s3": {"uri": "s3://bucket", "credentialsSecretRef": "aws"}})),
            "dynamo-operator.checkpoint.storage.s3.credentialsSecretRef",
        ),
        (stored(json!({"type": "nfs"})), "dynamo-operator.checkpoint.storage.type \"nfs\" is unknown"),
        (
            json!({"dynamo-operator": {"dynamo": {"dockerRegistry": {"useKubernetesSecret": true}}}}),
            "dynamo-operator.dynamo.dockerRegistry.useKubernetesSecret: not in this version",
        ),
        (json!({"natsAddr": "nats://n:4222"}), "the key is dynamo-operator.natsAddr"),
        (json!({"mpiRun": {"secretName": "x"}}), "the key is dynamo-operator.dynamo.mpiRun"),
        (
            json!({"dynamo-operator": {"dynamo": {"mpiRun": {"secretName": ""}}}}),
            "the operator does not start without it",
        ),
        (json!({"dynamo-operator": {"discoveryBackend": "etcd"}}), "dynamo-operator.etcdAddr is empty"),
        (json!({"webhook": {"failurePolicy": "Ignore"}}), "the key is dynamo-operator.webhook"),
        (
            json!({"dynamo-operator": {"webhook": {"caBundle": "Q0E="}}}),
            "dynamo-operator.webhook.caBundle: used only with certificateSecret.external",
        ),
        (
            json!({"dynamo-operator": {"webhook": {
                "caBundle": "Q0E=", "certificateSecret": {"external": true}, "certManager": {"enabled": true}
            }}}),
            "dynamo-operator.webhook.certificateSecret.external: certManager.enabled wins",
        ),
        (
            json!({"dynamo-operator": {"webhook": {"certificateSecret": {"external": true}, "certGenerator": {"enabled": true}}}}),
            "dynamo-operator.webhook.certGenerator.enabled: certificateSecret.external wins",
        ),
        (
            json!({"dynamo-operator": {"webhook": {"certGenerator": {"image": {"repository": "reg/kubectl"}}}}}),
            "dynamo-operator.webhook.certGenerator.image: no effect",
        ),
        (
            json!({"dynamo-operator": {"webhook": {"certGenerator": {"image": {"tag": "1.34"}}}}}),
            "dynamo-operator.webhook.certGenerator.image: no effect",
        ),
    ] {
        let notes = notes(&helm, &values);
        assert!(
            notes.contains("Warnings:") && notes.contains(words),
            "{values}: {words:?} is missing in:\n{notes}"
        );
    }
    for quiet in [
        json!({"nats": {"enabled": false}, "etcd": null, "grove": {"x": 1}}),
        json!({"dynamo-operator": {"checkpoint": {"storage": {"type": "nfs"}}}}),
        stored(json!({})),
        stored(json!({"type": "s3", "s3": {"uri": "s3://bucket"}})),
    ] {
        assert!(!notes(&helm, &quiet).contains("Warnings:"), "{quiet}");
    }
}
