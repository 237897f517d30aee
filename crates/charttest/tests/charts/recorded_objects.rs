//! Compares every recorded object with ours in both directions, and all that is recorded of accounts, Secrets, roles,
//! bindings, Services, monitors and queues. Deployments are compared in `recorded.rs`, webhooks in `recorded_webhooks.rs`.
//! Must list every difference with its row of `docs/design/deviations.md`; one that is none any more is a failure.

use std::collections::BTreeSet;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::helm::{Helm, recorded, text};
use crate::or_skip;
use crate::recorded::{Rendered, Set, reference_name, rendered, unversioned};

/// Deviation, kind (empty: all), end of the name, and of what: a field, or [`MISSING`] or [`ADDED`].
type Exception = (&'static str, &'static str, &'static str, &'static str);

const MISSING: &str = "missing";
const ADDED: &str = "added";

const EXCEPTIONS: &[Exception] = &[
    // Certificates come from the operator, and from hook jobs only when asked for.
    ("D-106", "ServiceAccount", "-webhook-cert-gen", MISSING),
    ("D-106", "Role", "-webhook-cert-gen", MISSING),
    ("D-106", "RoleBinding", "-webhook-cert-gen", MISSING),
    ("D-106", "Job", "-webhook-cert-gen-1", MISSING),
    ("D-106", "ServiceAccount", "-webhook-ca-inject", MISSING),
    ("D-106", "Role", "-webhook-ca-inject", MISSING),
    ("D-106", "RoleBinding", "-webhook-ca-inject", MISSING),
    ("D-106", "ClusterRole", "-webhook-ca-inject", MISSING),
    ("D-106", "ClusterRoleBinding", "-webhook-ca-inject", MISSING),
    ("D-106", "Job", "-webhook-ca-inject-1", MISSING),
    // Rights of hooks go when the hooks are done.
    ("D-106", "", "-webhook-cert-gen", "annotations"),
    ("D-106", "", "-webhook-ca-inject", "annotations"),
    ("D-112", "Role", "-webhook-cert-gen", "rules"),
    // The operator makes the key.
    ("D-124", "ServiceAccount", "-ssh-keygen", MISSING),
    ("D-124", "Role", "-ssh-keygen", MISSING),
    ("D-124", "RoleBinding", "-ssh-keygen", MISSING),
    ("D-124", "Job", "-ssh-keygen", MISSING),
    ("D-124", "Role", "-shared-secrets", ADDED),
    ("D-124", "RoleBinding", "-shared-secrets", ADDED),
    ("D-105", "", "-manager-role", "rules"),
    ("D-105", "", "-leader-election-role", "rules"),
    ("D-111", "Role", "-webhook-cert-writer", ADDED),
    ("D-111", "RoleBinding", "-webhook-cert-writer", ADDED),
    ("D-111", "ClusterRole", "-webhook-configurations", ADDED),
    ("D-111", "ClusterRoleBinding", "-webhook-configurations", ADDED),
    // What a restricted operator hands out is where it works.
    ("D-112", "ServiceAccount", "-component", "namespace"),
    ("D-112", "", "planner-serviceaccount", "namespace"),
    ("D-112", "", "planner-role", "namespace"),
    ("D-112", "", "planner-binding", "namespace"),
    ("D-112", "", "planner-binding", "subjects"),
    ("D-112", "", "epp-serviceaccount", "namespace"),
    ("D-112", "", "epp-role", "namespace"),
    ("D-112", "", "epp-binding", "namespace"),
    ("D-112", "", "epp-binding", "subjects"),
    ("D-112", "", "dgdr-profiling-job", "namespace"),
    ("D-112", "", "dgdr-profiling-job", "subjects"),
    ("D-120", "Secret", "-regcred", "namespace"),
    ("D-120", "Secret", "-regcred", "auths"),
    // Tokens are reviewed by the operator, in both scopes by a cluster role.
    ("D-121", "Role", "-proxy-role", MISSING),
    ("D-121", "RoleBinding", "-proxy-rolebinding", MISSING),
    ("D-121", "ClusterRole", "-proxy-role", ADDED),
    ("D-121", "ClusterRoleBinding", "-proxy-rolebinding", ADDED),
    ("D-121", "ClusterRole", "-metrics-reader", ADDED),
    ("D-121", "ServiceMonitor", "-operator", "endpoints"),
    ("D-122", "PodMonitor", "dynamo-worker", "selector"),
    ("D-122", "PodMonitor", "dynamo-epp", ADDED),
    ("D-122", "PodMonitor", "", "namespaceSelector"),
    ("D-143", "PrometheusRule", "-alerts", ADDED),
];

/// Every exception that was needed, so that those that were not can be told.
#[derive(Default)]
struct Used(BTreeSet<usize>);

impl Used {
    /// All rows that allow it: one difference may be that of several.
    fn allows(&mut self, kind: &str, name: &str, what: &str) -> bool {
        let rows = EXCEPTIONS.iter().enumerate().filter(|(_, (_, of, suffix, about))| {
            (of.is_empty() || *of == kind) && name.ends_with(suffix) && *about == what
        });
        let rows: Vec<usize> = rows.map(|(index, _)| index).collect();
        self.0.extend(&rows);
        !rows.is_empty()
    }
}

#[test]
fn every_object_of_the_reference_is_ours_and_every_other_way_round_or_has_a_deviation() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let mut used = Used::default();
    let mut compared = 0;
    for Rendered { set, ours, .. } in rendered(&helm, &dir) {
        let mut theirs: Vec<&Value> = set.data["objects"].as_array().into_iter().flatten().collect();
        for object in &ours.0 {
            let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
            let expected = reference_name(set, kind, name);
            let same = theirs
                .iter()
                .position(|other| other["kind"] == kind && expected.as_deref() == Some(text(&other["name"])));
            let Some(index) = same else {
                assert!(used.allows(kind, name, ADDED), "{}: {kind} {name} is new", set.name);
                continue;
            };
            compared += 1;
            compare(set, theirs.swap_remove(index), object, &mut used);
        }
        for other in theirs {
            let (kind, name) = (text(&other["kind"]), text(&other["name"]));
            assert!(used.allows(kind, name, MISSING), "{}: {kind} {name} is missing", set.name);
        }
    }
    assert!(compared > 3000, "only {compared} objects compared");
    let unused = EXCEPTIONS.iter().enumerate().filter(|(index, _)| !used.0.contains(index));
    let unused: Vec<&Exception> = unused.map(|(_, exception)| exception).collect();
    assert!(unused.is_empty(), "these are no differences: {unused:?}");
}

fn compare(set: &Set, theirs: &Value, ours: &Value, used: &mut Used) {
    let (kind, name) = (text(&theirs["kind"]), text(&theirs["name"]));
    let facts = facts(set, kind, ours);
    let recorded = theirs.as_object().expect("an object");
    for field in recorded.keys().chain(facts.as_object().into_iter().flat_map(|facts| facts.keys())) {
        // Told by `reference_name`; or compared elsewhere.
        if ["apiVersion", "kind", "name", "dockerconfigIsJSON"].contains(&field.as_str())
            || elsewhere(kind) && !["labels", "namespace"].contains(&field.as_str())
        {
            continue;
        }
        let mut expected = theirs[field].clone();
        if field == "labels" && !expected["helm.sh/chart"].is_null() {
            expected = unversioned(&expected);
        }
        if facts[field] != expected {
            assert!(
                used.allows(kind, name, field),
                "{}: {kind} {name}, {field}: {} instead of {expected}",
                set.name,
                facts[field]
            );
        }
    }
}

fn elsewhere(kind: &str) -> bool {
    kind.ends_with("WebhookConfiguration") || ["Deployment", "Job", "Certificate", "Issuer"].contains(&kind)
}

/// What a recorded set tells of an object, told of ours.
fn facts(set: &Set, kind: &str, object: &Value) -> Value {
    let (metadata, spec) = (&object["metadata"], &object["spec"]);
    let map = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
    let mut facts = json!({
        "namespace": metadata["namespace"],
        "labels": map(&metadata["labels"]),
        "annotations": map(&metadata["annotations"]),
    });
    if !facts["labels"]["helm.sh/chart"].is_null() {
        facts["labels"] = unversioned(&facts["labels"]);
    }
    match kind {
        "ServiceAccount" => facts["imagePullSecrets"] = object["imagePullSecrets"].clone(),
        "Secret" => secret_facts(object, &mut facts),
        "Service" => {
            for key in ["type", "ports", "selector"] {
                facts[key] = spec[key].clone();
            }
        }
        "Role" | "ClusterRole" => facts["rules"] = object["rules"].clone(),
        "RoleBinding" | "ClusterRoleBinding" => {
            facts["subjects"] = object["subjects"].clone();
            facts["roleRef"] = object["roleRef"].clone();
            if let Some(role) = reference_name(set, "ClusterRole", text(&object["roleRef"]["name"])) {
                facts["roleRef"]["name"] = role.into();
            }
        }
        "PodMonitor" | "ServiceMonitor" => {
            facts["selector"] = spec["selector"].clone();
            facts["endpoints"] =
                spec[if kind == "PodMonitor" { "podMetricsEndpoints" } else { "endpoints" }].clone();
            if kind == "PodMonitor" {
                facts["namespaceSelector"] = spec["namespaceSelector"].clone();
            }
        }
        "Queue" => facts["spec"] = spec.clone(),
        _ => assert!(elsewhere(kind), "{}: nobody compares a {kind}", set.name),
    }
    facts
}

fn secret_facts(secret: &Value, facts: &mut Value) {
    facts["type"] = secret["type"].clone();
    let keys = ["data", "stringData"].map(|part| secret[part].as_object().map(|map| map.keys()));
    facts["keys"] = keys.into_iter().flatten().flatten().cloned().collect::<Vec<_>>().into();
    if !secret["stringData"].is_null() {
        facts["stringData"] = secret["stringData"].clone();
    }
    let Some(config) = secret["data"][".dockerconfigjson"].as_str() else { return };
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    let config: Value = serde_json::from_slice(&decode(config)).expect("JSON");
    facts["auths"] = json!({});
    for (server, entry) in config["auths"].as_object().expect("auths") {
        let pair = format!("{}:{}", text(&entry["username"]), text(&entry["password"]));
        facts["auths"][server] = json!({
            "keys": entry.as_object().map(|entry| entry.keys().collect::<Vec<_>>()),
            "username": entry["username"],
            "authIsBase64OfUserColonPassword": decode(text(&entry["auth"])) == pair.as_bytes(),
        });
    }
}
