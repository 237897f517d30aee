//! Compares with recorded renders of the reference: same names, labels, flags, pods where this version has the object.
//! Must list every known difference with its reason, so that a new one is a failure.

use std::path::Path;

use serde_json::{Value, json};

use crate::helm::{Helm, Objects, platform, recorded, strings, text};
use crate::or_skip;

struct Set {
    name: String,
    data: Value,
}

/// The sets of the platform chart that need no live cluster.
fn sets(dir: &Path) -> Vec<Set> {
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .expect("the recorded renders")
        .map(|entry| entry.expect("the recorded renders").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    let read = |path: &Path| Set {
        name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
        data: serde_json::from_slice(&std::fs::read(path).expect("a readable set")).expect("JSON"),
    };
    let sets: Vec<Set> = paths.iter().map(|path| read(path)).collect();
    sets.into_iter()
        .filter(|set| set.data["chart"] == "dynamo-platform" && set.data.get("cluster").is_none())
        .collect()
}

/// The recorded values, with webhooks off where they were on: they are not in this version.
fn values(set: &Set) -> Value {
    let mut values = set.data["values"].clone();
    if !values["dynamo-operator"].is_object() {
        values["dynamo-operator"] = json!({});
    }
    let operator = &mut values["dynamo-operator"];
    if operator["webhook"].is_null() {
        operator["webhook"] = json!({});
    }
    operator["webhook"]["enabled"] = json!(false);
    values
}

/// The recorded flags as this version passes them.
fn expected_args(set: &Set, recorded: &[String]) -> Vec<String> {
    let own = |key: &str| !text(&set.data["values"]["dynamo-operator"][key]).is_empty();
    let version = format!("--operator-version={}", env!("CARGO_PKG_VERSION"));
    let kept = recorded.iter().filter(|arg| {
        let flag = arg.split('=').next().unwrap_or_default();
        match flag {
            // There is no bundled NATS or etcd: an address is passed only when the user gives one.
            "--natsAddr" => own("natsAddr"),
            "--etcdAddr" => own("etcdAddr"),
            // Neither webhooks nor checkpoints are in this version; the HTTPS switch was parsed and ignored.
            "--enable-webhooks" | "--virtual-service-supports-https" => false,
            _ => !flag.starts_with("--checkpoint-"),
        }
    });
    kept.map(|arg| if arg.starts_with("--operator-version=") { version.clone() } else { arg.clone() })
        .collect()
}

fn unversioned(labels: &Value) -> Value {
    let mut labels = labels.clone();
    labels["helm.sh/chart"] = json!("CHART");
    labels["app.kubernetes.io/version"] = json!("VERSION");
    labels
}

fn compare_deployment(set: &Set, theirs: &Value, ours: &Objects) {
    let name = &set.name;
    let (spec, pod, manager) = (&ours.deployment()["spec"], ours.pod(), ours.manager());
    let recorded = theirs["containers"]
        .as_array()
        .and_then(|containers| containers.iter().find(|container| container["name"] == "manager"))
        .expect("a manager container");
    assert_eq!(ours.args(), expected_args(set, &strings(&recorded["args"])), "{name}");
    assert_eq!(spec["replicas"], theirs["replicas"], "{name}");
    assert_eq!(spec["strategy"]["type"], theirs["strategy"], "{name}");
    assert_eq!(spec["selector"]["matchLabels"], theirs["selector"], "{name}");
    assert_eq!(spec["template"]["metadata"]["labels"], theirs["podLabels"], "{name}");
    for key in
        ["serviceAccountName", "terminationGracePeriodSeconds", "tolerations", "affinity", "imagePullSecrets"]
    {
        assert_eq!(pod[key], theirs[key], "{name}: {key}");
    }
    for key in ["name", "command", "env", "livenessProbe", "readinessProbe", "imagePullPolicy"] {
        assert_eq!(manager[key], recorded[key], "{name}: {key}");
    }
    let image = text(&recorded["image"]).replace(":1.0.0-dev", &format!(":{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(manager["image"], image, "{name}");
    assert_eq!(
        manager["envFrom"][0]["secretRef"]["name"], recorded["envFrom"][0]["secretRef"]["name"],
        "{name}"
    );
}

#[test]
fn every_recorded_value_set_renders_the_same_names_labels_and_flags() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let sets: Vec<Set> = sets(&dir).into_iter().filter(|set| set.data.get("error").is_none()).collect();
    assert!(sets.len() > 50, "only {} sets found", sets.len());
    for set in &sets {
        let release = text(&set.data["release"]);
        let output = helm.template(&platform(), release, text(&set.data["namespace"]), &values(set));
        let ours = Objects::parse(&output);
        let theirs = set.data["objects"].as_array().expect("objects");
        for object in &ours.0 {
            let (kind, object_name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
            let same = theirs
                .iter()
                .find(|other| other["kind"] == kind && other["name"] == object_name)
                .unwrap_or_else(|| panic!("{}: the reference has no {kind} {object_name}", set.name));
            assert_eq!(
                unversioned(&object["metadata"]["labels"]),
                unversioned(&same["labels"]),
                "{}: {object_name}",
                set.name
            );
            // Accounts of planner, EPP and profiling follow the served namespace here; there they stay with the release.
            let moved = set.name.starts_with("restricted-target")
                && ["planner", "epp", "dgdr-profiling"].iter().any(|part| object_name.starts_with(part));
            if !moved {
                assert_eq!(object["metadata"]["namespace"], same["namespace"], "{}: {object_name}", set.name);
                assert_eq!(object["roleRef"], same["roleRef"], "{}: {object_name}", set.name);
                assert_eq!(object["subjects"], same["subjects"], "{}: {object_name}", set.name);
            }
            if kind == "Deployment" {
                compare_deployment(set, same, &ours);
            }
        }
    }
}

#[test]
fn every_recorded_refusal_that_needs_no_cluster_is_refused_with_its_words() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    // The registry Secret is not in this version.
    let refused = |set: &Set| set.data.get("error").is_some() && !set.name.starts_with("registry-");
    let sets: Vec<Set> = sets(&dir).into_iter().filter(refused).collect();
    assert!(sets.len() >= 5, "only {} sets found", sets.len());
    for set in &sets {
        let output = helm.template(
            &platform(),
            text(&set.data["release"]),
            text(&set.data["namespace"]),
            &values(set),
        );
        assert!(!output.ok, "{} must not render", set.name);
        for word in strings(&set.data["error"]["keywords"]) {
            assert!(output.stderr.contains(&word), "{}: {word:?} is missing in {}", set.name, output.stderr);
        }
    }
}

/// Rules of the handed-out roles are contract: pods written for the reference rely on them.
#[test]
fn handed_out_roles_have_the_recorded_rules() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    for set in sets(&dir).into_iter().filter(|set| ["defaults", "restricted"].contains(&set.name.as_str())) {
        let ours = helm.objects(text(&set.data["release"]), text(&set.data["namespace"]), &values(&set));
        let handed_out = set.data["objects"].as_array().into_iter().flatten().filter(|object| {
            let name = text(&object["name"]);
            text(&object["kind"]).ends_with("Role")
                && ["planner", "planner-role", "epp", "epp-role", "dgdr-profiling", "dgdr-profiling-job"]
                    .iter()
                    .any(|suffix| name.ends_with(suffix))
        });
        let mut compared = 0;
        for role in handed_out {
            compared += 1;
            assert_eq!(
                ours.get(text(&role["kind"]), text(&role["name"]))["rules"],
                role["rules"],
                "{}",
                set.name
            );
        }
        assert_eq!(compared, 3, "{}", set.name);
    }
}
