//! Reads and renders the recorded sets of the reference, and compares the operator's pod and its flags.
//! Must list every known difference with its reason, so that a new one is a failure.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::helm::{
    Helm, Objects, Output, api_versions, files_with, operator, platform, platform_with_fetched_charts,
    recorded, strings, text,
};
use crate::or_skip;
use crate::recorded_refusals::is_refused;
use crate::stand_in::{StandIn, recorded_cluster};

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

    /// The values for the operator.
    pub fn operator(&self) -> &Value {
        if self.data["chart"] == "dynamo-operator" {
            &self.data["values"]
        } else {
            &self.data["values"]["dynamo-operator"]
        }
    }

    /// Whether the reference made its certificate by hook jobs.
    pub fn has_jobs(&self) -> bool {
        self.objects("Job").any(|job| text(&job["name"]).contains("-webhook-"))
    }

    /// What the set's subcharts were that were on.
    pub fn dependencies(&self) -> Vec<String> {
        strings(&self.data["dependencies"])
    }

    /// What Helm says to `values` where this set was rendered: its API groups, and its cluster if it has one.
    pub fn template(&self, helm: &Helm, values: &Value) -> Output {
        let (release, namespace) = (text(&self.data["release"]), text(&self.data["namespace"]));
        let folder = tempfile::tempdir().expect("a folder");
        let fetched =
            self.dependencies().iter().any(|name| ["grove", "kai-scheduler"].contains(&name.as_str()));
        let chart = if self.data["chart"] == "dynamo-operator" {
            operator()
        } else if fetched {
            platform_with_fetched_charts(helm, folder.path())
        } else {
            platform()
        };
        let apis = strings(&self.data["apiVersions"]);
        let cluster = self.data.get("cluster").map(|_| recorded_cluster(&self.data));
        let mut more = api_versions(&apis.iter().map(String::as_str).collect::<Vec<_>>());
        more.extend(cluster.iter().flat_map(StandIn::arguments));
        helm.template_with(&chart, release, namespace, values, &more)
    }

    /// The operator's objects; bundled dependencies have tests of their own.
    pub fn render(&self, helm: &Helm, values: &Value) -> Objects {
        let mut objects = Objects::parse(&self.template(helm, values)).without_bundled();
        objects.0.retain(|object| object["kind"] != "Seen");
        objects.0.retain(|object| {
            let chart = object["metadata"]["labels"]["helm.sh/chart"].as_str();
            chart.is_none_or(|chart| chart.starts_with("dynamo-operator-"))
        });
        objects
    }
}

/// Every recorded set by its name: of all charts.
pub fn read(dir: &Path) -> Vec<(String, Value)> {
    let read = |path: &Path| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let data = std::fs::read(path).expect("a readable set");
        (name, serde_json::from_slice(&data).expect("JSON"))
    };
    files_with(dir, "json").iter().map(|path| read(path)).collect()
}

/// The sets of the platform and of the operator's chart.
pub fn sets(dir: &Path) -> Vec<Set> {
    read(dir).into_iter().map(|(name, data)| Set { name, data }).filter(ours).collect()
}

/// The chart of the definitions and that of the gateway are others.
fn ours(set: &Set) -> bool {
    ["dynamo-platform", "dynamo-operator"].contains(&text(&set.data["chart"]))
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
        let renders = |set: &Set| set.data.get("error").is_none() && !is_refused(&set.name);
        for set in sets(dir).into_iter().filter(renders) {
            let values = set.data["values"].clone();
            if set.has_jobs() {
                let mut values = values.clone();
                let alone = set.data["chart"] == "dynamo-operator";
                let operator = if alone { &mut values } else { &mut values["dynamo-operator"] };
                operator["webhook"]["certGenerator"]["enabled"] = json!(true);
                rendered.push(Rendered { set: set.clone(), ours: set.render(helm, &values), jobs: true });
            }
            rendered.push(Rendered { ours: set.render(helm, &values), set, jobs: false });
        }
        rendered
    })
}

/// The recorded flags as this version passes them.
fn expected_args(set: &Set, recorded: &[String]) -> Vec<String> {
    let own = |key: &str| !text(&set.operator()[key]).is_empty();
    let bundled = |name: &str| set.dependencies().iter().any(|dependency| dependency == name);
    let domain = set.operator()["kubernetesClusterDomain"].as_str();
    let mut expected: Vec<String> = Vec::new();
    for arg in recorded {
        let flag = arg.split('=').next().unwrap_or_default();
        match flag {
            "--operator-version" => expected.push(format!("{flag}={}", env!("CARGO_PKG_VERSION"))),
            // No address of a server that is not there (D-114).
            "--natsAddr" if !own("natsAddr") && !bundled("nats") => {}
            "--etcdAddr" if !own("etcdAddr") && !bundled("etcd") => {}
            // The domain of the cluster counts (D-115).
            "--natsAddr" | "--etcdAddr" => {
                expected
                    .push(arg.replace(".cluster.local", &format!(".{}", domain.unwrap_or("cluster.local"))));
            }
            _ => expected.push(arg.clone()),
        }
    }
    // The reference's chart alone passes two of them twice (D-127).
    let mut seen = std::collections::BTreeSet::new();
    expected.retain(|arg| seen.insert(arg.clone()));
    expected
}

/// Without the flags that v0.9 does not know.
fn contract_args(ours: &Objects) -> Vec<String> {
    let own = [
        "--webhook-",
        "--trusted-service-account=",
        "--metrics-secure-bind-address=",
        "--mpi-run-ssh-keygen=",
    ];
    ours.args().into_iter().filter(|arg| !own.iter().any(|prefix| arg.starts_with(prefix))).collect()
}

/// The name that the reference gives to an object of ours; none for objects that it does not have.
pub fn reference_name(set: &Set, kind: &str, name: &str) -> Option<String> {
    let restricted = set.operator()["namespaceRestriction"]["enabled"] == true;
    let own = ["-webhook-cert-writer", "-webhook-configurations", "-shared-secrets", "-metrics-reader"];
    if own.iter().any(|suffix| name.ends_with(suffix))
        || (kind, name) == ("PodMonitor", "dynamo-epp")
        // A Role cannot allow reviews of tokens, so in this scope the two have another kind and name.
        || (restricted && (name.ends_with("-proxy-role") || name.ends_with("-proxy-rolebinding")))
    {
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

pub fn unversioned(labels: &Value) -> Value {
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
    for key in ["name", "command", "env", "livenessProbe", "readinessProbe"] {
        assert_eq!(manager[key], recorded[key], "{name}: {key}");
    }
    // The reference's chart alone has no default for it (D-127).
    let policy = if set.data["chart"] == "dynamo-operator" {
        json!("IfNotPresent")
    } else {
        recorded["imagePullPolicy"].clone()
    };
    assert_eq!(manager["imagePullPolicy"], policy, "{name}");
    // The port of the proxy that is no more, then those of the manager.
    let ports = |container: &Value| container["ports"].as_array().cloned().unwrap_or_default();
    let of_both: Vec<Value> = theirs["containers"].as_array().into_iter().flatten().flat_map(ports).collect();
    assert_eq!(manager["ports"], Value::from(of_both), "{name}");
    let image = text(&recorded["image"]).replace(":1.0.0-dev", &format!(":{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(manager["image"], image, "{name}");
    assert_eq!(
        manager["envFrom"][0]["secretRef"]["name"], recorded["envFrom"][0]["secretRef"]["name"],
        "{name}"
    );
}

#[test]
fn every_recorded_value_set_renders_the_same_operator_pod_and_flags() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let rendered = rendered(&helm, &dir);
    assert!(rendered.len() > 140, "only {} renders", rendered.len());
    for Rendered { set, ours, jobs } in rendered {
        for theirs in set.objects("Deployment") {
            compare_deployment(set, theirs, ours, *jobs);
        }
    }
}
