//! Installs beside one another on a real API server: who is refused, and what an installer needs.
//! Must not run pods: there is no node.

use std::time::Duration;

use dynamo_devkit::control_plane::ControlPlane;
use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, Output, RELEASE, charts, platform};
use crate::or_skip;
use crate::plane::{Installed, TENANT, kubectl, ok, operator, plane};

/// Helm's answer to an install of `release`; what it made is removed again.
fn install(
    helm: &Helm,
    plane: &ControlPlane,
    release: &str,
    namespace: &str,
    values: &Value,
    more: &[&str],
) -> Output {
    let file = tempfile::NamedTempFile::new().expect("a value file");
    std::fs::write(file.path(), values.to_string()).expect("the value file is written");
    let (chart, kubeconfig) = (platform(), plane.kubeconfig());
    let [chart, kubeconfig, values] =
        [&chart, kubeconfig, file.path()].map(|path| path.to_str().expect("a plain path"));
    let place = ["--namespace", namespace, "--kubeconfig", kubeconfig];
    let output = helm.run(["install", release, chart, "--values", values].iter().chain(&place).chain(more));
    if output.ok {
        helm.run(["uninstall", release].iter().chain(&place));
    }
    output
}

fn restricted(target: &str) -> Value {
    json!({"namespaceRestriction": {"enabled": true, "targetNamespace": target}})
}

#[test]
fn a_second_operator_for_the_cluster_is_refused_and_a_restricted_one_is_not() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let first = Installed::new(&helm, plane, operator(&json!({})));
    first.helm("upgrade");
    let second = install(&helm, plane, "other", "team", &operator(&json!({})), &[]);
    for words in [
        "VALIDATION ERROR: Found existing cluster-wide Dynamo operator",
        &format!("helm uninstall {RELEASE} -n {NAMESPACE}"),
    ] {
        assert!(!second.ok && second.stderr.contains(words), "{words:?}: {}", second.stderr);
    }
    let beside = install(&helm, plane, "other", "team", &operator(&restricted("team")), &[]);
    assert!(beside.ok, "{}", beside.stderr);
}

/// By the accounts that both would have there.
#[test]
fn a_second_restricted_operator_on_a_namespace_is_refused_with_the_name_of_the_first() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let _first = Installed::new(&helm, plane, operator(&restricted(TENANT)));
    let second = install(&helm, plane, "other", "team", &operator(&restricted(TENANT)), &[]);
    for words in ["cannot be imported into the current release", RELEASE, "namespace \"tenant\""] {
        assert!(!second.ok && second.stderr.contains(words), "{words:?}: {}", second.stderr);
    }
}

#[test]
fn who_has_rights_in_one_namespace_only_installs_an_operator_for_it() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let grant =
        ["create", "rolebinding", "owner", "-n", "team", "--clusterrole=cluster-admin", "--user=owner"];
    ok(&kubectl(plane, None, &grant, ""), "the owner of a namespace");
    let values = operator(&json!({
        "namespaceRestriction": {"enabled": true, "clusterObjects": false},
        "webhook": {"enabled": false}, "metricsService": {"authentication": false},
    }));
    let as_owner = ["--kube-as-user", "owner"];
    let output = install(&helm, plane, "owned", "team", &values, &as_owner);
    ok(&kubectl(plane, None, &["delete", "rolebinding", "owner", "-n", "team"], ""), "no owner any more");
    assert!(output.ok, "{}", output.stderr);
}

#[test]
fn an_uninstall_leaves_graphs_and_what_the_operator_made() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let definition = charts().join("crds/templates/nvidia.com_dynamographdeployments.yaml");
    let definition = definition.to_str().expect("a plain path");
    ok(&kubectl(plane, None, &["apply", "--server-side", "-f", definition], ""), "the definition");

    // Nobody answers webhooks here.
    let installed = Installed::new(&helm, plane, operator(&json!({"webhook": {"enabled": false}})));
    let graph = "apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\n\
                 metadata: {name: graph, namespace: team}\nspec: {services: {}}\n";
    // The definition is served a moment after it is there.
    let made = (0..100).any(|_| {
        let made = kubectl(plane, None, &["create", "-f", "-"], graph).status.success();
        if !made {
            std::thread::sleep(Duration::from_millis(300));
        }
        made
    });
    assert!(made, "a user's graph");
    let copy = "apiVersion: v1\nkind: Secret\nmetadata: {name: mpi-run-ssh-secret, namespace: team}\n";
    ok(&installed.account(&["create", "-f", "-"], copy), "a copy that the operator makes");
    drop(installed);
    for object in ["dynamographdeployment/graph", "secret/mpi-run-ssh-secret"] {
        ok(&kubectl(plane, None, &["get", object, "-n", "team"], ""), "it stays");
        ok(&kubectl(plane, None, &["delete", object, "-n", "team"], ""), "clean up");
    }
    ok(&kubectl(plane, None, &["delete", "-f", definition], ""), "the definition goes");
}
