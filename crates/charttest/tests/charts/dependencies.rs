//! The parts that the platform declares: where they come from, what reaches them, where the operator finds them
//! (charts.md sections 1, 3, 5, 24).
//! Must not change the checkout, and must not need a network.

use std::path::Path;

use serde_json::{Value, json};

use crate::helm::{
    Helm, NAMESPACE, Objects, RELEASE, copy, operator, platform, platform_with_fetched_charts, recorded,
    text, yaml,
};
use crate::or_skip;
use crate::recorded::{Set, sets};

#[test]
fn the_platform_declares_the_five_dependencies_of_the_contract_in_their_order() {
    let version = env!("CARGO_PKG_VERSION");
    let expected = json!([
        {"name": "dynamo-operator", "version": version, "repository": "file://components/operator", "condition": "dynamo-operator.enabled"},
        {"name": "nats", "version": "1.3.2", "repository": "https://nats-io.github.io/k8s/helm/charts/", "condition": "nats.enabled"},
        {"name": "etcd", "version": "12.0.18", "repository": "https://charts.bitnami.com/bitnami", "condition": "etcd.enabled"},
        {"name": "kai-scheduler", "version": "v0.9.4", "repository": "oci://ghcr.io/nvidia/kai-scheduler", "condition": "kai-scheduler.enabled"},
        {"name": "grove-charts", "alias": "grove", "version": "v0.1.0-alpha.6", "repository": "oci://ghcr.io/ai-dynamo/grove", "condition": "grove.enabled"},
    ]);
    assert_eq!(yaml(&platform().join("Chart.yaml"))["dependencies"], expected);
    for (chart, version) in [
        ("charts/nats", "1.3.2"),
        ("charts/etcd", "12.0.18"),
        ("placeholders/kai-scheduler", "v0.9.4"),
        ("placeholders/grove-charts", "v0.1.0-alpha.6"),
    ] {
        assert_eq!(yaml(&platform().join(chart).join("Chart.yaml"))["version"], version, "{chart}");
    }
}

#[test]
fn grove_and_kai_are_nothing_when_off_and_name_the_command_that_fetches_them_when_on() {
    let helm = or_skip!(Helm::find(), "helm");
    for (key, source, file) in [
        (
            "kai-scheduler",
            "oci://ghcr.io/nvidia/kai-scheduler/kai-scheduler --version v0.9.4",
            "kai-scheduler",
        ),
        ("grove", "oci://ghcr.io/ai-dynamo/grove/grove-charts --version v0.1.0-alpha.6", "grove-charts"),
    ] {
        let default = helm.template(&platform(), RELEASE, NAMESPACE, &json!({}));
        assert!(default.ok && !default.stdout.contains(&format!("charts/{file}/")), "{}", default.stderr);
        let on = helm.template(&platform(), RELEASE, NAMESPACE, &json!({key: {"enabled": true}}));
        let command = format!("helm pull {source} --destination deploy/helm/charts/platform/charts");
        assert!(
            !on.ok && on.stderr.contains(&command) && on.stderr.contains(&format!("{key}.enabled")),
            "{}",
            on.stderr
        );
    }
}

/// The archives are in the repository because Helm puts the real ones in their place, under the same names.
#[test]
fn each_placeholder_archive_is_made_from_its_source() {
    let helm = or_skip!(Helm::find(), "helm");
    for (name, version) in [("kai-scheduler", "v0.9.4"), ("grove-charts", "v0.1.0-alpha.6")] {
        let archive = platform().join(format!("charts/{name}-{version}.tgz"));
        let source = platform().join("placeholders").join(name);
        let show = |chart: &Path| helm.run(["show", "all", chart.to_str().expect("a plain path")]).stdout;
        assert_eq!(show(&archive), show(&source), "helm package placeholders/{name} --destination charts");
        let render = |chart: &Path| {
            let message = helm.template(chart, RELEASE, NAMESPACE, &json!({})).stderr;
            message.split("): ").nth(1).map(str::to_owned).expect("a message of the template")
        };
        assert_eq!(render(&archive), render(&source));
    }
}

#[test]
fn a_fetched_chart_takes_the_place_of_its_placeholder() {
    let helm = or_skip!(Helm::find(), "helm");
    let folder = tempfile::tempdir().expect("a folder");
    let chart = platform_with_fetched_charts(&helm, folder.path());
    let values = json!({"grove": {"enabled": true, "tolerations": [{"operator": "Exists"}]}, "kai-scheduler": {"enabled": true}});
    let objects = Objects::parse(&helm.template(&chart, RELEASE, NAMESPACE, &values));
    assert_eq!(objects.get("Seen", "grove")["values"]["tolerations"], json!([{"operator": "Exists"}]));
    objects.get("Seen", "kai-scheduler");
    let off = Objects::parse(&helm.template(&chart, RELEASE, NAMESPACE, &json!({})));
    assert!(off.0.iter().all(|object| object["kind"] != "Seen"));
}

/// `helm dependency update` also fetches charts of the names that are ours.
#[test]
fn an_archive_beside_a_folder_of_ours_changes_nothing() {
    let helm = or_skip!(Helm::find(), "helm");
    let folder = tempfile::tempdir().expect("a folder");
    let chart = folder.path().join("platform");
    copy(&platform(), &chart);
    let render = || {
        let output = helm.template(&chart, RELEASE, NAMESPACE, &json!({}));
        assert!(output.ok, "{}", output.stderr);
        output.stdout
    };
    let before = render();
    for (name, version) in
        [("nats", "1.3.2"), ("etcd", "12.0.18"), ("dynamo-operator", env!("CARGO_PKG_VERSION"))]
    {
        let other = folder.path().join(name);
        std::fs::create_dir_all(&other).expect("a chart");
        std::fs::write(
            other.join("Chart.yaml"),
            format!("apiVersion: v2\nname: {name}\nversion: {version}\n"),
        )
        .expect("a chart");
        let charts = chart.join("charts");
        let paths = [other.to_str(), charts.to_str()].map(|path| path.expect("a plain path"));
        let packed = helm.run(["package", paths[0], "--destination", paths[1]]);
        assert!(packed.ok, "{}", packed.stderr);
    }
    for _ in 0..5 {
        assert_eq!(render(), before);
    }
}

/// The repositories that are declared cannot be asked; what is in charts/ is all that an install needs.
#[test]
fn a_dependency_build_without_a_network_fails_and_leaves_a_chart_that_installs() {
    let helm = or_skip!(Helm::find(), "helm");
    let folder = tempfile::tempdir().expect("a folder");
    let chart = folder.path().join("platform");
    copy(&platform(), &chart);
    let before = helm.template(&chart, RELEASE, NAMESPACE, &json!({}));
    assert!(before.ok, "{}", before.stderr);
    assert!(!helm.run_in(folder.path(), ["dep", "build", "./platform/"]).ok);
    assert_eq!(helm.template(&chart, RELEASE, NAMESPACE, &json!({})).stdout, before.stdout);
    let list = helm.run_in(folder.path(), ["dep", "list", "./platform/"]).stdout;
    assert!(!list.contains("missing") && !list.contains("WARNING"), "{list}");
    assert_eq!(list.matches("unpacked").count() + list.matches("ok").count(), 5, "{list}");
}

#[test]
fn the_platform_repeats_defaults_of_nats_and_etcd_as_they_are_there() {
    fn same(repeated: &Value, own: &Value, path: &str) {
        match (repeated, own) {
            (Value::Object(repeated), Value::Object(own)) => {
                for (key, value) in repeated {
                    let path = format!("{path}.{key}");
                    same(
                        value,
                        own.get(key).unwrap_or_else(|| panic!("{path} is no value of the chart")),
                        &path,
                    );
                }
            }
            _ => assert_eq!(repeated, own, "{path}"),
        }
    }
    let mut values = yaml(&platform().join("values.yaml"));
    for chart in ["nats", "etcd"] {
        let enabled = values[chart].as_object_mut().and_then(|section| section.remove("enabled"));
        assert_eq!(enabled, Some(json!(true)));
        same(&values[chart], &yaml(&platform().join("charts").join(chart).join("values.yaml")), chart);
    }
    assert_eq!(values["grove"]["enabled"], false);
    assert_eq!(values["kai-scheduler"]["enabled"], false);
}

#[test]
fn the_schemas_of_nats_and_etcd_know_every_value() {
    fn known(values: &Value, schema: &Value, root: &Value, path: &str) {
        let reference = text(&schema["$ref"]).trim_start_matches('#');
        let schema =
            if reference.is_empty() { schema } else { root.pointer(reference).expect("the definition") };
        for (key, value) in values.as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            let own = &schema["properties"][key];
            let own = if own.is_null() { &schema["additionalProperties"] } else { own };
            // Below a map without named keys the API server judges.
            if schema["properties"].is_object() || schema["additionalProperties"].is_object() {
                assert!(own.is_object(), "{path} is not in the schema");
                known(value, own, root, &path);
            }
        }
    }
    for chart in ["nats", "etcd"] {
        let folder = platform().join("charts").join(chart);
        let schema = yaml(&folder.join("values.schema.json"));
        known(&yaml(&folder.join("values.yaml")), &schema, &schema, chart);
    }
}

/// Where a part is called otherwise or somewhere else, the operator is told so.
#[test]
fn the_operator_gets_the_addresses_of_what_is_installed_and_no_others() {
    let helm = or_skip!(Helm::find(), "helm");
    let long = "r".repeat(53);
    let on = json!({"enabled": true});
    for (release, values, nats, etcd) in [
        (
            "dynamo-platform",
            json!({}),
            "nats://dynamo-platform-nats.team.svc.cluster.local:4222",
            "dynamo-platform-etcd.team.svc.cluster.local:2379",
        ),
        (
            "my-nats",
            json!({}),
            "nats://my-nats.team.svc.cluster.local:4222",
            "my-nats-etcd.team.svc.cluster.local:2379",
        ),
        (
            "etcd",
            json!({}),
            "nats://etcd-nats.team.svc.cluster.local:4222",
            "etcd.team.svc.cluster.local:2379",
        ),
        (
            "nats-etcd",
            json!({}),
            "nats://nats-etcd-nats.team.svc.cluster.local:4222",
            "nats-etcd-etcd.team.svc.cluster.local:2379",
        ),
        (
            "a",
            json!({"nats": {"fullnameOverride": "bus"}, "etcd": {"nameOverride": "kv"}}),
            "nats://bus.team.svc.cluster.local:4222",
            "a-kv.team.svc.cluster.local:2379",
        ),
        (
            "a",
            json!({"nats": {"service": {"name": "bus"}, "namespaceOverride": "infra"}}),
            "nats://bus.infra.svc.cluster.local:4222",
            "a-etcd.team.svc.cluster.local:2379",
        ),
        (
            "a",
            json!({"dynamo-operator": {"kubernetesClusterDomain": "corp.example"}}),
            "nats://a-nats.team.svc.corp.example:4222",
            "a-etcd.team.svc.corp.example:2379",
        ),
        (
            "a",
            json!({"nats": {"config": {"nats": {"port": 4333, "tls": on}}}, "etcd": {"auth": {"client": {"secureTransport": true}}}}),
            "tls://a-nats.team.svc.cluster.local:4333",
            "https://a-etcd.team.svc.cluster.local:2379",
        ),
        (
            "a",
            json!({"etcd": {"service": {"ports": {"client": 2400}}}}),
            "nats://a-nats.team.svc.cluster.local:4222",
            "a-etcd.team.svc.cluster.local:2400",
        ),
        ("a", json!({"etcd": {"enabled": false}}), "nats://a-nats.team.svc.cluster.local:4222", ""),
        ("a", json!({"nats": {"enabled": false}}), "", "a-etcd.team.svc.cluster.local:2379"),
        (
            "a",
            json!({"dynamo-operator": {"nats": {"enabled": false}}}),
            "",
            "a-etcd.team.svc.cluster.local:2379",
        ),
        (
            "a",
            json!({"dynamo-operator": {"nats": {"enabled": false}, "natsAddr": "nats://n:1", "etcdAddr": "e:2"}}),
            "nats://n:1",
            "e:2",
        ),
        (
            long.as_str(),
            json!({}),
            &format!("nats://{long}-nats.team.svc.cluster.local:4222"),
            &format!("{long}-etcd.team.svc.cluster.local:2379"),
        ),
    ] {
        let objects = helm.objects(release, "team", &values);
        let passed = ["natsAddr", "etcdAddr"].map(|flag| objects.flag(flag).unwrap_or_default());
        assert_eq!(passed, [nats, etcd], "{release} with {values}");
        for address in passed.iter().filter(|address| address.contains(".svc.")) {
            let host = address.rsplit("//").next().and_then(|host| host.split('.').next()).expect("a host");
            objects.get("Service", host);
        }
    }
    let alone = Objects::parse(&helm.template(&operator(), RELEASE, NAMESPACE, &json!({})));
    assert_eq!(
        (alone.flag("natsAddr"), alone.flag("etcdAddr")),
        (None, None),
        "nothing is bundled with the operator's chart"
    );
}

#[test]
fn names_stay_within_what_kubernetes_takes_and_never_meet() {
    let helm = or_skip!(Helm::find(), "helm");
    let all = json!({
        "nats": {"natsBox": {"enabled": true}},
        "etcd": {"pdb": {"create": true}, "auth": {"rbac": {"create": true}}, "preUpgradeJob": {"enabled": true}},
    });
    for release in ["nats-etcd", "etcd", "nats", "r".repeat(53).as_str()] {
        let objects = helm.objects(release, "team", &all);
        let mut names = objects.list();
        for object in &objects.0 {
            let limit = match text(&object["kind"]) {
                "StatefulSet" => 52,
                "Service" | "Job" => 63,
                _ => 253,
            };
            let name = text(&object["metadata"]["name"]);
            assert!(name.len() <= limit, "{} {name} has {} characters", object["kind"], name.len());
        }
        names.dedup();
        assert_eq!(names.len(), objects.0.len(), "two objects of one name in {:?}", objects.list());
    }
}

#[test]
fn two_parts_of_one_name_are_refused_with_the_values_that_part_them() {
    let helm = or_skip!(Helm::find(), "helm");
    let called = |parts: &[&str]| {
        parts.iter().fold(json!({}), |mut values, part| {
            values[part]["fullnameOverride"] = json!("x");
            values
        })
    };
    let (operator, nats, etcd) = ("dynamo-operator", "nats", "etcd");
    for (release, values, parts, name) in [
        ("dynamo-operator-nats", json!({}), [operator, nats], "dynamo-operator-nats"),
        ("dynamo-operator-etcd", json!({}), [operator, etcd], "dynamo-operator-etcd"),
        ("r", called(&[operator, nats]), [operator, nats], "x"),
        ("r", called(&[operator, etcd]), [operator, etcd], "x"),
        ("r", called(&[nats, etcd]), [nats, etcd], "x"),
    ] {
        let output = helm.template(&platform(), release, NAMESPACE, &values);
        let [first, second] = parts.map(|part| format!("{part}.fullnameOverride"));
        for words in [first.as_str(), &second, &format!("Service \"{name}\""), "Names must differ"] {
            assert!(!output.ok && output.stderr.contains(words), "{release}: {words:?}: {}", output.stderr);
        }
        let mut apart = values;
        apart[parts[1]]["fullnameOverride"] = json!("y");
        helm.objects(release, NAMESPACE, &apart);
        let mut off = apart;
        off[parts[1]] = json!({"enabled": false});
        helm.objects(release, NAMESPACE, &off);
    }
    let mut elsewhere = called(&[nats, etcd]);
    elsewhere["nats"]["namespaceOverride"] = json!("infra");
    helm.objects("r", NAMESPACE, &elsewhere);
}

/// Every value that the reference handed to a subchart reaches ours; null is the same as nothing.
fn reached(recorded: &Value, ours: &Value, path: &str) {
    match recorded {
        Value::Object(keys) => {
            for (key, value) in keys {
                reached(value, &ours[key], &format!("{path}.{key}"));
            }
        }
        _ => assert_eq!(recorded, ours, "{path}"),
    }
}

#[test]
fn recorded_values_reach_the_subcharts() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let folder = tempfile::tempdir().expect("a folder");
    let chart = platform_with_fetched_charts(&helm, folder.path());
    for name in ["nats", "etcd"] {
        let templates = chart.join("charts").join(name).join("templates");
        for entry in std::fs::read_dir(&templates).expect("templates") {
            let path = entry.expect("a template").path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                std::fs::remove_file(path).expect("the template is removed");
            }
        }
        let seen = "kind: Seen\nmetadata: {name: {{ .Chart.Name }}}\nvalues: {{ toJson .Values }}\n";
        std::fs::write(templates.join("seen.yaml"), seen).expect("a template");
    }
    let with_values = |set: &Set| set.data.get("dependencyValues").is_some_and(Value::is_object);
    let mut compared = 0;
    for set in sets(&dir).into_iter().filter(with_values) {
        let (release, namespace) = (text(&set.data["release"]), text(&set.data["namespace"]));
        let objects = Objects::parse(&helm.template(&chart, release, namespace, &set.data["values"]));
        for (name, values) in set.data["dependencyValues"].as_object().expect("a map") {
            compared += 1;
            reached(values, &objects.get("Seen", name)["values"], &format!("{}: {name}", set.name));
        }
        let seen = objects.0.iter().filter(|object| object["kind"] == "Seen").count();
        assert_eq!(seen, set.dependencies().len(), "{}: the same parts are on", set.name);
    }
    assert!(compared >= 12, "only {compared} compared");
}

#[test]
fn recorded_sets_install_the_same_parts() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let names = [
        "defaults",
        "etcd-off",
        "everything-off",
        "nats-etcd-external",
        "nats-off",
        "nats-off-top",
        "release-contains-nats-etcd",
    ];
    for name in names {
        let set = sets(&dir).into_iter().find(|set| set.name == name).expect("the recorded set");
        let (release, namespace) = (text(&set.data["release"]), text(&set.data["namespace"]));
        let objects = helm.objects(release, namespace, &set.data["values"]);
        for part in ["nats", "etcd"] {
            let there = objects.find("StatefulSet", &format!("{release}-{part}")).is_some();
            assert_eq!(there, set.dependencies().iter().any(|name| name == part), "{name}: {part}");
        }
    }
}
