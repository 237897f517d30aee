//! Names, namespaces and labels of what is installed (charts.md sections 2, 6, 7).
//! Must not look at flags or rules.

use serde_json::json;

use crate::helm::{FULLNAME, Helm, NAMESPACE, Objects, RELEASE, operator, text};
use crate::or_skip;

#[test]
fn a_default_install_makes_exactly_these_objects() {
    let helm = or_skip!(Helm::find(), "helm");
    let expected = [
        "ClusterRole dynamo-platform-dynamo-operator-dgdr-profiling",
        "ClusterRole dynamo-platform-dynamo-operator-dynamo-system-queue-reader",
        "ClusterRole dynamo-platform-dynamo-operator-dynamo-system-webhook-configurations",
        "ClusterRole dynamo-platform-dynamo-operator-epp",
        "ClusterRole dynamo-platform-dynamo-operator-leader-election-role",
        "ClusterRole dynamo-platform-dynamo-operator-manager-role",
        "ClusterRole dynamo-platform-dynamo-operator-metrics-reader",
        "ClusterRole dynamo-platform-dynamo-operator-planner",
        "ClusterRole dynamo-platform-dynamo-operator-proxy-role",
        "ClusterRoleBinding dynamo-platform-dynamo-operator-dgdr-profiling",
        "ClusterRoleBinding dynamo-platform-dynamo-operator-dynamo-system-queue-reader-binding",
        "ClusterRoleBinding dynamo-platform-dynamo-operator-dynamo-system-webhook-configurations",
        "ClusterRoleBinding dynamo-platform-dynamo-operator-leader-election-rolebinding",
        "ClusterRoleBinding dynamo-platform-dynamo-operator-manager-rolebinding",
        "ClusterRoleBinding dynamo-platform-dynamo-operator-proxy-rolebinding",
        "Deployment dynamo-platform-dynamo-operator-controller-manager",
        "MutatingWebhookConfiguration dynamo-platform-dynamo-operator-mutating",
        "Role dynamo-platform-dynamo-operator-webhook-cert-reader",
        "Role dynamo-platform-dynamo-operator-webhook-cert-writer",
        "RoleBinding dynamo-platform-dynamo-operator-webhook-cert-reader",
        "RoleBinding dynamo-platform-dynamo-operator-webhook-cert-writer",
        "Secret dynamo-deployment-env",
        "Service dynamo-platform-dynamo-operator",
        "Service dynamo-platform-dynamo-operator-webhook-service",
        "ServiceAccount dynamo-platform-dynamo-operator-component",
        "ServiceAccount dynamo-platform-dynamo-operator-controller-manager",
        "ValidatingWebhookConfiguration dynamo-platform-dynamo-operator-validating",
    ];
    assert_eq!(helm.operator(&json!({})).list(), expected);
}

/// For those who may not make such objects.
#[test]
fn a_restricted_install_makes_nothing_cluster_scoped_when_told_so() {
    let helm = or_skip!(Helm::find(), "helm");
    let expected = [
        "Deployment dynamo-platform-dynamo-operator-controller-manager",
        "Role dgdr-profiling-job",
        "Role dynamo-platform-dynamo-operator-leader-election-role",
        "Role dynamo-platform-dynamo-operator-manager-role",
        "Role epp-role",
        "Role planner-role",
        "RoleBinding dgdr-profiling-job",
        "RoleBinding dynamo-platform-dynamo-operator-leader-election-rolebinding",
        "RoleBinding dynamo-platform-dynamo-operator-manager-rolebinding",
        "RoleBinding epp-binding",
        "RoleBinding planner-binding",
        "Secret dynamo-deployment-env",
        "Service dynamo-platform-dynamo-operator",
        "ServiceAccount dgdr-profiling-job",
        "ServiceAccount dynamo-platform-dynamo-operator-component",
        "ServiceAccount dynamo-platform-dynamo-operator-controller-manager",
        "ServiceAccount epp-serviceaccount",
        "ServiceAccount planner-serviceaccount",
    ];
    let off = json!({
        "namespaceRestriction": {"enabled": true, "clusterObjects": false},
        "webhook": {"enabled": false}, "metricsService": {"authentication": false},
    });
    let kai = ["scheduling.run.ai/v2"];
    assert_eq!(helm.operator_with(&off, &kai).list(), expected);
    // Webhook configurations, queues, reviews of tokens and the path of metrics have no namespace.
    let on = helm.operator(&json!({"namespaceRestriction": {"enabled": true}})).list();
    let cluster_scoped: Vec<&String> = on
        .iter()
        .filter(|name| name.starts_with("Cluster") || name.contains("WebhookConfiguration"))
        .collect();
    assert_eq!(
        cluster_scoped,
        [
            "ClusterRole dynamo-platform-dynamo-operator-dynamo-system-metrics-reader",
            "ClusterRole dynamo-platform-dynamo-operator-dynamo-system-proxy-role",
            "ClusterRole dynamo-platform-dynamo-operator-dynamo-system-queue-reader",
            "ClusterRole dynamo-platform-dynamo-operator-dynamo-system-webhook-configurations",
            "ClusterRoleBinding dynamo-platform-dynamo-operator-dynamo-system-proxy-rolebinding",
            "ClusterRoleBinding dynamo-platform-dynamo-operator-dynamo-system-queue-reader-binding",
            "ClusterRoleBinding dynamo-platform-dynamo-operator-dynamo-system-webhook-configurations",
            "MutatingWebhookConfiguration dynamo-platform-dynamo-operator-mutating-dynamo-system",
            "ValidatingWebhookConfiguration dynamo-platform-dynamo-operator-validating-dynamo-system",
        ]
    );
}

#[test]
fn the_deployment_and_its_account_land_in_the_release_namespace_by_naming_none() {
    let helm = or_skip!(Helm::find(), "helm");
    for values in [json!({}), json!({"namespaceRestriction": {"enabled": true, "targetNamespace": "tenant"}})]
    {
        let objects = helm.operator(&values);
        for (kind, suffix) in [("Deployment", "controller-manager"), ("ServiceAccount", "controller-manager")]
        {
            let object = objects.get(kind, &format!("{FULLNAME}-{suffix}"));
            assert!(object["metadata"].get("namespace").is_none(), "{kind} {suffix} with {values}");
        }
    }
}

/// The operator looks for it in the namespace of the pods.
#[test]
fn the_account_of_pods_that_name_none_is_where_a_restricted_operator_makes_pods() {
    let helm = or_skip!(Helm::find(), "helm");
    for (restriction, namespace) in [
        (json!({"enabled": true, "targetNamespace": "tenant"}), json!("tenant")),
        (json!({"enabled": true, "targetNamespace": NAMESPACE}), json!(null)),
        (json!({"enabled": true}), json!(null)),
        (json!({"enabled": false, "targetNamespace": "tenant"}), json!(null)),
    ] {
        let objects = helm.operator(&json!({ "namespaceRestriction": restriction }));
        let account = objects.get("ServiceAccount", &format!("{FULLNAME}-component"));
        assert_eq!(account["metadata"]["namespace"], namespace, "{restriction}");
        assert_eq!(account["metadata"]["labels"]["nvidia.com/dynamo-component-pod"], "true");
    }
}

#[test]
fn restricted_roles_are_in_the_served_namespace_and_bind_the_account_of_the_release() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects =
        helm.operator(&json!({"namespaceRestriction": {"enabled": true, "targetNamespace": "tenant"}}));
    // What stays with the release: its certificate and the Secrets that are copied.
    let of_release = ["-webhook-cert-reader", "-webhook-cert-writer", "-shared-secrets"];
    for object in objects.0.iter().filter(|object| text(&object["kind"]).starts_with("Role")) {
        let stays = of_release.iter().any(|suffix| text(&object["metadata"]["name"]).ends_with(suffix));
        let expected = if stays { NAMESPACE } else { "tenant" };
        assert_eq!(object["metadata"]["namespace"], expected, "{object}");
    }
    let reader = format!("{FULLNAME}-shared-secrets");
    let same = helm.operator(&json!({"namespaceRestriction": {"enabled": true}}));
    for (objects, kinds) in [(&objects, 2), (&same, 0), (&helm.operator(&json!({})), 0)] {
        let found = objects.0.iter().filter(|object| object["metadata"]["name"] == *reader).count();
        assert_eq!(found, kinds, "only where the manager role does not cover the release namespace");
    }
    let account = |binding: &str| objects.get("RoleBinding", binding)["subjects"][0].clone();
    for part in ["manager", "leader-election"] {
        let subject = account(&format!("{FULLNAME}-{part}-rolebinding"));
        assert_eq!(
            subject,
            json!({"kind": "ServiceAccount", "name": format!("{FULLNAME}-controller-manager"), "namespace": NAMESPACE})
        );
    }
    for (binding, name) in [
        ("planner-binding", "planner-serviceaccount"),
        ("epp-binding", "epp-serviceaccount"),
        ("dgdr-profiling-job", "dgdr-profiling-job"),
    ] {
        assert_eq!(account(binding), json!({"kind": "ServiceAccount", "name": name, "namespace": "tenant"}));
        assert_eq!(objects.get("ServiceAccount", name)["metadata"]["namespace"], "tenant");
    }
}

#[test]
fn every_object_carries_the_chart_labels_and_the_pods_only_the_selector() {
    let helm = or_skip!(Helm::find(), "helm");
    let version = env!("CARGO_PKG_VERSION");
    for values in [json!({}), json!({"namespaceRestriction": {"enabled": true}})] {
        let objects = helm.operator(&values);
        for object in &objects.0 {
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels["helm.sh/chart"], format!("dynamo-operator-{version}"), "{object}");
            assert_eq!(labels["app.kubernetes.io/name"], "dynamo-operator");
            assert_eq!(labels["app.kubernetes.io/instance"], RELEASE);
            assert_eq!(labels["app.kubernetes.io/version"], version);
            assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm");
        }
        let spec = &objects.deployment()["spec"];
        let selector = json!({
            "control-plane": "controller-manager",
            "app.kubernetes.io/name": "dynamo-operator",
            "app.kubernetes.io/instance": RELEASE,
        });
        assert_eq!(spec["selector"]["matchLabels"], selector);
        assert_eq!(spec["template"]["metadata"]["labels"], selector);
    }
}

/// The prefix of all names, taken from the Deployment.
fn prefix(objects: &Objects) -> String {
    let name = text(&objects.deployment()["metadata"]["name"]).to_owned();
    name.strip_suffix("-controller-manager").expect("the suffix of the contract").to_owned()
}

#[test]
fn the_name_prefix_follows_release_and_overrides_and_is_cut_to_63() {
    let helm = or_skip!(Helm::find(), "helm");
    let of = |release: &str, values: serde_json::Value| {
        prefix(&helm.objects(release, "team", &json!({"dynamo-operator": values})))
    };
    assert_eq!(of("plat", json!({})), "plat-dynamo-operator");
    assert_eq!(of("my-dynamo-operator", json!({})), "my-dynamo-operator");
    assert_eq!(of("plat", json!({"nameOverride": "dyn-op"})), "plat-dyn-op");
    assert_eq!(of("plat", json!({"fullnameOverride": "the-operator"})), "the-operator");
    assert_eq!(of("plat", json!({"fullnameOverride": "a".repeat(70)})), "a".repeat(63));
    assert_eq!(of(&"r".repeat(53), json!({})), format!("{}-dynamo-op", "r".repeat(53)));
    let cut_at_dash = format!("{}-{}", "a".repeat(62), "b".repeat(8));
    assert_eq!(of("plat", json!({"fullnameOverride": cut_at_dash})), "a".repeat(62));
}

#[test]
fn role_flags_name_roles_that_exist_whatever_the_release_is_called() {
    let helm = or_skip!(Helm::find(), "helm");
    for (release, values) in [("x", json!({})), ("y", json!({"dynamo-operator": {"nameOverride": "n"}}))] {
        let objects = helm.objects(release, "team", &values);
        for part in ["planner", "epp", "dgdr-profiling"] {
            let name = objects.flag(&format!("{part}-cluster-role-name")).expect("the flag is passed");
            objects.get("ClusterRole", &name);
        }
        for object in objects.0.iter().filter(|object| object["kind"] == "ClusterRoleBinding") {
            objects.get("ClusterRole", text(&object["roleRef"]["name"]));
            let account = text(&object["subjects"][0]["name"]);
            // The operator makes this one where it profiles.
            if account != "dgdr-profiling-job" {
                objects.get("ServiceAccount", account);
            }
        }
        objects.get("ServiceAccount", text(&objects.pod()["serviceAccountName"]));
    }
}

#[test]
fn the_operator_chart_renders_alone() {
    let helm = or_skip!(Helm::find(), "helm");
    let alone = Objects::parse(&helm.template(&operator(), RELEASE, NAMESPACE, &json!({})));
    assert_eq!(alone.list(), helm.operator(&json!({})).list());
}

#[test]
fn a_disabled_operator_leaves_nothing() {
    let helm = or_skip!(Helm::find(), "helm");
    assert_eq!(helm.operator(&json!({"enabled": false})).list(), Vec::<String>::new());
}
