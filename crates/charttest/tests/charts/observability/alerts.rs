//! Alerts: their form, their runbooks, their tests, and the object that the chart makes of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Promtool, alerts, groups, observability, rule_files, stem};
use crate::helm::{Helm, NAMESPACE, Objects, RELEASE, files_with, platform, text, workspace, yaml};
use crate::or_skip;

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn names() -> BTreeSet<String> {
    alerts().iter().map(|rule| text(&rule["alert"]).to_owned()).collect()
}

#[test]
fn every_alert_has_a_name_of_its_own_a_severity_a_delay_and_says_what_is_wrong_where() {
    assert_eq!(names().len(), alerts().len(), "a name is there twice");
    for rule in alerts() {
        let name = text(&rule["alert"]);
        assert!(name.starts_with("Dynamo"), "{name}");
        assert!(["critical", "warning"].contains(&text(&rule["labels"]["severity"])), "{name}: severity");
        assert!(!text(&rule["for"]).is_empty(), "{name}: for");
        assert!(!text(&rule["annotations"]["summary"]).is_empty(), "{name}: summary");
        assert!(
            text(&rule["annotations"]["description"]).contains("$labels."),
            "{name}: no object in its text"
        );
    }
}

#[test]
fn every_alert_has_a_runbook_page_and_every_page_an_alert() {
    let folder = workspace().join("docs/runbooks/alerts");
    let index = std::fs::read_to_string(folder.join("README.md")).expect("the index");
    let pages: BTreeSet<String> =
        files_with(&folder, "md").iter().map(|path| stem(path)).filter(|page| page != "README").collect();
    assert_eq!(pages, names());
    for rule in alerts() {
        let (name, severity) = (text(&rule["alert"]), text(&rule["labels"]["severity"]));
        assert_eq!(rule["annotations"]["runbook_url"], format!("docs/runbooks/alerts/{name}.md"));
        let page = std::fs::read_to_string(folder.join(format!("{name}.md"))).expect("the page");
        assert!(
            page.starts_with(&format!("# {name}\n\nSeverity: {severity}.\n")),
            "{name}: head of its page"
        );
        for part in ["What it means", "Impact", "Check", "Causes and fixes"] {
            assert!(page.contains(&format!("\n## {part}\n")), "{name}: its page has no {part:?}");
        }
        assert!(
            index.contains(&format!("| [{name}]({name}.md) | {severity} |")),
            "{name} is not in the index"
        );
    }
}

#[test]
fn links_between_runbooks_lead_somewhere() {
    let folder = workspace().join("docs/runbooks/alerts");
    for path in files_with(&folder, "md") {
        let page = std::fs::read_to_string(&path).expect("the page");
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = folder.join(file);
            assert!(target.exists(), "{}: {link}", path.display());
            let content = if section.is_empty() {
                String::new()
            } else {
                std::fs::read_to_string(&target).expect("the page")
            };
            let anchor = |line: &str| {
                let kept = |c: &char| c.is_ascii_alphanumeric() || [' ', '-'].contains(c);
                line.trim_start_matches('#')
                    .trim()
                    .to_lowercase()
                    .chars()
                    .filter(kept)
                    .collect::<String>()
                    .replace(' ', "-")
            };
            let found = section.is_empty()
                || content.lines().any(|line| line.starts_with('#') && anchor(line) == section);
            assert!(found, "{}: no section {link}", path.display());
        }
    }
}

#[test]
fn every_alert_is_tested_to_fire_and_to_stay_silent() {
    let mut untested = BTreeSet::new();
    let tests = observability().join("alerts/tests");
    let expectations: Vec<Value> = files_with(&tests, "yaml")
        .iter()
        .flat_map(|path| list(&yaml(path)["tests"]))
        .flat_map(|test| list(&test["promql_expr_test"]))
        .collect();
    for name in names() {
        let of_this = |it: &&Value| text(&it["expr"]).contains(&format!("alertname=\"{name}\""));
        let of_this: Vec<&Value> = expectations.iter().filter(of_this).collect();
        let (silent, fires): (Vec<&Value>, Vec<&Value>) =
            of_this.into_iter().partition(|it| list(&it["exp_samples"]).is_empty());
        if silent.is_empty() || fires.is_empty() {
            untested.insert(name);
        }
    }
    assert!(untested.is_empty(), "no test that fires, or none that is silent: {untested:?}");
    let tested: Vec<String> = files_with(&tests, "yaml").iter().map(|path| stem(path)).collect();
    assert_eq!(tested, rule_files().iter().map(|path| stem(path)).collect::<Vec<_>>());
}

#[test]
fn rules_are_promql_and_their_tests_pass() {
    let promtool = or_skip!(Promtool::find(), "promtool");
    let arguments = |command: [&str; 2], files: Vec<std::path::PathBuf>| {
        let files = files.into_iter().map(std::path::PathBuf::into_os_string);
        command.map(std::ffi::OsString::from).into_iter().chain(files).collect::<Vec<_>>()
    };
    promtool.passes(arguments(["check", "rules"], rule_files()));
    promtool.passes(arguments(["test", "rules"], files_with(&observability().join("alerts/tests"), "yaml")));
}

/// A test that cannot fail is none: with its expression made empty, each alert's tests must fail.
#[test]
fn tests_of_alerts_notice_an_alert_that_never_fires() {
    let promtool = or_skip!(Promtool::find(), "promtool");
    let dir = tempfile::tempdir().expect("a folder");
    for path in rule_files() {
        let mut silenced = yaml(&path);
        for group in silenced["groups"].as_array_mut().expect("groups") {
            for rule in group["rules"].as_array_mut().expect("rules") {
                rule["expr"] = json!("vector(0) > 1");
            }
        }
        let rules = dir.path().join(path.file_name().expect("a name"));
        std::fs::write(&rules, silenced.to_string()).expect("the rules are written");
        let tests = yaml(&observability().join("alerts/tests").join(path.file_name().expect("a name")));
        for mut test in list(&tests["tests"]) {
            test["promql_expr_test"] = list(&test["promql_expr_test"])
                .into_iter()
                .filter(|it| !list(&it["exp_samples"]).is_empty())
                .collect();
            let one = json!({"rule_files": [&rules], "evaluation_interval": "1m", "tests": [test]});
            let file = dir.path().join("test.yaml");
            std::fs::write(&file, one.to_string()).expect("the test is written");
            let output = std::process::Command::new(&promtool.0).args(["test", "rules"]).arg(&file).output();
            assert!(!output.expect("promtool starts").status.success(), "{}", test["name"]);
        }
    }
}

fn rule_object(helm: &Helm, values: &Value, api: bool) -> Option<Value> {
    let file = tempfile::NamedTempFile::new().expect("a value file");
    std::fs::write(file.path(), values.to_string()).expect("the value file is written");
    let (platform, values) = (platform(), file.path().to_string_lossy().into_owned());
    let chart = platform.to_str().expect("a plain path");
    let mut args = vec!["template", RELEASE, chart, "--namespace", NAMESPACE, "--values", &values];
    if api {
        args.extend(["--api-versions", "monitoring.coreos.com/v1"]);
    }
    let objects = Objects::parse(&helm.run(args));
    objects.find("PrometheusRule", &format!("{RELEASE}-alerts")).cloned()
}

#[test]
fn the_chart_installs_exactly_the_rules_of_the_files() {
    let helm = or_skip!(Helm::find(), "helm");
    let object = rule_object(&helm, &json!({"alerts": {"enabled": true}}), false).expect("the rules");
    assert_eq!(object["spec"], json!({"groups": groups()}));
    assert_eq!(object["metadata"]["namespace"], NAMESPACE);
    assert_eq!(object["metadata"]["labels"]["release"], "prometheus");
}

#[test]
fn rules_are_installed_where_the_cluster_knows_them_unless_a_value_says_otherwise() {
    let helm = or_skip!(Helm::find(), "helm");
    let installed = |enabled: Value, api: bool| {
        rule_object(&helm, &json!({"alerts": {"enabled": enabled}}), api).is_some()
    };
    assert!(rule_object(&helm, &json!({}), true).is_some());
    assert!(rule_object(&helm, &json!({}), false).is_none());
    assert!(installed(Value::Null, true) && !installed(Value::Null, false));
    assert!(installed(json!(true), true) && installed(json!(true), false));
    assert!(!installed(json!(false), true) && !installed(json!(false), false));
    let without_operator = json!({"dynamo-operator": {"enabled": false}});
    assert!(rule_object(&helm, &without_operator, true).is_none(), "there is nothing to watch");
}

#[test]
fn labels_and_the_prefix_of_runbooks_are_values() {
    let helm = or_skip!(Helm::find(), "helm");
    let prefix = "https://git.example/platform/";
    let values = json!({"alerts": {"enabled": true, "labels": {"team": "ml"}, "runbookUrlPrefix": prefix}});
    let object = rule_object(&helm, &values, false).expect("the rules");
    assert_eq!(object["metadata"]["labels"]["team"], "ml");
    for rule in list(&object["spec"]["groups"]).iter().flat_map(|group| list(&group["rules"])) {
        let url = format!("{prefix}docs/runbooks/alerts/{}.md", text(&rule["alert"]));
        assert_eq!(rule["annotations"]["runbook_url"], url);
    }
    let refused = helm.template(&platform(), RELEASE, NAMESPACE, &json!({"alerts": {"enabled": "yes"}}));
    assert!(!refused.ok && refused.stderr.contains("/alerts/enabled"), "{}", refused.stderr);
}

/// Jobs of the monitors that one release makes, with the alert that is about their targets: the operator's ServiceMonitor gives the
/// name of its Service, a PodMonitor its namespace, which comes in the place of `NAMESPACE`, and name.
fn jobs_of(helm: &Helm, release: &str) -> Vec<(String, Option<&'static str>)> {
    let on = json!({"enabled": true});
    let values = json!({
        "dynamo-operator": {
            "metricsService": {"serviceMonitor": on},
            "dynamo": {"metrics": {"podMonitors": {"enabled": true, "namePrefix": format!("{release}-")}}},
        },
        "nats": {"promExporter": {"enabled": true, "podMonitor": on}},
        "etcd": {"metrics": {"podMonitor": on}},
    });
    let objects = helm.objects(release, NAMESPACE, &values);
    let of_service = |selector: &Value| {
        let control = &selector["matchLabels"]["control-plane"];
        let services = objects.0.iter().filter(|object| object["kind"] == "Service");
        let mut selected = services.filter(|it| it["metadata"]["labels"]["control-plane"] == *control);
        text(&selected.next().expect("the Service of the monitor")["metadata"]["name"]).to_owned()
    };
    let job = |object: &Value| {
        let name = text(&object["metadata"]["name"]);
        let chart = text(&object["metadata"]["labels"]["helm.sh/chart"]);
        let alert = match text(&object["kind"]) {
            "ServiceMonitor" => {
                return Some((of_service(&object["spec"]["selector"]), Some("DynamoOperatorDown")));
            }
            "PodMonitor" if chart.starts_with("nats-") => Some("DynamoNatsDown"),
            "PodMonitor" if chart.starts_with("etcd-") => Some("DynamoEtcdMemberDown"),
            "PodMonitor" => name.ends_with("dynamo-frontend").then_some("DynamoFrontendDown"),
            _ => return None,
        };
        Some((format!("NAMESPACE/{name}"), alert))
    };
    objects.0.iter().filter_map(job).collect()
}

/// Whatever release and namespace are called.
#[test]
fn a_target_that_is_down_raises_the_alert_of_its_part_and_no_other() {
    let helm = or_skip!(Helm::find(), "helm");
    let promtool = or_skip!(Promtool::find(), "promtool");
    let names = ["dynamo-platform", "dynamo-operator", "my-nats", "my-etcd", "nats-etcd", "kube-x"];
    let namespaces = [
        "dynamo-system",
        "dynamo-operator",
        "nats",
        "etcd",
        "kube-etcd",
        "dynamo-frontend",
        "team-nats-etcd",
    ];
    let mut jobs = BTreeMap::new();
    for release in names {
        let of_release = jobs_of(&helm, release);
        assert_eq!(of_release.iter().filter(|(_, alert)| alert.is_some()).count(), 4, "{of_release:?}");
        for namespace in namespaces {
            jobs.extend(of_release.iter().map(|(job, alert)| (job.replace("NAMESPACE", namespace), *alert)));
        }
    }
    // The job is told by `namespace`, too, which every one of these alerts keeps.
    let series = |job: &String| json!({"series": format!("up{{job=\"{job}\", namespace=\"{job}\"}}"), "values": "0x20"});
    let raised = |(job, alert): (&String, &Option<&str>)| {
        Some(json!({"labels": format!("{{alertname=\"{}\", namespace=\"{job}\"}}", (*alert)?), "value": 1}))
    };
    let test = json!({
        "input_series": jobs.keys().map(series).collect::<Vec<_>>(),
        "promql_expr_test": [{
            "expr": "count by (alertname, namespace) (ALERTS{alertstate=\"firing\"})",
            "eval_time": "15m",
            "exp_samples": jobs.iter().filter_map(raised).collect::<Vec<_>>(),
        }],
    });
    let file = tempfile::NamedTempFile::new().expect("a test file");
    let all = json!({"rule_files": rule_files(), "evaluation_interval": "1m", "tests": [test]});
    std::fs::write(file.path(), all.to_string()).expect("the test is written");
    promtool.passes(["test", "rules", file.path().to_str().expect("a plain path")]);
}
