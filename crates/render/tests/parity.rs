//! Parity layer without a cluster: what is rendered for each public manifest is what the reference operator made of
//! it. Records hold objects after the API server's defaulting, so what we leave out must be one of its defaults.
//! Needs `$DYNAMO_SHARED/parity` (default: `shared` beside the workspace); without it the test says so and skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::{collections::BTreeSet, path::Path};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use serde_json::{Value, json};

/// A namespace that is a DNS label; records say `NS` instead.
const NAMESPACE: &str = "ns-x";

/// Objects on record that are deliberately not rendered: kind, end of the name, why.
const NOT_RENDERED: [(&str, &str, &str); 2] = [
    ("Service", "-p", "D-001: one Service per component"),
    ("Service", "-d", "D-001: one Service per component"),
];

/// Graphs of which the record has no component: manifest, why.
const STOPPED: [(&str, &str); 7] = [
    ("deploy-operator-config-samples-nvidia-com-v1alpha1-dynamographdeployment", "invalid: no services"),
    ("examples-backends-sglang-deploy-disagg-multinode", "no multinode orchestrator"),
    ("examples-backends-trtllm-deploy-disagg-multinode", "no multinode orchestrator"),
    ("examples-backends-vllm-deploy-disagg-multinode", "no multinode orchestrator"),
    ("recipes-deepseek-r1-sglang-disagg-16gpu-deploy", "no multinode orchestrator"),
    ("recipes-deepseek-r1-trtllm-disagg-wide-ep-gb200-deploy", "no multinode orchestrator"),
    ("recipes-deepseek-r1-vllm-disagg-deploy-hopper-16gpu", "no multinode orchestrator"),
];

/// Graphs of which the plain record lacks what needs an API that was not there, and another record of which has it all:
/// manifest, folder, why.
const OTHER_RECORD: [(&str, &str, &str); 1] = [(
    "recipes-llama-3-70b-vllm-agg-gaie-deploy",
    "lws",
    "InferencePool was in that cluster; its graph has one node, and so the same objects",
)];

/// Paths at which a rendered value may differ from the record: manifest, object, path, why.
const DIFFERENT: [(&str, &str, &str, &str); 0] = [];

/// Objects that the API server refused from the reference: manifest, object, why.
const REFUSED: [(&str, &str, &str); 2] = [
    (
        "examples-deployments-gke-vllm-disagg",
        "Deployment/vllm-disagg-vllmdecodeworker",
        "its startup probe has no handler (workload.md 6.3)",
    ),
    (
        "examples-deployments-gke-vllm-disagg",
        "Service/vllm-disagg-vllmdecodeworker",
        "not made because its Deployment was refused (workload.md 4.2)",
    ),
];

/// What may be on record without being rendered: end of the path, value. `*` stands for any list index.
fn defaults() -> Vec<(&'static str, Value)> {
    vec![
        // Written by the reference where a parent object is given (`workload.md` 4.1), and its finalizer, of which
        // we have no need.
        ("DynamoComponentDeployment.metadata.finalizers", json!(["nvidia.com/finalizer"])),
        ("DynamoComponentDeployment.spec.extraPodSpec.mainContainer.name", json!("")),
        ("DynamoComponentDeployment.spec.extraPodSpec.mainContainer.resources", json!({})),
        ("DynamoComponentDeployment.spec.volumeMounts.*.useAsCompilationCache", json!(false)),
        ("DynamoComponentDeployment.spec.eppConfig.config.plugins.*.name", json!("")),
        // Defaults of the API server.
        ("InferencePool.spec.endpointPickerRef.failureMode", json!("FailClose")),
        ("InferencePool.spec.endpointPickerRef.group", json!("")),
        ("Deployment.spec.progressDeadlineSeconds", json!(600)),
        ("Deployment.spec.revisionHistoryLimit", json!(10)),
        ("Deployment.spec.template.spec.dnsPolicy", json!("ClusterFirst")),
        ("Deployment.spec.template.spec.schedulerName", json!("default-scheduler")),
        ("Service.spec.internalTrafficPolicy", json!("Cluster")),
        ("Service.spec.ipFamilies", json!(["IPv4"])),
        ("Service.spec.ipFamilyPolicy", json!("SingleStack")),
        ("Service.spec.sessionAffinity", json!("None")),
        ("containers.*.imagePullPolicy", json!("IfNotPresent")),
        ("containers.*.resources", json!({})),
        ("containers.*.terminationMessagePath", json!("/dev/termination-log")),
        ("containers.*.terminationMessagePolicy", json!("File")),
        ("env.*.valueFrom.fieldRef.apiVersion", json!("v1")),
        ("Probe.failureThreshold", json!(3)),
        ("Probe.httpGet.scheme", json!("HTTP")),
        ("Probe.periodSeconds", json!(10)),
        ("Probe.successThreshold", json!(1)),
        ("Probe.timeoutSeconds", json!(1)),
        ("ports.*.protocol", json!("TCP")),
        ("volumes.*.configMap.defaultMode", json!(420)),
        ("volumes.*.secret.defaultMode", json!(420)),
    ]
}

#[test]
fn every_public_manifest_renders_to_what_the_reference_made_of_it() {
    let Some(inputs) = support::parity_inputs() else { return };
    let mut judge = Judge::default();
    for input in inputs {
        let name = input.file_stem().unwrap().to_string_lossy().into_owned();
        let other = OTHER_RECORD.iter().find(|entry| entry.0 == name);
        let folder = support::parity().join(other.map_or("plain", |entry| entry.1));
        let record = folder.join(input.file_name().unwrap());
        if record.is_file() {
            judge.manifest(&input, &record);
        }
    }
    assert!(judge.manifests >= 60, "only {} manifests were compared", judge.manifests);
    judge.complain_about_unused();
    assert!(
        judge.failures.is_empty(),
        "{} differences from the record:\n{}",
        judge.failures.len(),
        judge.failures.join("\n")
    );
    assert!(judge.objects > 600, "only {} objects were compared", judge.objects);
}

#[derive(Default)]
struct Judge {
    manifests: usize,
    objects: usize,
    failures: Vec<String>,
    used: BTreeSet<String>,
}

impl Judge {
    fn manifest(&mut self, input: &Path, record: &Path) {
        let name = input.file_stem().unwrap().to_string_lossy().into_owned();
        self.manifests += 1;
        let recorded: Vec<Value> = support::documents(record).into_iter().filter(is_compared).collect();
        if let Some((name, why)) = STOPPED.iter().find(|(stopped, _)| *stopped == name) {
            self.used.insert(format!("STOPPED {name}"));
            if recorded.iter().any(|object| object["kind"] == "DynamoComponentDeployment") {
                self.failures.push(format!("{name}: has components on record, although: {why}"));
            }
            return;
        }
        let mut rendered = Vec::new();
        for document in support::documents(input) {
            if document["kind"] != "DynamoGraphDeployment" {
                continue;
            }
            let mut dgd: DynamoGraphDeployment = serde_json::from_value(document).unwrap();
            dgd.metadata.namespace = Some(NAMESPACE.to_owned());
            match support::render(&dgd, &support::platform()) {
                Ok(graph) => rendered.extend(graph.objects()),
                Err(errors) => self.failures.push(format!("{name}: invalid: {errors}")),
            }
        }
        let text = serde_json::to_string(&rendered).unwrap().replace(NAMESPACE, "NS");
        let rendered: Vec<Value> = serde_json::from_str(&text).unwrap();
        for object in &rendered {
            let id = support::id(object);
            let label = format!("{}/{}", id.0, id.1);
            match recorded.iter().find(|recorded| support::id(recorded) == id) {
                Some(record) => self.object(&name, &label, object, record, &rendered),
                None => match REFUSED.iter().find(|refused| (refused.0, refused.1) == (&name, &label)) {
                    Some(refused) => _ = self.used.insert(format!("REFUSED {} {}", refused.0, refused.1)),
                    None => self.failures.push(format!("{name}: {label} is rendered but not on record")),
                },
            }
        }
        for record in &recorded {
            let id = support::id(record);
            if rendered.iter().any(|object| support::id(object) == id) {
                continue;
            }
            let known = NOT_RENDERED.iter().find(|(kind, end, _)| *kind == id.0 && id.1.ends_with(end));
            match known {
                Some((kind, end, _)) => _ = self.used.insert(format!("NOT_RENDERED {kind} {end}")),
                None => {
                    self.failures.push(format!("{name}: {}/{} is on record but not rendered", id.0, id.1));
                }
            }
        }
    }

    fn object(&mut self, manifest: &str, label: &str, ours: &Value, record: &Value, all: &[Value]) {
        self.objects += 1;
        let mut differences = Vec::new();
        let kind = label.split('/').next().unwrap_or_default().to_owned();
        compare(&[kind], &as_applied(ours, owner(ours, record, all)), record, &mut differences);
        for (path, message) in differences {
            let known =
                DIFFERENT.iter().find(|known| (known.0, known.1, known.2) == (manifest, label, &path));
            match known {
                Some(known) => {
                    self.used.insert(format!("DIFFERENT {} {} {}", known.0, known.1, known.2));
                }
                None => self.failures.push(format!("{manifest}: {label}: {path}: {message}")),
            }
        }
    }

    fn complain_about_unused(&mut self) {
        let stopped = STOPPED.iter().map(|entry| format!("STOPPED {}", entry.0));
        let not_rendered = NOT_RENDERED.iter().map(|entry| format!("NOT_RENDERED {} {}", entry.0, entry.1));
        let different =
            DIFFERENT.iter().map(|entry| format!("DIFFERENT {} {} {}", entry.0, entry.1, entry.2));
        let refused = REFUSED.iter().map(|entry| format!("REFUSED {} {}", entry.0, entry.1));
        let unused = stopped.chain(not_rendered).chain(different).chain(refused);
        let unused = unused.filter(|entry| !self.used.contains(entry));
        self.failures.extend(unused.map(|entry| format!("unused entry, take it out: {entry}")));
    }
}

/// The kinds this crate renders, without the accounts that belong to a namespace and not to a graph.
fn is_compared(object: &Value) -> bool {
    let (kind, name) = support::id(object);
    match kind.as_str() {
        "Deployment" | "Service" | "DynamoComponentDeployment" | "ConfigMap" | "InferencePool" => true,
        "ServiceAccount" | "Role" | "RoleBinding" => {
            !name.starts_with("planner-serviceaccount") && !name.starts_with("epp-serviceaccount")
        }
        _ => false,
    }
}

/// Kind and name of the owner of an object. Of the components that share a model Service the record names whichever
/// was first, by chance: it must be one of them.
fn owner(object: &Value, record: &Value, all: &[Value]) -> (&'static str, Value) {
    const MODEL: &str = "/metadata/annotations/nvidia.com~1dynamo-base-model";
    const MANAGED: &str = "/metadata/labels/nvidia.com~1managed-by";
    let labels = &object["metadata"]["labels"];
    match object["kind"].as_str() {
        Some("Service") if object.pointer(MANAGED).is_some() => {
            let first = &record["metadata"]["ownerReferences"][0]["name"];
            let serves = all.iter().any(|other| {
                other["kind"] == "DynamoComponentDeployment"
                    && other["metadata"]["name"] == *first
                    && Some(&other["spec"]["modelRef"]["name"]) == object.pointer(MODEL)
            });
            assert!(serves, "{first} owns the Service of a model that it does not serve");
            ("DynamoComponentDeployment", first.clone())
        }
        Some("Deployment" | "Service") => ("DynamoComponentDeployment", object["metadata"]["name"].clone()),
        Some("DynamoComponentDeployment" | "ConfigMap" | "InferencePool") => {
            ("DynamoGraphDeployment", labels["nvidia.com/dynamo-graph-deployment-name"].clone())
        }
        _ => {
            let account = labels["app.kubernetes.io/name"].as_str().unwrap_or_default();
            ("DynamoGraphDeployment", json!(account.trim_end_matches("-k8s-service-discovery")))
        }
    }
}

/// An object as it is in the cluster: with its owner, and with the deprecated twin of `serviceAccountName` and the
/// second spelling of `clusterIP` that the API server fills in.
fn as_applied(object: &Value, (kind, owner): (&str, Value)) -> Value {
    let mut object = object.clone();
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "nvidia.com/v1alpha1",
        "blockOwnerDeletion": true,
        "controller": true,
        "kind": kind,
        "name": owner,
    }]);
    if let Some(pod) = object.pointer_mut("/spec/template/spec") {
        pod["serviceAccount"] = pod["serviceAccountName"].clone();
    }
    if let Some(address) = object.pointer("/spec/clusterIP").cloned() {
        object["spec"]["clusterIPs"] = json!([address]);
    }
    object
}

/// Differences between what is rendered and its record, by path.
fn compare(path: &[String], ours: &Value, record: &Value, out: &mut Vec<(String, String)>) {
    let below = |key: &str| path.iter().cloned().chain([key.to_owned()]).collect::<Vec<_>>();
    match (ours, record) {
        (Value::Object(ours), Value::Object(record)) => {
            for (key, value) in ours {
                match record.get(key) {
                    Some(recorded) => compare(&below(key), value, recorded, out),
                    None if is_empty(value) => {}
                    None => out.push((below(key).join("."), format!("rendered {value}, not on record"))),
                }
            }
            for (key, value) in record.iter().filter(|(key, _)| !ours.contains_key(*key)) {
                let path = below(key);
                if !is_default(&path, value) {
                    out.push((path.join("."), format!("not rendered, {value} on record")));
                }
            }
        }
        (Value::Array(ours), Value::Array(record)) if ours.len() == record.len() => {
            for (at, (ours, record)) in ours.iter().zip(record).enumerate() {
                compare(&below(&at.to_string()), ours, record, out);
            }
        }
        _ if ours == record => {}
        _ => out.push((path.join("."), format!("rendered {ours}, {record} on record"))),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn is_default(path: &[String], value: &Value) -> bool {
    defaults().iter().any(|(pattern, default)| value == default && ends_with(path, pattern))
}

/// Whether a path ends with a pattern, in which `Probe` stands for any of the three probes.
fn ends_with(path: &[String], pattern: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    path.len() >= pattern.len()
        && path[path.len() - pattern.len()..].iter().zip(pattern).all(|(key, wanted)| match wanted {
            "*" => key.parse::<usize>().is_ok(),
            "Probe" => key.ends_with("Probe"),
            wanted => key == wanted,
        })
}
