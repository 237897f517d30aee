//! What the operator's accounts may do (charts.md section 7; operator-process.md section 13).
//! Must not compare rule by rule: it checks promises, such as "no wildcard" and "can hand out what it hands out".

use serde_json::{Value, json};

use crate::helm::{FULLNAME, Helm, Objects, strings};
use crate::or_skip;

fn manager_rules(objects: &Objects, kind: &str) -> Vec<Value> {
    let role = objects.get(kind, &format!("{FULLNAME}-manager-role"));
    role["rules"].as_array().expect("rules").clone()
}

fn restricted() -> Value {
    json!({"namespaceRestriction": {"enabled": true}})
}

fn elsewhere() -> Value {
    json!({"namespaceRestriction": {"enabled": true, "targetNamespace": "tenant"}})
}

/// Whether unnamed objects of `group`/`resource` may be touched with `verb`.
fn allows(rules: &[Value], group: &str, resource: &str, verb: &str) -> bool {
    rules.iter().any(|rule| {
        rule.get("resourceNames").is_none()
            && strings(&rule["apiGroups"]).iter().any(|item| item == group)
            && strings(&rule["resources"]).iter().any(|item| item == resource)
            && strings(&rule["verbs"]).iter().any(|item| item == verb)
    })
}

#[test]
fn no_role_has_a_wildcard() {
    let helm = or_skip!(Helm::find(), "helm");
    for values in [json!({}), restricted()] {
        for object in &helm.operator(&values).0 {
            let rules = object["rules"].as_array().into_iter().flatten();
            for rule in rules.filter(|rule| rule.get("nonResourceURLs").is_none()) {
                for part in ["apiGroups", "resources", "verbs"] {
                    let items = strings(&rule[part]);
                    assert!(!items.is_empty() && !items.iter().any(|item| item == "*"), "{rule}");
                }
            }
        }
    }
}

#[test]
fn both_scopes_can_do_the_operators_work() {
    let helm = or_skip!(Helm::find(), "helm");
    let scopes = [
        manager_rules(&helm.operator(&json!({})), "ClusterRole"),
        manager_rules(&helm.operator(&restricted()), "Role"),
    ];
    for rules in scopes {
        for (group, resource, verbs) in [
            ("nvidia.com", "dynamographdeployments", "get list watch patch"),
            ("nvidia.com", "dynamographdeployments/status", "patch"),
            ("nvidia.com", "dynamographdeployments/finalizers", "update"),
            ("nvidia.com", "dynamocomponentdeployments", "get list watch create patch delete"),
            ("nvidia.com", "dynamocomponentdeployments/status", "patch"),
            ("nvidia.com", "dynamocomponentdeployments/finalizers", "update"),
            ("apps", "deployments", "get list watch create patch delete"),
            ("", "services", "get list watch create patch delete"),
            ("", "serviceaccounts", "get list watch create patch delete"),
            ("rbac.authorization.k8s.io", "roles", "get list watch create patch delete"),
            ("rbac.authorization.k8s.io", "rolebindings", "get list watch create patch delete"),
            ("events.k8s.io", "events", "create patch"),
            ("", "pods", "get list watch"),
            ("", "events", "get list watch"),
            ("nvidia.com", "dynamographdeploymentrequests", "get list watch"),
            ("nvidia.com", "dynamographdeploymentscalingadapters", "get list watch create patch delete"),
            ("nvidia.com", "dynamographdeploymentscalingadapters/status", "patch"),
            ("nvidia.com", "dynamocheckpoints", "get list watch"),
            ("", "configmaps", "get list watch create patch delete"),
            ("", "persistentvolumeclaims", "get list watch create"),
            ("networking.k8s.io", "ingresses", "get list watch create patch delete"),
            ("inference.networking.k8s.io", "inferencepools", "get list watch create patch delete"),
            ("nvidia.com", "dynamomodels", "get list watch"),
            ("", "secrets", "get list watch"),
        ] {
            for verb in verbs.split(' ') {
                assert!(allows(&rules, group, resource, verb), "{verb} {resource}.{group}");
            }
        }
    }
}

/// workload.md section 10: the API server refuses a Role with rights its author lacks.
#[test]
fn the_operator_holds_every_right_of_the_discovery_role_it_hands_out() {
    let helm = or_skip!(Helm::find(), "helm");
    for (values, kind) in [(json!({}), "ClusterRole"), (restricted(), "Role")] {
        let rules = manager_rules(&helm.operator(&values), kind);
        for verb in ["get", "list", "watch"] {
            assert!(allows(&rules, "", "endpoints", verb));
            assert!(allows(&rules, "discovery.k8s.io", "endpointslices", verb));
        }
        for verb in ["create", "get", "list", "watch", "update", "patch", "delete"] {
            assert!(allows(&rules, "nvidia.com", "dynamoworkermetadatas", verb));
        }
    }
}

/// A right comes with the feature that needs it.
#[test]
fn what_this_version_does_not_use_is_not_granted() {
    let helm = or_skip!(Helm::find(), "helm");
    for (values, kind) in [(json!({}), "ClusterRole"), (restricted(), "Role")] {
        let rules = manager_rules(&helm.operator(&values), kind);
        for (group, resource) in [
            ("batch", "jobs"),
            ("networking.istio.io", "virtualservices"),
            ("networking.k8s.io", "ingressclasses"),
            ("networking.k8s.io", "networkpolicies"),
            ("rbac.authorization.k8s.io", "clusterroles"),
            ("apiextensions.k8s.io", "customresourcedefinitions"),
        ] {
            for verb in ["get", "list", "watch", "create", "update", "patch", "delete", "bind"] {
                assert!(!allows(&rules, group, resource, verb), "{verb} {resource}.{group}");
            }
        }
        for verb in ["create", "update", "patch", "delete"] {
            assert!(verb == "create" || !allows(&rules, "", "secrets", verb), "{verb} any Secret");
            for read in ["pods", "events"] {
                assert!(!allows(&rules, "", read, verb), "{verb} {read}");
            }
            for kind in ["dynamographdeploymentrequests", "dynamomodels", "dynamocheckpoints"] {
                assert!(!allows(&rules, "nvidia.com", kind, verb), "{verb} {kind}");
            }
        }
        for verb in ["update", "patch", "delete"] {
            assert!(!allows(&rules, "", "persistentvolumeclaims", verb), "{verb} a claim");
        }
        for part in ["status", "finalizers"] {
            let part = format!("dynamocheckpoints/{part}");
            assert!(
                !["patch", "update"].iter().any(|verb| allows(&rules, "nvidia.com", &part, verb)),
                "{part}"
            );
        }
        assert!(!allows(&rules, "nvidia.com", "dynamographdeployments", "create"));
        assert!(!allows(&rules, "nvidia.com", "dynamographdeployments", "delete"));
    }
}

#[test]
fn checkpoints_and_their_jobs_are_written_only_while_they_are_on_and_never_deleted() {
    let helm = or_skip!(Helm::find(), "helm");
    for (mut values, kind) in [(json!({}), "ClusterRole"), (restricted(), "Role"), (elsewhere(), "Role")] {
        values["checkpoint"] = json!({"enabled": true});
        let rules = manager_rules(&helm.operator(&values), kind);
        for (group, resource, verbs) in [
            ("nvidia.com", "dynamocheckpoints", "create get list patch watch"),
            ("nvidia.com", "dynamocheckpoints/status", "patch"),
            ("nvidia.com", "dynamocheckpoints/finalizers", "update"),
            ("batch", "jobs", "create get list patch watch"),
        ] {
            for verb in ["create", "get", "list", "patch", "watch", "update", "delete"] {
                let expected = verbs.split(' ').any(|allowed| allowed == verb);
                assert_eq!(allows(&rules, group, resource, verb), expected, "{verb} {resource}.{group}");
            }
        }
    }
}

#[test]
fn virtual_services_are_written_only_with_a_gateway_or_the_hidden_switch() {
    let helm = or_skip!(Helm::find(), "helm");
    let istio =
        |enabled: bool, gateway: &str| json!({"dynamo": {"istio": {"enabled": enabled, "gateway": gateway}}});
    for (mut values, granted) in [
        (istio(true, "istio-system/gateway"), true),
        (json!({"istioVirtualServiceEnabled": true}), true),
        (json!({"istioVirtualServiceEnabled": false}), false),
        (istio(true, ""), false),
        (istio(false, "istio-system/gateway"), false),
    ] {
        for (restricted, kind) in [(false, "ClusterRole"), (true, "Role")] {
            values["namespaceRestriction"] = json!({"enabled": restricted});
            let rules = manager_rules(&helm.operator(&values), kind);
            for verb in ["create", "get", "list", "patch", "watch", "delete"] {
                let allowed = allows(&rules, "networking.istio.io", "virtualservices", verb);
                assert_eq!(allowed, granted, "{verb} with {values}");
            }
            assert!(!allows(&rules, "networking.istio.io", "virtualservices", "update"));
        }
    }
}

/// Everything is written by POST, PATCH and DELETE. The two exceptions are in the tests of what is handed out and claimed.
#[test]
fn nothing_may_be_updated_that_is_only_patched() {
    let helm = or_skip!(Helm::find(), "helm");
    let scopes = [(json!({}), "ClusterRole"), (restricted(), "Role"), (elsewhere(), "Role")];
    for ((mut values, kind), checkpoints) in
        scopes.iter().cloned().flat_map(|it| [(it.clone(), false), (it, true)])
    {
        values["checkpoint"] = json!({"enabled": checkpoints});
        let objects = helm.operator(&values);
        let role = |kind: &str, name: &str| objects.get(kind, &format!("{FULLNAME}-{name}"))["rules"].clone();
        let rules = [role(kind, "manager-role"), role("Role", "webhook-cert-writer")];
        let rules = rules.iter().flat_map(|rules| rules.as_array().expect("rules"));
        let with = |verb: &str| {
            let rules = rules.clone().filter(|rule| strings(&rule["verbs"]).iter().any(|item| item == verb));
            rules.flat_map(|rule| strings(&rule["resources"])).collect::<Vec<_>>()
        };
        let mut updated = vec!["dynamographdeployments/finalizers", "dynamocomponentdeployments/finalizers"];
        if checkpoints {
            updated.push("dynamocheckpoints/finalizers");
        }
        if kind == "Role" {
            updated.push("leases");
        }
        updated.push("dynamoworkermetadatas");
        assert_eq!(with("update"), updated, "{values}");
        let read = with("get");
        assert!(!read.iter().any(|resource| resource.contains('/')), "no subresource is read: {read:?}");
    }
}

#[test]
fn the_generate_job_patches_the_certificate_and_never_replaces_it() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&json!({"webhook": {"certGenerator": {"enabled": true}}}));
    let role = objects.get("Role", &format!("{FULLNAME}-webhook-cert-gen"));
    let rules = role["rules"].as_array().expect("rules");
    assert_eq!(named(rules, "secrets", "patch"), ["webhook-server-cert"]);
    assert_eq!(named(rules, "secrets", "update"), Vec::<String>::new());
}

/// Names of the rules about `resource` that allow `verb` on named objects only.
fn named(rules: &[Value], resource: &str, verb: &str) -> Vec<String> {
    let about = rules.iter().filter(|rule| {
        strings(&rule["resources"]).iter().any(|item| item == resource)
            && strings(&rule["verbs"]).iter().any(|item| item == verb)
    });
    about.flat_map(|rule| strings(&rule["resourceNames"])).collect()
}

#[test]
fn only_the_two_roles_that_are_handed_out_may_be_bound_and_only_cluster_wide() {
    let helm = or_skip!(Helm::find(), "helm");
    let rules = manager_rules(&helm.operator(&json!({})), "ClusterRole");
    let expected = ["epp", "planner"].map(|part| format!("{FULLNAME}-{part}"));
    for verb in ["get", "bind"] {
        assert_eq!(named(&rules, "clusterroles", verb), expected);
    }
    let rules = manager_rules(&helm.operator(&restricted()), "Role");
    assert!(!rules.iter().any(|rule| strings(&rule["resources"]).iter().any(|item| item == "clusterroles")));
}

#[test]
fn the_mpi_key_is_the_only_secret_that_is_changed_and_without_one_none_is_made() {
    let helm = or_skip!(Helm::find(), "helm");
    for (values, kind, copied) in
        [(json!({}), "ClusterRole", true), (elsewhere(), "Role", true), (restricted(), "Role", false)]
    {
        let with = |name: &str, made: bool| {
            let mut values = values.clone();
            values["dynamo"] = json!({"mpiRun": {"secretName": name, "sshKeygen": {"enabled": made}}});
            let rules = manager_rules(&helm.operator(&values), kind);
            (named(&rules, "secrets", "patch"), allows(&rules, "", "secrets", "create"))
        };
        let (written, none) = ((vec!["my-key".to_owned()], true), (Vec::new(), false));
        assert_eq!(with("my-key", true), written, "{values}");
        // The release namespace has the key itself.
        assert_eq!(with("my-key", false), if copied { written } else { none.clone() }, "{values}");
        assert_eq!(with("", true), none);
    }
}

/// What opens NATS and etcd is copied like the MPI key, by name.
#[test]
fn credentials_are_read_in_the_release_namespace_and_copied_by_their_names_alone() {
    let helm = or_skip!(Helm::find(), "helm");
    let names = ["mpi-run-ssh-secret", "nats", "etcd", "ca"];
    for (mut values, kind, copied) in
        [(json!({}), "ClusterRole", true), (elsewhere(), "Role", true), (restricted(), "Role", false)]
    {
        values["dynamo"] = json!({
            "natsAuth": {"secretName": "nats"}, "etcdAuth": {"secretName": "etcd"}, "natsTLS": {"caSecretName": "ca"},
        });
        let objects = helm.operator(&values);
        let patched = named(&manager_rules(&objects, kind), "secrets", "patch");
        assert_eq!(patched, if copied { &names[..] } else { &names[..1] }, "{values}");
        // A cluster-wide operator reads Secrets everywhere.
        let Some(role) = objects.find("Role", &format!("{FULLNAME}-shared-secrets")) else {
            assert_ne!(values["namespaceRestriction"]["targetNamespace"], "tenant");
            continue;
        };
        let rules = role["rules"].as_array().expect("rules");
        assert_eq!(named(rules, "secrets", "get"), names);
        assert_eq!(named(rules, "secrets", "patch"), names[..1], "the key is made here");
        assert!(allows(rules, "", "secrets", "create"));
        assert!(!allows(rules, "", "secrets", "get"));
    }
}

/// Reviews of tokens and rights have no namespace, and a Role cannot allow them.
#[test]
fn the_operator_may_review_tokens_in_both_scopes_and_scrapers_get_a_role_for_the_path_alone() {
    let helm = or_skip!(Helm::find(), "helm");
    for (values, prefix) in
        [(json!({}), FULLNAME.to_owned()), (restricted(), format!("{FULLNAME}-dynamo-system"))]
    {
        let objects = helm.operator(&values);
        let rules = &objects.get("ClusterRole", &format!("{prefix}-proxy-role"))["rules"];
        let rules = rules.as_array().expect("rules");
        assert_eq!(rules.len(), 2);
        assert!(allows(rules, "authentication.k8s.io", "tokenreviews", "create"));
        assert!(allows(rules, "authorization.k8s.io", "subjectaccessreviews", "create"));
        let binding = objects.get("ClusterRoleBinding", &format!("{prefix}-proxy-rolebinding"));
        assert_eq!(binding["roleRef"]["name"], format!("{prefix}-proxy-role"));
        let reader = objects.get("ClusterRole", &format!("{prefix}-metrics-reader"));
        assert_eq!(reader["rules"], json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]));
    }
}

/// A cluster-wide operator reads the markers of all namespaces; a restricted one writes that of its own.
#[test]
fn marker_leases_are_read_cluster_wide_and_written_restricted_by_their_name_alone() {
    let helm = or_skip!(Helm::find(), "helm");
    let marker = ["dynamo-operator-namespace-scope"];
    for (values, kind, granted, refused) in [
        (
            json!({}),
            "ClusterRole",
            &["get", "list", "watch"][..],
            &["create", "update", "patch", "delete"][..],
        ),
        (restricted(), "Role", &["get", "update", "delete"], &["list", "watch", "patch"]),
    ] {
        let rules = manager_rules(&helm.operator(&values), kind);
        for verb in granted {
            assert_eq!(named(&rules, "leases", verb), marker, "{kind}: {verb}");
            assert!(!allows(&rules, "coordination.k8s.io", "leases", verb), "{kind}: {verb} on any Lease");
        }
        for verb in refused {
            assert_eq!(named(&rules, "leases", verb), Vec::<String>::new(), "{kind}: {verb}");
            assert!(!allows(&rules, "coordination.k8s.io", "leases", verb), "{kind}: {verb} on any Lease");
        }
    }
}

#[test]
fn election_leases_are_written_by_name_only() {
    let helm = or_skip!(Helm::find(), "helm");
    let own_id = json!({"namespaceRestriction": {"enabled": true}, "controllerManager": {"leaderElection": {"id": "own"}}});
    for (values, kind, names) in
        [(json!({}), "ClusterRole", vec!["dynamo.nvidia.com"]), (own_id, "Role", vec!["own"])]
    {
        let objects = helm.operator(&values);
        let role = objects.get(kind, &format!("{FULLNAME}-leader-election-role"));
        let rules = role["rules"].as_array().expect("rules");
        for verb in ["get", "list", "watch", "update", "patch", "delete"] {
            assert!(!allows(rules, "coordination.k8s.io", "leases", verb), "{verb} on any Lease");
        }
        assert!(allows(rules, "coordination.k8s.io", "leases", "create"));
        let named = rules.iter().find(|rule| rule.get("resourceNames").is_some()).expect("a rule by name");
        assert_eq!(strings(&named["resourceNames"]), names);
    }
}
