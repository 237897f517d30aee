//! A second operator for the whole cluster is refused before anything is made (charts.md section 13).
//! Must not need a cluster: a stand-in answers; `cluster_installs.rs` does the same on a real API server.

use serde_json::{Value, json};

use crate::helm::{Helm, Output, platform};
use crate::or_skip;
use crate::stand_in::StandIn;

/// A cluster role as Helm installed it for `release`, whose chart calls itself `chart`.
fn role(name: &str, chart: &str, release: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {
            "name": name,
            "labels": {"helm.sh/chart": chart, "app.kubernetes.io/instance": release},
            "annotations": {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace},
        },
    })
}

fn without_annotations(mut role: Value) -> Value {
    role["metadata"]["annotations"] = Value::Null;
    role
}

fn install(helm: &Helm, cluster: &StandIn, release: &str, namespace: &str, values: &Value) -> Output {
    let values = json!({ "dynamo-operator": values });
    helm.template_with(&platform(), release, namespace, &values, &cluster.arguments())
}

#[test]
fn another_operator_is_found_by_its_chart_label_whatever_it_is_called() {
    let helm = or_skip!(Helm::find(), "helm");
    for name in ["other-dyn-op-manager-role", "dynamo-operator-manager-role", "the-operator-manager-role"] {
        let cluster = StandIn::start(vec![role(name, "dynamo-operator-0.9.0", "other", "other-ns")]);
        let output = install(&helm, &cluster, "plat", "here", &json!({}));
        for words in [
            "VALIDATION ERROR: Found existing cluster-wide Dynamo operator from release 'other'",
            "in namespace 'other-ns'",
            &format!("ClusterRole: {name}"),
            "helm uninstall other -n other-ns",
            "--set namespaceRestriction.enabled=true",
            "--set dynamo-operator.namespaceRestriction.enabled=true",
        ] {
            assert!(!output.ok && output.stderr.contains(words), "{words:?} is missing in {}", output.stderr);
        }
    }
}

#[test]
fn roles_of_others_are_no_operators() {
    let helm = or_skip!(Helm::find(), "helm");
    let cluster = StandIn::start(vec![
        role("x-dynamo-operator-planner", "dynamo-operator-0.9.0", "other", "other-ns"),
        role("x-manager-role", "another-operator-1.0.0", "other", "other-ns"),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "bare-manager-role"}}),
    ]);
    let output = install(&helm, &cluster, "plat", "here", &json!({}));
    assert!(output.ok, "{}", output.stderr);
}

#[test]
fn an_upgrade_never_meets_its_own_release_whatever_it_is_called() {
    let helm = or_skip!(Helm::find(), "helm");
    for (release, values, name) in [
        ("plat", json!({}), "plat-dynamo-operator-manager-role"),
        ("my-dynamo-operator", json!({}), "my-dynamo-operator-manager-role"),
        ("plat", json!({"fullnameOverride": "the-operator"}), "the-operator-manager-role"),
        ("plat", json!({"nameOverride": "dyn-op"}), "plat-dyn-op-manager-role"),
        // The name that it had before the override.
        ("plat", json!({"fullnameOverride": "new"}), "plat-dynamo-operator-manager-role"),
    ] {
        let own = role(name, "dynamo-operator-0.9.0", release, "here");
        let output = install(&helm, &StandIn::start(vec![own]), release, "here", &values);
        assert!(output.ok, "{release}, {values}: {}", output.stderr);
    }
    // Without Helm's annotations the name decides.
    let own = without_annotations(role("plat-dynamo-operator-manager-role", "", "plat", ""));
    assert!(install(&helm, &StandIn::start(vec![own]), "plat", "here", &json!({})).ok);
}

#[test]
fn a_release_of_the_same_name_elsewhere_is_another_one() {
    let helm = or_skip!(Helm::find(), "helm");
    let name = "plat-dynamo-operator-manager-role";
    let bound = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "x", "namespace": "elsewhere"}],
    });
    let annotated = role(name, "dynamo-operator-0.9.0", "plat", "elsewhere");
    let told_by_its_binding = vec![without_annotations(annotated.clone()), bound];
    for objects in [vec![annotated], told_by_its_binding] {
        let output = install(&helm, &StandIn::start(objects), "plat", "here", &json!({}));
        assert!(!output.ok && output.stderr.contains("in namespace 'elsewhere'"), "{}", output.stderr);
    }
}

/// Who installs it may have no rights outside of the namespace.
#[test]
fn a_restricted_install_looks_at_nothing_outside_and_stands_beside_a_cluster_wide_one() {
    let helm = or_skip!(Helm::find(), "helm");
    let restricted = json!({"namespaceRestriction": {"enabled": true}});
    let forbidding = StandIn::forbidding();
    let output = install(&helm, &forbidding, "plat", "here", &restricted);
    assert!(output.ok, "{}", output.stderr);
    let output = install(&helm, &forbidding, "plat", "here", &json!({}));
    assert!(!output.ok && output.stderr.contains("clusterroles is forbidden"), "{}", output.stderr);
    let other = role("other-dynamo-operator-manager-role", "dynamo-operator-0.9.0", "other", "other-ns");
    let output = install(&helm, &StandIn::start(vec![other]), "plat", "here", &restricted);
    assert!(output.ok, "{}", output.stderr);
}

/// By these fixed names Helm refuses a second restricted release on the same namespace: it names the release that has them.
#[test]
fn restricted_releases_on_one_namespace_want_the_same_accounts_there() {
    let helm = or_skip!(Helm::find(), "helm");
    let accounts = |release: &str, namespace: &str| {
        let values = json!({"dynamo-operator": {
            "namespaceRestriction": {"enabled": true, "targetNamespace": "tenant"}
        }});
        let objects = helm.objects(release, namespace, &values);
        let found = objects.0.into_iter().filter(|object| object["metadata"]["namespace"] == "tenant");
        found
            .filter(|object| object["kind"] == "ServiceAccount")
            .map(|o| o["metadata"]["name"].clone())
            .collect()
    };
    let (one, two): (Vec<Value>, Vec<Value>) = (accounts("a", "here"), accounts("b", "there"));
    for name in ["planner-serviceaccount", "epp-serviceaccount", "dgdr-profiling-job"] {
        assert!(one.contains(&json!(name)) && two.contains(&json!(name)), "{name}");
    }
}
