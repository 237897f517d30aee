//! The value files of the scenarios and the clouds: what they say (charts.md section 20) and what comes of them.
//! Must not judge single values of the chart: the other modules do.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::helm::{Helm, NAMESPACE, Objects, Output, RELEASE, platform, text, workspace, yaml};
use crate::notes::notes;
use crate::or_skip;

/// The columns of the table.
const SCENARIOS: [&str; 4] = ["development", "test", "multinode", "production"];
const RESTRICTED: &str = "namespace-restricted";
/// What may follow a scenario, as it is typed.
const OVERLAYS: [&[&str]; 5] = [&["eks"], &["aks"], &["gke"], &["aks-spot"], &["aks", "aks-spot"]];

/// What a file says about a key.
enum Cell {
    /// Exactly this.
    Is(Value),
    /// Nothing: the default of the chart holds.
    Unset,
    /// A number that is not lower.
    AtLeast(u64),
    /// Something that only the user knows, with a default to start from.
    Given,
}

use Cell::{AtLeast, Given, Is, Unset};

fn on() -> Cell {
    Is(json!(true))
}

fn off() -> Cell {
    Is(json!(false))
}

fn is(value: impl Into<Value>) -> Cell {
    Is(value.into())
}

/// The table of the contract, without the operator.
fn platform_table() -> Vec<(&'static str, [Cell; 4])> {
    vec![
        ("grove.enabled", [off(), off(), on(), off()]),
        ("grove.tolerations", [Unset, Unset, Unset, Is(json!([]))]),
        ("grove.affinity", [Unset, Unset, Unset, Is(json!({}))]),
        ("kai-scheduler.enabled", [off(), off(), on(), off()]),
        ("kai-scheduler.global.tolerations", [Unset, Unset, Unset, Is(json!([]))]),
        ("kai-scheduler.global.affinity", [Unset, Unset, Unset, Is(json!({}))]),
        ("etcd.enabled", [Unset, Unset, Unset, Unset]),
        ("etcd.replicaCount", [is(1), AtLeast(1), is(1), AtLeast(3)]),
        ("etcd.pdb.create", [off(), on(), off(), on()]),
        ("etcd.auth.rbac.create", [off(), off(), off(), on()]),
        ("etcd.auth.rbac.allowNoneAuthentication", [Unset, Unset, Unset, off()]),
        ("etcd.auth.rbac.existingSecret", [Unset, Unset, Unset, Given]),
        ("etcd.auth.rbac.existingSecretPasswordKey", [Unset, Unset, Unset, Given]),
        ("etcd.persistence.enabled", [on(), on(), on(), on()]),
        ("etcd.persistence.size", [is("1Gi"), Unset, Unset, is("10Gi")]),
        ("etcd.persistence.storageClass", [Unset, Unset, Unset, Given]),
        ("etcd.readinessProbe.enabled", [off(), off(), on(), on()]),
        ("etcd.livenessProbe.enabled", [off(), off(), on(), on()]),
        ("nats.enabled", [Unset, Unset, Unset, Unset]),
        ("nats.config.cluster.enabled", [Unset, Unset, Unset, on()]),
        ("nats.config.cluster.replicas", [Unset, Unset, Unset, is(3)]),
        ("nats.config.jetstream.memoryStore.enabled", [on(), off(), off(), off()]),
        ("nats.config.jetstream.fileStore.enabled", [off(), on(), on(), on()]),
        ("nats.config.jetstream.fileStore.pvc.size", [Unset, is("2Gi"), is("10Gi"), is("100Gi")]),
        ("nats.config.jetstream.fileStore.pvc.storageClassName", [Unset, Unset, Unset, Given]),
        ("nats.config.monitor.enabled", [on(), on(), on(), on()]),
        ("nats.config.nats.tls.enabled", [off(), off(), off(), on()]),
        ("nats.config.nats.tls.secretName", [Unset, Unset, Unset, Given]),
        // Above the default, 15 MiB.
        ("nats.config.merge.max_payload", [Unset, Unset, AtLeast(15_728_641), AtLeast(15_728_641)]),
        ("nats.podDisruptionBudget.enabled", [off(), on(), on(), on()]),
        ("alerts.enabled", [Unset, Unset, Unset, on()]),
    ]
}

/// The same for the operator, below `dynamo-operator`.
fn operator_table() -> Vec<(&'static str, [Cell; 4])> {
    let version = || is(env!("CARGO_PKG_VERSION"));
    vec![
        ("natsAddr", [Unset, Unset, Unset, Unset]),
        ("etcdAddr", [Unset, Unset, Unset, Unset]),
        ("nats.enabled", [Unset, Unset, Unset, Unset]),
        ("namespaceRestriction.enabled", [Unset, Unset, off(), off()]),
        ("controllerManager.replicas", [Unset, Unset, Unset, AtLeast(2)]),
        ("controllerManager.leaderElection.id", [Unset, Unset, Unset, is("")]),
        ("controllerManager.podDisruptionBudget.enabled", [Unset, Unset, Unset, on()]),
        // Without a list of its own the metrics stay on 127.0.0.1:8080, with 8443 in front.
        ("controllerManager.manager.args", [Unset, Unset, Unset, Unset]),
        ("controllerManager.manager.image.repository", [Unset, Unset, Unset, Unset]),
        ("controllerManager.manager.image.tag", [is(""), version(), version(), version()]),
        ("controllerManager.manager.resources.limits.cpu", [Unset, Unset, is("2"), is("2")]),
        ("controllerManager.manager.resources.limits.memory", [Unset, Unset, is("1Gi"), is("1Gi")]),
        ("controllerManager.manager.resources.requests.cpu", [Unset, Unset, is("250m"), is("250m")]),
        ("controllerManager.manager.resources.requests.memory", [Unset, Unset, is("256Mi"), is("256Mi")]),
        ("metricsService.enabled", [Unset, Unset, Unset, on()]),
        ("webhook.enabled", [Unset, Unset, Unset, Unset]),
        ("webhook.failurePolicy", [is("Fail"), is("Fail"), is("Fail"), is("Fail")]),
        ("webhook.certManager.enabled", [off(), Unset, Unset, on()]),
        ("webhook.certificateSecret.external", [Unset, Unset, Unset, Unset]),
        ("webhook.certGenerator.enabled", [Unset, Unset, Unset, Unset]),
        ("dynamo.ingressHostSuffix", [Unset, Unset, Unset, Given]),
        ("dynamo.ingress.enabled", [off(), off(), Unset, on()]),
        ("dynamo.ingress.className", [Unset, Unset, Unset, Given]),
        ("dynamo.ingress.tlsSecretName", [Unset, Unset, Unset, Given]),
        ("dynamo.ingress.annotations", [Unset, Unset, Unset, Given]),
        ("dynamo.istio.enabled", [off(), off(), Unset, Unset]),
        ("dynamo.dockerRegistry.useKubernetesSecret", [off(), off(), Unset, on()]),
        ("dynamo.dockerRegistry.server", [Unset, Unset, Unset, Given]),
        ("dynamo.dockerRegistry.existingSecretName", [Unset, Unset, Unset, Given]),
        ("dynamo.dockerRegistry.password", [Unset, Unset, Unset, Unset]),
        ("dynamo.enableRestrictedSecurityContext", [off(), off(), Unset, on()]),
        ("dynamo.natsTLS.caSecretName", [Unset, Unset, Unset, Given]),
        ("dynamo.etcdAuth.secretName", [Unset, Unset, Unset, Given]),
    ]
}

/// Every row with the whole path of its key.
fn table() -> Vec<(String, [Cell; 4])> {
    let operator = operator_table().into_iter().map(|(key, cells)| (format!("dynamo-operator.{key}"), cells));
    platform_table().into_iter().map(|(key, cells)| (key.to_owned(), cells)).chain(operator).collect()
}

/// Keys of production.yaml that the table has no row for, and what they are there for.
const BEYOND: [(&str, &str); 5] = [
    ("etcd.affinity", "three members on one node are lost together"),
    ("nats.podTemplate.topologySpreadConstraints", "as are three servers"),
    ("dynamo-operator.controllerManager.topologySpreadConstraints", "as are two operators"),
    ("dynamo-operator.imagePullSecrets", "the operator's image is not public"),
    ("dynamo-operator.networkPolicy.enabled", "a shared cluster"),
];

fn file(name: &str) -> PathBuf {
    workspace().join("deploy/helm/values").join(format!("{name}.yaml"))
}

fn at<'a>(values: &'a Value, key: &str) -> &'a Value {
    key.split('.').fold(values, |value, part| &value[part])
}

/// Paths of everything that is no map with entries.
fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(&path, value, found);
            }
        }
        None => found.push(path.to_owned()),
    }
}

/// With what is in the checkout: the charts of Grove and KAI are fetched by who wants them.
const WITHOUT_FETCHED: [&str; 4] = ["--set", "grove.enabled=false", "--set", "kai-scheduler.enabled=false"];

fn render(helm: &Helm, files: &[&str], more: &[&str]) -> Output {
    let paths: Vec<PathBuf> = files.iter().map(|name| file(name)).collect();
    render_paths(helm, &paths, more)
}

fn render_paths(helm: &Helm, files: &[PathBuf], more: &[&str]) -> Output {
    let chart = platform();
    let mut args = vec!["template", RELEASE, chart.to_str().expect("a plain path"), "--namespace", NAMESPACE];
    for path in files {
        args.extend(["--values", path.to_str().expect("a plain path")]);
    }
    args.extend(more);
    helm.run(args)
}

fn objects(helm: &Helm, files: &[&str]) -> Objects {
    let output = render(helm, files, &WITHOUT_FETCHED);
    assert!(output.ok, "{files:?}: {}", output.stderr);
    Objects::parse(&output)
}

/// Each scenario alone and under each overlay.
fn combinations() -> Vec<Vec<&'static str>> {
    let mut all = Vec::new();
    for scenario in SCENARIOS.into_iter().chain([RESTRICTED]) {
        all.push(vec![scenario]);
        all.extend(OVERLAYS.iter().map(|overlay| [&[scenario], *overlay].concat()));
    }
    all.extend([vec!["development", RESTRICTED], vec!["test", RESTRICTED]]);
    all
}

/// What each combination renders, by its name; where the cluster has every API that the charts look for, too.
pub fn renders(helm: &Helm) -> Vec<(String, Output)> {
    let apis = ["--api-versions", "monitoring.coreos.com/v1", "--api-versions", "scheduling.run.ai/v2"];
    let all_apis = [&WITHOUT_FETCHED[..], &apis].concat();
    let named = |files: &Vec<&str>, how: &str| format!("{}{how}", files.join("-"));
    let both = |files: Vec<&'static str>| {
        [
            (named(&files, ""), render(helm, &files, &WITHOUT_FETCHED)),
            (named(&files, "-apis"), render(helm, &files, &all_apis)),
        ]
    };
    combinations().into_iter().flat_map(both).collect()
}

#[test]
fn every_scenario_says_what_the_table_of_the_contract_says() {
    for (column, scenario) in SCENARIOS.into_iter().enumerate() {
        let values = yaml(&file(scenario));
        for (key, cells) in table() {
            let value = at(&values, &key);
            let holds = match &cells[column] {
                Is(expected) => value == expected,
                Unset => value.is_null(),
                AtLeast(number) => value.as_u64().is_some_and(|value| value >= *number),
                Given => !value.is_null() && value != "",
            };
            assert!(holds, "{scenario}.yaml: {key} is {value}");
        }
    }
}

#[test]
fn no_scenario_says_more_than_the_table_but_for_what_has_a_reason() {
    let table = table();
    let known = |leaf: &str, key: &str| leaf == key || leaf.starts_with(&format!("{key}."));
    let mut used = Vec::new();
    for scenario in SCENARIOS {
        let mut found = Vec::new();
        leaves("", &yaml(&file(scenario)), &mut found);
        for leaf in found {
            if table.iter().any(|(key, _)| known(&leaf, key)) {
                continue;
            }
            let beyond = BEYOND.iter().position(|(key, _)| known(&leaf, key));
            let beyond = beyond.unwrap_or_else(|| panic!("{scenario}.yaml: {leaf} is in no table"));
            assert_eq!(scenario, "production", "{leaf}");
            used.push(beyond);
        }
    }
    for (at, (key, why)) in BEYOND.iter().enumerate() {
        assert!(used.contains(&at), "{key} ({why}) is not in production.yaml");
    }
}

#[test]
fn three_servers_of_a_quorum_are_asked_for_on_three_nodes() {
    let values = yaml(&file("production"));
    let rules = "requiredDuringSchedulingIgnoredDuringExecution";
    let apart = &values["etcd"]["affinity"]["podAntiAffinity"][rules][0];
    assert_eq!(apart["topologyKey"], "kubernetes.io/hostname");
    let spread = &values["nats"]["podTemplate"]["topologySpreadConstraints"]["kubernetes.io/hostname"];
    assert_eq!(*spread, json!({"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}));
}

#[test]
fn the_restricted_scenario_serves_one_namespace_and_installs_nothing_for_the_cluster() {
    let values = yaml(&file(RESTRICTED));
    for (key, value) in [
        ("grove.enabled", json!(false)),
        ("kai-scheduler.enabled", json!(false)),
        ("dynamo-operator.namespaceRestriction.enabled", json!(true)),
        ("dynamo-operator.namespaceRestriction.targetNamespace", json!("")),
        ("dynamo-operator.namespaceRestriction.lease.duration", json!("30s")),
        ("dynamo-operator.namespaceRestriction.lease.renewInterval", json!("10s")),
        ("dynamo-operator.controllerManager.leaderElection.id", json!("")),
        ("dynamo-operator.webhook.failurePolicy", json!("Fail")),
    ] {
        assert_eq!(*at(&values, key), value, "{key}");
    }
    let helm = or_skip!(Helm::find(), "helm");
    let objects = objects(&helm, &[RESTRICTED]);
    assert_eq!(objects.flag("restrictedNamespace").as_deref(), Some(NAMESPACE));
}

/// Or a person reads a number and not what it is for. A comment on a map is one on all that is below.
#[test]
fn every_value_of_a_file_has_a_comment() {
    let overlays = ["eks", "aks", "gke", "aks-spot"];
    for name in SCENARIOS.into_iter().chain([RESTRICTED]).chain(overlays) {
        let text = std::fs::read_to_string(file(name)).expect("a value file");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("# ") && text.contains("docs/guide/"),
            "{name}.yaml says what it is for"
        );
        let indent = |line: &str| line.len() - line.trim_start().len();
        let commented = |at: usize| at > 0 && lines[at - 1].trim_start().starts_with('#');
        for (at, line) in lines.iter().enumerate() {
            if line.trim().is_empty() || line.trim_end().ends_with(':') || line.trim_start().starts_with('#')
            {
                continue;
            }
            let mut said = commented(at);
            let mut depth = indent(line);
            for above in (0..at).rev() {
                let other = lines[above];
                if other.trim().is_empty() || other.trim_start().starts_with('#') || indent(other) >= depth {
                    continue;
                }
                depth = indent(other);
                said |= commented(above);
            }
            assert!(said, "{name}.yaml: {line:?} has no comment");
        }
    }
}

#[test]
fn every_scenario_renders_under_every_cloud_twice_to_the_same_bytes() {
    let helm = or_skip!(Helm::find(), "helm");
    for files in combinations() {
        let render = || render(&helm, &files, &WITHOUT_FETCHED);
        let (one, other) = (render(), render());
        assert!(one.ok, "{files:?}: {}", one.stderr);
        assert!(!one.stderr.to_lowercase().contains("warning"), "{files:?}: {}", one.stderr);
        assert_eq!(one.stdout, other.stdout, "{files:?}");
    }
}

/// Not a cluster without gangs: the command that fetches them.
#[test]
fn graphs_over_several_nodes_need_charts_that_are_fetched_first() {
    let helm = or_skip!(Helm::find(), "helm");
    let output = render(&helm, &["multinode"], &[]);
    assert!(!output.ok, "nothing would be installed for grove.enabled");
    assert!(output.stderr.contains("helm pull oci://ghcr.io/"), "{}", output.stderr);
}

/// A misspelt or moved key would show here.
#[test]
fn no_value_of_a_scenario_is_without_effect() {
    let helm = or_skip!(Helm::find(), "helm");
    for scenario in SCENARIOS.into_iter().chain([RESTRICTED]) {
        let mut values = yaml(&file(scenario));
        for fetched in ["grove", "kai-scheduler"] {
            values[fetched]["enabled"] = json!(false);
        }
        let notes = notes(&helm, &values);
        assert!(!notes.contains("Warnings:"), "{scenario}.yaml: {notes}");
    }
}

#[test]
fn production_has_a_second_one_of_every_part() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = objects(&helm, &["production"]);
    assert_eq!(objects.deployment()["spec"]["replicas"], 2);
    for name in ["etcd", "nats"] {
        let server = objects.get("StatefulSet", &format!("{RELEASE}-{name}"));
        assert_eq!(server["spec"]["replicas"], 3, "{name}");
        objects.get("PodDisruptionBudget", &format!("{RELEASE}-{name}"));
        let claims = server["spec"]["volumeClaimTemplates"].as_array().map_or(0, Vec::len);
        assert_eq!(claims, 1, "{name} keeps its data");
    }
    let scheme = objects.flag("natsAddr");
    assert!(scheme.as_deref().is_some_and(|address| address.starts_with("tls://")), "{scheme:?}");
    objects.get("Certificate", &format!("{RELEASE}-dynamo-operator-serving-cert"));
}

#[test]
fn development_waits_for_no_volume_of_nats() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = objects(&helm, &["development"]);
    let nats = &objects.get("StatefulSet", &format!("{RELEASE}-nats"))["spec"];
    assert_eq!(nats["replicas"].as_u64().unwrap_or(1), 1);
    assert_eq!(nats["volumeClaimTemplates"].as_array().map_or(0, Vec::len), 0);
    assert!(objects.find("PodDisruptionBudget", &format!("{RELEASE}-nats")).is_none());
}

#[test]
fn each_cloud_names_a_class_of_disks_for_etcd_and_nats() {
    let helm = or_skip!(Helm::find(), "helm");
    for (cloud, class) in [("eks", "gp3"), ("aks", "managed-csi-premium"), ("gke", "premium-rwo")] {
        let mut found = Vec::new();
        leaves("", &yaml(&file(cloud)), &mut found);
        assert_eq!(
            found,
            ["etcd.persistence.storageClass", "nats.config.jetstream.fileStore.pvc.storageClassName"]
        );
        let objects = objects(&helm, &["production", cloud]);
        for name in ["etcd", "nats"] {
            let server = objects.get("StatefulSet", &format!("{RELEASE}-{name}"));
            let claim = &server["spec"]["volumeClaimTemplates"][0]["spec"];
            assert_eq!(claim["storageClassName"], class, "{name} on {cloud}");
        }
    }
}

fn spot() -> Value {
    json!([{
        "key": "kubernetes.azure.com/scalesetpriority", "operator": "Equal", "value": "spot", "effect": "NoSchedule",
    }])
}

#[test]
fn the_spot_file_has_the_toleration_at_the_places_of_the_contract_and_no_more() {
    let values = yaml(&file("aks-spot"));
    let mut found = Vec::new();
    leaves("", &values, &mut found);
    let mut places = [
        "dynamo-operator.controllerManager.tolerations",
        "dynamo-operator.dynamo.mpiRun.sshKeygen.tolerations",
        "dynamo-operator.webhook.certGenerator.tolerations",
        "etcd.tolerations",
        "nats.natsBox.podTemplate.merge.spec.tolerations",
        "nats.podTemplate.merge.spec.tolerations",
    ];
    found.sort();
    places.sort_unstable();
    assert_eq!(found, places);
    for place in places {
        assert_eq!(*at(&values, place), spot(), "{place}");
    }
    // The path that users know.
    let known = workspace().join("examples/deployments/AKS/values-aks-spot.yaml");
    assert_eq!(yaml(&known), values);
}

#[test]
fn every_pod_of_the_platform_tolerates_spot_nodes() {
    let helm = or_skip!(Helm::find(), "helm");
    let every = json!({
        "nats": {"natsBox": {"enabled": true}},
        "dynamo-operator": {"webhook": {"certManager": {"enabled": false}, "certGenerator": {"enabled": true}}},
    });
    let extra = tempfile::NamedTempFile::new().expect("a value file");
    std::fs::write(extra.path(), every.to_string()).expect("the value file is written");
    for scenario in SCENARIOS {
        let paths = [file(scenario), file("aks"), file("aks-spot"), extra.path().to_owned()];
        let objects = Objects::parse(&render_paths(&helm, &paths, &WITHOUT_FETCHED));
        let mut seen = Vec::new();
        for object in &objects.0 {
            let pod = &object["spec"]["template"]["spec"];
            if pod["containers"].is_array() {
                let name = text(&object["metadata"]["name"]);
                assert_eq!(pod["tolerations"], spot(), "{scenario}: {} {name}", object["kind"]);
                seen.push(name.strip_prefix(&format!("{RELEASE}-")).unwrap_or(name).to_owned());
            }
        }
        seen.sort();
        for name in [
            "dynamo-operator-controller-manager",
            "dynamo-operator-webhook-ca-inject-1",
            "dynamo-operator-webhook-cert-gen-1",
            "etcd",
            "nats",
            "nats-box",
        ] {
            assert!(seen.iter().any(|seen| seen == name), "{scenario}: no pod of {name} in {seen:?}");
        }
    }
}

/// The files of values are those that these tests know.
#[test]
fn no_value_file_is_without_a_test() {
    let known = SCENARIOS.into_iter().chain([RESTRICTED, "eks", "aks", "gke", "aks-spot"]);
    let mut known: Vec<String> = known.map(|name| format!("{name}.yaml")).collect();
    known.sort();
    let entries = std::fs::read_dir(workspace().join("deploy/helm/values")).expect("the value files");
    let mut found: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    found.sort();
    assert_eq!(found, known);
    let guide = std::fs::read_to_string(workspace().join("docs/guide/scenarios.md")).expect("the guide");
    for name in known {
        assert!(guide.contains(&name), "docs/guide/scenarios.md does not name {name}");
    }
}
