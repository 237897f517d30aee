//! The form of dashboards: what Grafana needs, and what a user expects of each panel.

use std::collections::BTreeSet;

use dynamo_charttest::dashboards::{self, Dashboard, variables};
use serde_json::{Value, json};

use super::Promtool;
use crate::helm::text;
use crate::or_skip;

fn all() -> Vec<Dashboard> {
    dashboards::all().expect("dashboards")
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

#[test]
fn every_panel_has_a_query_a_data_source_variable_a_unit_and_an_id_of_its_own() {
    for dashboard in all() {
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard.json["panels"]) {
            assert!(
                ids.insert(panel["id"].as_u64().expect("an id")),
                "{}: id {}",
                dashboard.file,
                panel["id"]
            );
        }
        for panel in dashboard.panels() {
            let place = format!("{}: {}", dashboard.file, panel["title"]);
            assert!(!text(&panel["title"]).is_empty(), "{place}");
            assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{place}: no unit");
            let targets = list(&panel["targets"]);
            assert!(!targets.is_empty(), "{place}: no query");
            for target in targets {
                assert!(!text(&target["expr"]).is_empty(), "{place}: an empty query");
                for source in [&panel["datasource"], &target["datasource"]] {
                    assert_eq!(source["uid"], "${datasource}", "{place}");
                }
            }
        }
    }
}

#[test]
fn panels_lie_side_by_side_and_not_over_each_other() {
    for dashboard in all() {
        let mut taken = BTreeSet::new();
        for panel in list(&dashboard.json["panels"]) {
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            assert!(at("x") + at("w") <= 24, "{}: {} is wider than the page", dashboard.file, panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{}: {} covers another", dashboard.file, panel["title"]);
                }
            }
        }
    }
}

/// Grafana stops taking any dashboard of a folder in which a uid or a title is there twice.
#[test]
fn uids_are_unique_and_so_are_titles_within_a_folder() {
    let (mut uids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for dashboard in all() {
        let folder = dashboard.file.split('/').next().unwrap_or_default().to_owned();
        assert!(uids.insert(text(&dashboard.json["uid"]).to_owned()), "{}", dashboard.file);
        assert!(titles.insert((folder, text(&dashboard.json["title"]).to_owned())), "{}", dashboard.file);
        assert!(dashboard.json.get("id").is_none(), "{}: the number is Grafana's", dashboard.file);
    }
}

#[test]
fn variables_of_queries_exist_and_variables_that_exist_are_used() {
    for dashboard in all() {
        let own: BTreeSet<String> = list(&dashboard.json["templating"]["list"])
            .iter()
            .map(|it| text(&it["name"]).to_owned())
            .collect();
        let content = dashboard.json.to_string();
        let used: BTreeSet<String> =
            variables(&content).into_iter().filter(|name| !name.starts_with("__")).collect();
        // `$__all` is a value, not a variable; what begins with two underscores is Grafana's.
        assert_eq!(own, used, "{}", dashboard.file);
        assert!(own.contains("datasource"), "{}", dashboard.file);
    }
}

/// Titles, uids, tags and variables that bookmarks and guides rely on (charts.md section 18).
#[test]
fn titles_uids_tags_times_and_variables_are_those_of_the_contract() {
    let contract = [
        (
            "dashboards/dynamo.json",
            "Dynamo Dashboard",
            "97ae8df9-138a-4f7a-9b0f-635b77d818fe",
            json!(["dynamo"]),
            "30m",
            "datasource",
        ),
        (
            "kubernetes/dynamo-dashboard.json",
            "Dynamo Dashboard",
            "dynamo-dashboard",
            json!(["dynamo"]),
            "30m",
            "datasource namespace",
        ),
        (
            "dashboards/dynamo-operator-dashboard.json",
            "Dynamo Operator",
            "dynamo-operator",
            json!(["dynamo", "operator", "kubernetes"]),
            "1h",
            "datasource namespace resource_type",
        ),
        (
            "dashboards/planner-dashboard.json",
            "Dynamo Planner Dashboard",
            "dynamo-planner-dashboard",
            json!(["dynamo", "planner"]),
            "1h",
            "datasource namespace",
        ),
        (
            "dashboards/dcgm-dashboard.json",
            "DCGM GPU Monitoring Dashboard",
            "dcgm-dashboard",
            json!(["dcgm", "gpu", "nvidia"]),
            "30m",
            "datasource",
        ),
        (
            "dashboards/kvbm.json",
            "KVBM Dashboard",
            "3f679257-70a5-402c-92b4-05382337b548",
            json!(["dynamo", "kvbm"]),
            "15m",
            "datasource",
        ),
        (
            "dashboards/temp-loki.json",
            "DynamoGraph Logs",
            "dynamo-logs",
            json!(["dynamograph", "logs"]),
            "6h",
            "datasource namespace dynamographdeployment component trace_id search",
        ),
    ];
    let dashboards = all();
    assert_eq!(dashboards.len(), contract.len());
    for (file, title, uid, tags, time, wanted) in contract {
        let json = &dashboards.iter().find(|it| it.file == file).unwrap_or_else(|| panic!("{file}")).json;
        assert_eq!(
            (&json["title"], &json["uid"], &json["tags"]),
            (&json!(title), &json!(uid), &tags),
            "{file}"
        );
        assert_eq!(json["time"]["from"], format!("now-{time}"), "{file}");
        let variables: Vec<String> =
            list(&json["templating"]["list"]).iter().map(|it| text(&it["name"]).to_owned()).collect();
        for name in wanted.split(' ') {
            assert!(variables.iter().any(|it| it == name), "{file}: no variable {name}");
        }
    }
}

/// A mean since the start of the process says nothing about now.
#[test]
fn no_panel_divides_lifetime_sums() {
    for query in dashboards::queries().expect("dashboards") {
        for sum in query.expression.match_indices("_sum").map(|(at, _)| at) {
            let selector = &query.expression[sum..];
            let window = selector.find('[').zip(selector.find(')')).is_some_and(|(window, end)| window < end);
            assert!(window, "{}: {}: {}", query.dashboard, query.panel, query.expression);
        }
    }
}

#[test]
fn every_expression_of_a_panel_is_promql() {
    let promtool = or_skip!(Promtool::find(), "promtool");
    let queries = dashboards::queries().expect("dashboards");
    let prometheus = queries.iter().filter(|query| query.source == "prometheus");
    let rules: Vec<Value> = prometheus
        .enumerate()
        .map(|(index, query)| json!({"record": format!("check:query_{index}"), "expr": query.expression}))
        .collect();
    assert!(rules.len() > 100, "only {} queries", rules.len());
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a rule file");
    let content = json!({"groups": [{"name": "panels", "rules": rules}]});
    std::fs::write(file.path(), content.to_string()).expect("the rule file is written");
    promtool.passes(["check".into(), "rules".into(), file.path().as_os_str().to_owned()]);
}
