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
            for rule in object["rules"].as_array().into_iter().flatten() {
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
            ("nvidia.com", "dynamographdeployments", "get list watch patch update"),
            ("nvidia.com", "dynamographdeployments/status", "get patch update"),
            ("nvidia.com", "dynamographdeployments/finalizers", "update"),
            ("nvidia.com", "dynamocomponentdeployments", "get list watch create patch update delete"),
            ("nvidia.com", "dynamocomponentdeployments/status", "get patch update"),
            ("nvidia.com", "dynamocomponentdeployments/finalizers", "update"),
            ("apps", "deployments", "get list watch create patch update delete"),
            ("", "services", "get list watch create patch update delete"),
            ("", "serviceaccounts", "get list watch create patch update delete"),
            ("rbac.authorization.k8s.io", "roles", "get list watch create patch update delete"),
            ("rbac.authorization.k8s.io", "rolebindings", "get list watch create patch update delete"),
            ("networking.k8s.io", "ingresses", "get list watch create patch update delete"),
            ("", "persistentvolumeclaims", "get list watch create"),
            ("", "pods", "get list watch"),
            ("", "secrets", "get list watch"),
            ("", "events", "create patch"),
            ("events.k8s.io", "events", "create patch"),
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

#[test]
fn secrets_are_never_written_and_graphs_never_made_or_deleted_by_the_operator() {
    let helm = or_skip!(Helm::find(), "helm");
    for (values, kind) in [(json!({}), "ClusterRole"), (restricted(), "Role")] {
        let rules = manager_rules(&helm.operator(&values), kind);
        for verb in ["create", "update", "patch", "delete"] {
            assert!(!allows(&rules, "", "secrets", verb));
            assert!(!allows(&rules, "", "pods", verb));
        }
        assert!(!allows(&rules, "nvidia.com", "dynamographdeployments", "create"));
        assert!(!allows(&rules, "nvidia.com", "dynamographdeployments", "delete"));
    }
}

#[test]
fn only_the_three_roles_of_this_release_can_be_bound_and_only_cluster_wide() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = helm.operator(&json!({}));
    let rules = manager_rules(&objects, "ClusterRole");
    let binding: Vec<&Value> =
        rules.iter().filter(|rule| strings(&rule["verbs"]).contains(&"bind".to_owned())).collect();
    assert_eq!(binding.len(), 1);
    assert_eq!(binding[0]["resources"], json!(["clusterroles"]));
    let names = strings(&binding[0]["resourceNames"]);
    assert_eq!(names.len(), 3);
    for name in names {
        objects.get("ClusterRole", &name);
    }
    for rule in manager_rules(&helm.operator(&restricted()), "Role") {
        assert!(!strings(&rule["verbs"]).contains(&"bind".to_owned()), "{rule}");
        assert!(!strings(&rule["resources"]).contains(&"customresourcedefinitions".to_owned()), "{rule}");
    }
}

#[test]
fn leases_are_written_by_name_only() {
    let helm = or_skip!(Helm::find(), "helm");
    let own_id = json!({"namespaceRestriction": {"enabled": true}, "controllerManager": {"leaderElection": {"id": "own"}}});
    for (values, kind, names) in [
        (json!({}), "ClusterRole", vec!["dynamo.nvidia.com"]),
        (own_id, "Role", vec!["own", "dynamo-operator-namespace-scope"]),
    ] {
        let objects = helm.operator(&values);
        let role = objects.get(kind, &format!("{FULLNAME}-leader-election-role"));
        let rules = role["rules"].as_array().expect("rules");
        for verb in ["update", "patch", "delete"] {
            assert!(!allows(rules, "coordination.k8s.io", "leases", verb), "{verb} on any Lease");
        }
        for verb in ["create", "list", "watch"] {
            assert!(allows(rules, "coordination.k8s.io", "leases", verb), "{verb}");
        }
        let named = rules.iter().find(|rule| rule.get("resourceNames").is_some()).expect("a rule by name");
        assert_eq!(strings(&named["resourceNames"]), names);
    }
}

#[test]
fn virtual_services_are_reachable_only_when_istio_is_asked_for() {
    let helm = or_skip!(Helm::find(), "helm");
    let reach = |values: &Value| {
        let rules = manager_rules(&helm.operator(values), "ClusterRole");
        allows(&rules, "networking.istio.io", "virtualservices", "create")
    };
    assert!(!reach(&json!({})));
    assert!(!reach(&json!({"dynamo": {"istio": {"enabled": true}}})));
    assert!(reach(&json!({"dynamo": {"istio": {"enabled": true, "gateway": "a/b"}}})));
    assert!(reach(&json!({"istioVirtualServiceEnabled": true})));
}
