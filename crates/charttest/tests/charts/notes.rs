//! What Helm prints after an install (charts.md sections 3 and 12).
//! Must not need a cluster: Helm prints notes only after an install, so a copy of the chart renders them into an object.

use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, Objects, RELEASE, copy, platform, text};
use crate::or_skip;
use crate::stand_in::StandIn;

pub fn notes(helm: &Helm, values: &Value) -> String {
    notes_with(helm, values, &[])
}

fn notes_with(helm: &Helm, values: &Value, more: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let chart = dir.path().join("platform");
    copy(&platform(), &chart);
    let notes = std::fs::read_to_string(chart.join("templates/NOTES.txt")).expect("the notes");
    let wrapped = format!(
        "{{{{- define \"notes\" -}}}}{notes}{{{{- end -}}}}\nkind: Notes\nmetadata: {{name: notes}}\n\
         text: {{{{ include \"notes\" . | toJson }}}}\n"
    );
    std::fs::write(chart.join("templates/notes.yaml"), wrapped).expect("the notes are wrapped");
    let objects = Objects::parse(&helm.template_with(&chart, RELEASE, NAMESPACE, values, more));
    text(&objects.get("Notes", "notes")["text"]).to_owned()
}

#[test]
fn the_notes_say_what_was_installed_and_what_to_do_next() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({"dynamo-operator": {"natsAddr": "nats://n:4222"}, "etcd": {"enabled": false}});
    let notes = notes(&helm, &values);
    for words in [
        "release dynamo-platform in namespace dynamo-system",
        "Deployment dynamo-platform-dynamo-operator-controller-manager",
        "all namespaces",
        "nats://n:4222",
        "no address (set etcd.enabled, or dynamo-operator.etcdAddr)",
        "kubectl -n dynamo-system rollout status",
        "app.kubernetes.io/name in (dynamo-operator",
        "Service dynamo-platform-dynamo-operator, over HTTPS, for accounts that may get /metrics",
        "ClusterRole dynamo-platform-dynamo-operator-metrics-reader",
        "port-forward (step 5)",
        "kubectl -n NAMESPACE apply -f GRAPH.yaml",
        "get dynamographdeployments -w",
    ] {
        assert!(notes.contains(words), "{words:?} is missing in:\n{notes}");
    }
    assert!(!notes.contains("Warnings:"), "{notes}");
}

#[test]
fn the_notes_select_pods_by_the_names_that_they_have() {
    let helm = or_skip!(Helm::find(), "helm");
    let parts = |values: Value| {
        let notes = notes(&helm, &values);
        let list = notes.split_once("app.kubernetes.io/name in (").expect("a selector").1;
        list.split_once(')').expect("its end").0.to_owned()
    };
    assert_eq!(parts(json!({})), "dynamo-operator,nats,etcd");
    let renamed = |name: &str| json!({ "nameOverride": name });
    let all = json!({"dynamo-operator": renamed("op"), "nats": renamed("bus"), "etcd": renamed("store")});
    assert_eq!(parts(all), "op,bus,store");
    assert_eq!(parts(json!({"nats": {"namespaceOverride": "infra"}})), "dynamo-operator,etcd");
    assert_eq!(parts(json!({"etcd": {"enabled": false}})), "dynamo-operator,nats");
}

/// Clients reach etcd by the cluster's domain, members and Jobs without it.
#[test]
fn the_notes_list_the_names_that_certificates_of_etcd_must_have() {
    let helm = or_skip!(Helm::find(), "helm");
    let on = json!({"secureTransport": true});
    let names = "dynamo-platform-etcd-client-tls (etcd.auth.client): \
        dynamo-platform-etcd.dynamo-system.svc.corp.example, dynamo-platform-etcd.dynamo-system.svc, \
        *.dynamo-platform-etcd-headless.dynamo-system.svc.corp.example, \
        *.dynamo-platform-etcd-headless.dynamo-system.svc\n  \
        certs (etcd.auth.peer): *.dynamo-platform-etcd-headless.dynamo-system.svc.corp.example, \
        *.dynamo-platform-etcd-headless.dynamo-system.svc\n";
    let peer = json!({"secureTransport": true, "existingSecret": "certs"});
    let domain = json!({"kubernetesClusterDomain": "corp.example"});
    let both =
        notes(&helm, &json!({"dynamo-operator": domain, "etcd": {"auth": {"client": on, "peer": peer}}}));
    assert!(both.contains(names), "{names:?} is missing in:\n{both}");
    let one =
        json!({"dynamo-operator": domain, "etcd": {"clusterDomain": "corp.example", "auth": {"peer": on}}});
    let one = notes(&helm, &one);
    let alone = "(etcd.auth.peer): *.dynamo-platform-etcd-headless.dynamo-system.svc.corp.example\n";
    assert!(one.contains(alone), "{one}");
    let none = notes(&helm, &json!({"etcd": {"auth": {"client": {"useAutoTLS": true}}}}));
    assert!(!none.contains("Names that the certificates"), "{none}");
}

#[test]
fn the_notes_name_the_served_namespace() {
    let helm = or_skip!(Helm::find(), "helm");
    let values =
        json!({"dynamo-operator": {"namespaceRestriction": {"enabled": true, "targetNamespace": "tenant"}}});
    assert!(notes(&helm, &values).contains("namespace tenant only"));
}

#[test]
fn the_notes_say_how_frontends_are_reached_and_who_reads_metrics() {
    let helm = or_skip!(Helm::find(), "helm");
    let values = json!({"dynamo-operator": {
        "dynamo": {
            "ingress": {"enabled": true, "className": "nginx"}, "ingressHostSuffix": "apps.example",
            "istio": {"enabled": true, "gateway": "istio-system/gw"},
        },
        "metricsService": {"enabled": false, "authentication": false},
    }});
    let notes = notes(&helm, &values);
    for words in [
        "Ingress (class nginx), host GRAPH-NAME.apps.example",
        "VirtualService at gateway istio-system/gw",
        "port 8443 of the pod, for everybody; no Service",
    ] {
        assert!(notes.contains(words), "{words:?} is missing in:\n{notes}");
    }
}

#[test]
fn the_notes_of_a_cluster_wide_install_name_the_namespaces_that_others_have_claimed() {
    let helm = or_skip!(Helm::find(), "helm");
    let lease = |namespace: &str, name: &str| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": namespace}});
    let marker = "dynamo-operator-namespace-scope";
    let cluster = StandIn::start(vec![lease("b", marker), lease("c", "other"), lease("a", marker)]);
    let wide = notes_with(&helm, &json!({}), &cluster.arguments());
    assert!(wide.contains("namespaces with an operator of their own: a, b\n"), "{wide}");
    let restricted = json!({"dynamo-operator": {"namespaceRestriction": {"enabled": true}}});
    assert!(!notes_with(&helm, &restricted, &cluster.arguments()).contains("of their own"));
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
    assert!(
        notes(&helm, &json!({"dynamo-operator": {"enabled": false}})).contains("no operator was installed")
    );
}

#[test]
fn values_without_effect_are_named() {
    let helm = or_skip!(Helm::find(), "helm");
    let stored =
        |storage: Value| json!({"dynamo-operator": {"checkpoint": {"enabled": true, "storage": storage}}});
    for (values, words) in [
        (json!({"etcd": {"defrag": {"enabled": true}}}), "etcd.defrag.enabled: not in this version"),
        (
            json!({"etcd": {"replicaCount": 3, "persistence": {"enabled": false}}}),
            "one that loses its pod cannot come back by itself",
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
            json!({"dynamo-operator": {"dynamo": {"dockerRegistry": {"secure": false}}}}),
            "dynamo-operator.dynamo.dockerRegistry.secure: no effect",
        ),
        (
            json!({"dynamo-operator": {"dynamo": {"dynamoIngressSuffix": "a.example"}}}),
            "the key is dynamo-operator.dynamo.ingressHostSuffix",
        ),
        (
            json!({"dynamo-operator": {"dynamo": {"mpiRun": {"sshKeygen": {"tolerations": [{"operator": "Exists"}]}}}}}),
            "dynamo-operator.dynamo.mpiRun.sshKeygen.tolerations",
        ),
        (
            json!({"dynamo-operator": {"serviceAccount": {"create": false}}}),
            "dynamo-operator.serviceAccount: no effect",
        ),
        (
            json!({"dynamo-operator": {"controllerManager": {"podDisruptionBudget": {"enabled": true}}}}),
            "dynamo-operator.controllerManager.podDisruptionBudget: protects nothing",
        ),
        (json!({"natsAddr": "nats://n:4222"}), "the key is dynamo-operator.natsAddr"),
        (json!({"mpiRun": {"secretName": "x"}}), "the key is dynamo-operator.dynamo.mpiRun"),
        (
            json!({"dynamo-operator": {"dynamo": {"mpiRun": {"secretName": ""}}}}),
            "the operator does not start without it",
        ),
        (
            json!({"dynamo-operator": {"discoveryBackend": "etcd"}, "etcd": {"enabled": false}}),
            "etcd.enabled is false and dynamo-operator.etcdAddr is empty",
        ),
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
        json!({"nats": {"enabled": false}, "etcd": {"enabled": false}, "grove": {"x": 1}}),
        json!({"dynamo-operator": {"discoveryBackend": "etcd"}}),
        json!({"dynamo-operator": {"checkpoint": {"storage": {"type": "nfs"}}}}),
        stored(json!({})),
        stored(json!({"type": "s3", "s3": {"uri": "s3://bucket"}})),
    ] {
        assert!(!notes(&helm, &quiet).contains("Warnings:"), "{quiet}");
    }
}
