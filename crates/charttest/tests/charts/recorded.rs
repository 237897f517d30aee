//! Compares with recorded renders of the reference: same names, labels, flags, pods where this version has the object.
//! Must list every known difference with its reason, so that a new one is a failure.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::helm::{Helm, Objects, platform, recorded, strings, text};
use crate::or_skip;

#[derive(Clone)]
pub struct Set {
    pub name: String,
    pub data: Value,
}

impl Set {
    /// Recorded objects of a kind.
    pub fn objects<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.data["objects"].as_array().into_iter().flatten().filter(move |object| object["kind"] == kind)
    }

    /// Whether the reference made its certificate by hook jobs.
    pub fn has_jobs(&self) -> bool {
        self.objects("Job").any(|job| text(&job["name"]).contains("-webhook-"))
    }

    pub fn render(&self, helm: &Helm, values: &Value) -> Objects {
        let (release, namespace) = (text(&self.data["release"]), text(&self.data["namespace"]));
        Objects::parse(&helm.template(&platform(), release, namespace, values))
    }
}

/// The sets of the platform chart that need no live cluster.
pub fn sets(dir: &Path) -> Vec<Set> {
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

/// What this chart renders for a recorded set.
pub struct Rendered {
    pub set: Set,
    pub ours: Objects,
    /// Whether the certificate comes from hook jobs: in v0.9 always, here when asked for.
    pub jobs: bool,
}

/// Every recorded set that renders, with the two variants of those with jobs. Rendered once for all tests.
pub fn rendered(helm: &Helm, dir: &Path) -> &'static [Rendered] {
    static RENDERED: OnceLock<Vec<Rendered>> = OnceLock::new();
    RENDERED.get_or_init(|| {
        let mut rendered = Vec::new();
        // The API server refuses one of them afterwards; ours refuses it at once.
        let renders = |set: &Set| set.data.get("error").is_none() && set.name != "webhook-policy-unknown";
        for set in sets(dir).into_iter().filter(renders) {
            let values = set.data["values"].clone();
            if set.has_jobs() {
                let mut values = values.clone();
                values["dynamo-operator"]["webhook"]["certGenerator"]["enabled"] = json!(true);
                rendered.push(Rendered { set: set.clone(), ours: set.render(helm, &values), jobs: true });
            }
            rendered.push(Rendered { ours: set.render(helm, &values), set, jobs: false });
        }
        rendered
    })
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
            _ => true,
        }
    });
    kept.map(|arg| if arg.starts_with("--operator-version=") { version.clone() } else { arg.clone() })
        .collect()
}

/// Without the flags that v0.9 does not know.
fn contract_args(ours: &Objects) -> Vec<String> {
    let own = |arg: &String| arg.starts_with("--webhook-") || arg.starts_with("--trusted-service-account=");
    ours.args().into_iter().filter(|arg| !own(arg)).collect()
}

/// The name that the reference gives to an object of ours; none for objects that it does not have.
pub fn reference_name(set: &Set, kind: &str, name: &str) -> Option<String> {
    let own = ["-webhook-cert-writer", "-webhook-configurations", "-mpi-secret-reader"];
    if own.iter().any(|suffix| name.ends_with(suffix)) {
        return None;
    }
    // Cut before the suffix, where the reference exceeds 63 characters (charts.md section 24).
    let suffixes = ["-webhook-service", "-webhook-cert-gen-1", "-webhook-ca-inject-1"];
    if let Some(suffix) = suffixes.iter().find(|suffix| name.ends_with(**suffix)) {
        let too_long = set.objects(kind).map(|object| text(&object["name"]));
        let too_long = too_long.filter(|other| other.ends_with(suffix) && other.len() > 63);
        return Some(too_long.last().unwrap_or(name).to_owned());
    }
    // Restricted releases of one name share this in the reference.
    let shared = name.strip_suffix(&format!("-webhook-ca-inject-{}", text(&set.data["namespace"])));
    Some(shared.map_or_else(|| name.to_owned(), |prefix| format!("{prefix}-webhook-ca-inject")))
}

fn unversioned(labels: &Value) -> Value {
    let mut labels = labels.clone();
    labels["helm.sh/chart"] = json!("CHART");
    labels["app.kubernetes.io/version"] = json!("VERSION");
    labels
}

fn compare_deployment(set: &Set, theirs: &Value, ours: &Objects, jobs: bool) {
    let name = &set.name;
    let (spec, pod, manager) = (&ours.deployment()["spec"], ours.pod(), ours.manager());
    let recorded = theirs["containers"]
        .as_array()
        .and_then(|containers| containers.iter().find(|container| container["name"] == "manager"))
        .expect("a manager container");
    assert_eq!(contract_args(ours), expected_args(set, &strings(&recorded["args"])), "{name}");
    assert_eq!(spec["replicas"], theirs["replicas"], "{name}");
    assert_eq!(spec["strategy"]["type"], theirs["strategy"], "{name}");
    assert_eq!(spec["selector"]["matchLabels"], theirs["selector"], "{name}");
    assert_eq!(spec["template"]["metadata"]["labels"], theirs["podLabels"], "{name}");
    for key in
        ["serviceAccountName", "terminationGracePeriodSeconds", "tolerations", "affinity", "imagePullSecrets"]
    {
        assert_eq!(pod[key], theirs[key], "{name}: {key}");
    }
    // The operator makes its certificate itself where the reference mounts the one of its jobs.
    if set.has_jobs() && !jobs {
        assert_eq!((&pod["volumes"], &manager["volumeMounts"]), (&Value::Null, &Value::Null), "{name}");
    } else {
        assert_eq!(pod["volumes"], theirs["volumes"], "{name}");
        assert_eq!(manager["volumeMounts"], recorded["volumeMounts"], "{name}");
    }
    for key in ["name", "command", "env", "livenessProbe", "readinessProbe", "imagePullPolicy", "ports"] {
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
    let rendered = rendered(&helm, &dir);
    assert!(rendered.len() > 100, "only {} renders", rendered.len());
    for Rendered { set, ours, jobs } in rendered {
        for object in &ours.0 {
            compare_object(set, object, ours, *jobs);
        }
    }
}

fn compare_object(set: &Set, object: &Value, ours: &Objects, jobs: bool) {
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let Some(expected) = reference_name(set, kind, name) else { return };
    let same = set.objects(kind).find(|other| other["name"] == expected);
    let same = same.unwrap_or_else(|| panic!("{}: the reference has no {kind} {name}", set.name));
    assert_eq!(
        unversioned(&object["metadata"]["labels"]),
        unversioned(&same["labels"]),
        "{}: {name}",
        set.name
    );
    // Accounts of components, planner, EPP and profiling follow the served namespace here; there they stay with the
    // release.
    let moved = set.name.starts_with("restricted-target")
        && (["planner", "epp", "dgdr-profiling"].iter().any(|part| name.starts_with(part))
            || name.ends_with("-component"));
    if !moved {
        assert_eq!(object["metadata"]["namespace"], same["namespace"], "{}: {name}", set.name);
        assert_eq!(object["subjects"], same["subjects"], "{}: {name}", set.name);
        let mut role = object["roleRef"].clone();
        if let Some(name) = role.get_mut("name") {
            *name = reference_name(set, "ClusterRole", text(name)).into();
        }
        assert_eq!(role, same["roleRef"], "{}: {name}", set.name);
    }
    if kind == "Deployment" {
        compare_deployment(set, same, ours, jobs);
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
        let (release, namespace) = (text(&set.data["release"]), text(&set.data["namespace"]));
        let output = helm.template(&platform(), release, namespace, &set.data["values"]);
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
        let ours = set.render(&helm, &set.data["values"]);
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
