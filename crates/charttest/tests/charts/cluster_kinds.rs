//! What the operator's account may do with each kind, asked of a real API server; also for kinds that it does not serve.
//! Must not make objects: `cluster_rights.rs` does.

use serde_json::{Value, json};

use crate::helm::Helm;
use crate::or_skip;
use crate::plane::{Installed, TENANT, ok, operator, plane};

const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch", "bind"];
/// All that it needs to keep an object of its own.
const OWNED: &str = "create delete get list patch watch";
const READ: &str = "get list watch";

/// `group/resource`, with `:subresource`, and the verbs that are allowed; every other verb must not be.
type Table = &'static [(&'static str, &'static str)];

const ALWAYS: Table = &[
    ("nvidia.com/dynamographdeployments", "get list watch patch"),
    ("nvidia.com/dynamographdeployments:status", "patch"),
    ("nvidia.com/dynamographdeployments:finalizers", "update"),
    ("nvidia.com/dynamocomponentdeployments", OWNED),
    ("nvidia.com/dynamographdeploymentscalingadapters", OWNED),
    ("nvidia.com/dynamographdeploymentscalingadapters:status", "patch"),
    ("nvidia.com/dynamographdeploymentscalingadapters:scale", ""),
    ("nvidia.com/dynamographdeploymentrequests", READ),
    ("nvidia.com/dynamomodels", READ),
    ("/configmaps", OWNED),
    ("/services", OWNED),
    ("/persistentvolumeclaims", "create get list watch"),
    ("/persistentvolumes", ""),
    ("/pods", READ),
    ("/events", READ),
    ("events.k8s.io/events", "create patch"),
    ("apps/deployments", OWNED),
    ("apps/statefulsets", ""),
    ("networking.k8s.io/ingresses", OWNED),
    ("networking.k8s.io/ingressclasses", ""),
    ("networking.k8s.io/networkpolicies", ""),
    ("inference.networking.k8s.io/inferencepools", OWNED),
    ("batch/cronjobs", ""),
];

const WITHOUT: Table = &[
    ("nvidia.com/dynamocheckpoints", READ),
    ("nvidia.com/dynamocheckpoints:status", ""),
    ("nvidia.com/dynamocheckpoints:finalizers", ""),
    ("batch/jobs", ""),
    ("networking.istio.io/virtualservices", ""),
];

const WITH: Table = &[
    ("nvidia.com/dynamocheckpoints", "create get list patch watch"),
    ("nvidia.com/dynamocheckpoints:status", "patch"),
    ("nvidia.com/dynamocheckpoints:finalizers", "update"),
    ("batch/jobs", "create get list patch watch"),
    ("networking.istio.io/virtualservices", OWNED),
];

/// Queues have no namespace.
const WIDE: Table = &[("scheduling.run.ai/queues", "create get list watch")];
const NARROW: Table = &[("scheduling.run.ai/queues", "get list")];

/// Who asks for metrics is reviewed in both scopes.
const REVIEWS: Table = &[
    ("authentication.k8s.io/tokenreviews", "create"),
    ("authorization.k8s.io/subjectaccessreviews", "create"),
];

/// With checkpoints and VirtualServices on.
fn all_on() -> Value {
    json!({
        "checkpoint": {"enabled": true},
        "dynamo": {"istio": {"enabled": true, "gateway": "istio-system/gateway"}},
    })
}

/// The answers to all questions at once: one review per question, in its order.
fn answers(installed: &Installed<'_>, namespace: &str, questions: &[(&str, &str)]) -> Vec<bool> {
    let reviews = questions.iter().map(|(kind, verb)| {
        let (group, resource) = kind.split_once('/').expect("a group");
        let (resource, subresource) = resource.split_once(':').unwrap_or((resource, ""));
        let attributes = json!({
            "namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource,
        });
        let api = "authorization.k8s.io/v1";
        json!({"apiVersion": api, "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}})
    });
    let documents: String = reviews.map(|review| format!("---\n{review}\n")).collect();
    let print = "jsonpath={.status.allowed}{\"\\n\"}";
    // kubectl would look for definitions first, and the account cannot see any.
    let output = installed.account(&["create", "--validate=false", "-f", "-", "-o", print], &documents);
    let printed = ok(&output, "asks what it may do");
    let answers: Vec<bool> = printed.lines().map(|line| line == "true").collect();
    assert_eq!(answers.len(), questions.len(), "{printed}");
    answers
}

/// Asks about every verb of every kind in `tables`.
fn check(installed: &Installed<'_>, namespace: &str, tables: &[Table]) {
    let rows = || tables.iter().copied().flatten();
    let questions: Vec<(&str, &str)> = rows().flat_map(|(kind, _)| VERBS.map(|verb| (*kind, verb))).collect();
    let answers = answers(installed, namespace, &questions);
    for ((kind, allowed), answers) in rows().zip(answers.chunks(VERBS.len())) {
        let mut expected: Vec<&str> = allowed.split_whitespace().collect();
        expected.sort_by_key(|verb| VERBS.iter().position(|known| known == verb));
        let granted = VERBS.iter().zip(answers).filter(|(_, answer)| **answer);
        let granted: Vec<&str> = granted.map(|(verb, _)| *verb).collect();
        assert_eq!(granted, expected, "{kind} in {namespace}, {}", installed.values);
    }
}

#[test]
fn a_cluster_wide_operator_may_do_this_with_each_kind() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    check(&Installed::new(&helm, plane, operator(&json!({}))), TENANT, &[ALWAYS, WITHOUT, WIDE, REVIEWS]);
    check(&Installed::new(&helm, plane, operator(&all_on())), TENANT, &[ALWAYS, WITH, WIDE, REVIEWS]);
}

#[test]
fn a_restricted_operator_may_do_the_same_in_its_namespace_and_nothing_elsewhere() {
    let helm = or_skip!(Helm::find(), "helm");
    let plane = or_skip!(plane(), "kube-apiserver");
    let plane = plane.as_ref().expect("it is started");
    let restriction = json!({"enabled": true, "targetNamespace": TENANT});
    let installed = Installed::new(&helm, plane, operator(&json!({"namespaceRestriction": restriction})));
    check(&installed, TENANT, &[ALWAYS, WITHOUT, NARROW, REVIEWS]);
    drop(installed);
    let mut values = all_on();
    values["namespaceRestriction"] = restriction;
    let installed = Installed::new(&helm, plane, operator(&values));
    check(&installed, TENANT, &[ALWAYS, WITH, NARROW, REVIEWS]);
    let questions: Vec<(&str, &str)> =
        [ALWAYS, WITH].into_iter().flatten().flat_map(|(kind, _)| VERBS.map(|verb| (*kind, verb))).collect();
    assert!(answers(&installed, "team", &questions).iter().all(|allowed| !allowed));
}
