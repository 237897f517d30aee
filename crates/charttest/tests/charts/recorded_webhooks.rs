//! Compares webhooks, their Service, certificates, jobs and rights with recorded renders of the reference, in both directions.
//! Must list every known difference with its reason, so that a new one is a failure.

use serde_json::{Value, json};

use crate::helm::{Helm, Objects, recorded, text};
use crate::or_skip;
use crate::recorded::{Rendered, Set, reference_name, rendered};

/// Every recorded object about webhooks has one of ours that says the same, and no configuration of ours is new.
#[test]
fn every_recorded_webhook_service_certificate_and_job_is_ours_too() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let mut compared = 0;
    for Rendered { set, ours, jobs } in rendered(&helm, &dir) {
        for object in set.data["objects"].as_array().into_iter().flatten() {
            let by_jobs = object["annotations"].get("helm.sh/hook").is_some();
            if object["labels"]["app.kubernetes.io/component"] == "webhook" && (*jobs || !by_jobs) {
                compared += 1;
                compare(set, object, ours);
            }
        }
    }
    assert!(compared > 500, "only {compared} objects compared");
}

fn compare(set: &Set, theirs: &Value, ours: &Objects) {
    let (kind, name) = (text(&theirs["kind"]), text(&theirs["name"]));
    let found = ours.0.iter().find(|object| {
        let (own_kind, own_name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        own_kind == kind && reference_name(set, kind, own_name).as_deref() == Some(name)
    });
    let what = format!("{}: {kind} {name}", set.name);
    let object = found.unwrap_or_else(|| panic!("{what} is missing in {:?}", ours.list()));
    let annotations = object["metadata"].get("annotations").cloned().unwrap_or_else(|| json!({}));
    assert_eq!(without_cleaning(annotations), theirs["annotations"], "{what}");
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            compare_webhooks(set, theirs, object, &what);
        }
        "Service" => {
            for key in ["type", "ports", "selector"] {
                assert_eq!(object["spec"][key], theirs[key], "{what}: {key}");
            }
        }
        "Issuer" => assert_eq!(object["spec"], theirs["spec"], "{what}"),
        "Certificate" => compare_certificate(theirs, object, &what),
        "Job" => compare_job(theirs, object, &what),
        "Role" | "ClusterRole" if name.ends_with("-webhook-cert-gen") => {
            // Ours names the one Secret in all but `create`.
            assert_eq!(object["rules"][1]["resources"], theirs["rules"][0]["resources"], "{what}");
        }
        "Role" | "ClusterRole" => assert_eq!(object["rules"], theirs["rules"], "{what}"),
        "RoleBinding" | "ClusterRoleBinding" | "ServiceAccount" => {}
        _ => panic!("{what}: a kind that nobody compares"),
    }
}

/// Rights of hooks are removed when the hooks are done; in the reference they stay for ever.
fn without_cleaning(mut annotations: Value) -> Value {
    if let Some(policy) = annotations.get_mut("helm.sh/hook-delete-policy") {
        *policy = text(policy).trim_end_matches(",hook-succeeded").into();
    }
    annotations
}

fn compare_webhooks(set: &Set, theirs: &Value, ours: &Value, what: &str) {
    let restriction = &set.operator()["namespaceRestriction"];
    let summary = |webhook: &Value| {
        let service = &webhook["clientConfig"]["service"];
        let name = reference_name(set, "Service", text(&service["name"])).unwrap_or_default();
        let mut selector = webhook["namespaceSelector"].clone();
        // Ours reviews the served namespace, the reference that of the release (weak spot 21).
        if let Some(reviewed) = selector.pointer_mut("/matchLabels/kubernetes.io~1metadata.name") {
            let served = restriction["targetNamespace"].as_str().unwrap_or(text(&set.data["namespace"]));
            assert_eq!(reviewed, served, "{what}");
            *reviewed = set.data["namespace"].clone();
        }
        json!({
            "name": webhook["name"],
            "service": format!("{}/{name}", text(&service["namespace"])),
            "path": service["path"],
            "caBundle": webhook["clientConfig"].get("caBundle").is_some(),
            "rules": webhook["rules"],
            "failurePolicy": webhook["failurePolicy"],
            "sideEffects": webhook["sideEffects"],
            "timeoutSeconds": webhook["timeoutSeconds"],
            "admissionReviewVersions": webhook["admissionReviewVersions"],
            "namespaceSelector": selector,
        })
    };
    let webhooks: Vec<Value> = ours["webhooks"].as_array().into_iter().flatten().map(summary).collect();
    assert_eq!(Value::from(webhooks), theirs["webhooks"], "{what}");
}

/// cert-manager refuses the common name of the reference when it has more than 64 characters, as by default.
fn compare_certificate(theirs: &Value, ours: &Value, what: &str) {
    let (mut own, mut recorded) = (ours["spec"].clone(), theirs["spec"].clone());
    if text(&recorded["commonName"]).len() > 64 {
        assert!(text(&own["commonName"]).len() <= 64, "{what}");
        for spec in [&mut own, &mut recorded] {
            spec["commonName"] = Value::Null;
        }
    }
    assert_eq!(own, recorded, "{what}");
}

/// Image and user are the operator's: its program does the work, no shell.
fn compare_job(theirs: &Value, ours: &Value, what: &str) {
    let pod = &ours["spec"]["template"]["spec"];
    assert_eq!(ours["spec"]["backoffLimit"], theirs["backoffLimit"], "{what}");
    for key in ["serviceAccountName", "restartPolicy", "tolerations", "affinity"] {
        assert_eq!(pod[key], theirs[key], "{what}: {key}");
    }
    assert_eq!(pod["containers"][0]["name"], theirs["containers"][0]["name"], "{what}");
    assert_eq!(pod["containers"].as_array().map(Vec::len), Some(1), "{what}");
}
