//! Dashboards as objects of Kubernetes, for the sidecar of Grafana.
//! `UPDATE_OBSERVABILITY=1 cargo test -p dynamo-charttest --test charts configmaps` writes them.

use dynamo_charttest::dashboards;
use serde_json::{Value, json};

use super::{observability, stem};
use crate::helm::{files_with, text, yaml};

/// Name of the ConfigMap, its key, and the dashboard.
const CONFIG_MAPS: [(&str, &str, &str); 6] = [
    ("grafana-dynamo-dashboard", "dynamo-dashboard.json", "kubernetes/dynamo-dashboard.json"),
    (
        "grafana-operator-dashboard",
        "dynamo-operator-dashboard.json",
        "dashboards/dynamo-operator-dashboard.json",
    ),
    ("grafana-planner-dashboard", "planner-dashboard.json", "dashboards/planner-dashboard.json"),
    ("dynamo-logs-dashboard", "dynamo-logs.json", "dashboards/temp-loki.json"),
    ("grafana-dcgm-dashboard", "dcgm-dashboard.json", "dashboards/dcgm-dashboard.json"),
    ("grafana-kvbm-dashboard", "kvbm-dashboard.json", "dashboards/kvbm.json"),
];

/// Not on Kubernetes: its panels are those of one worker on one machine.
const LOCAL: &str = "dashboards/dynamo.json";

fn generated(name: &str, key: &str, source: &str) -> String {
    let json = std::fs::read_to_string(dashboards::folder().join(source)).expect("the dashboard");
    let mut text = format!(
        "# Generated from ../grafana/{source}: UPDATE_OBSERVABILITY=1 cargo test -p dynamo-charttest --test charts configmaps\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: monitoring\n  labels:\n    \
         grafana_dashboard: \"1\"\ndata:\n  {key}: |\n"
    );
    for line in json.lines() {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[test]
fn config_maps_hold_exactly_the_dashboards() {
    for (name, key, source) in CONFIG_MAPS {
        let path = observability().join("k8s").join(format!("{name}.yaml"));
        let wanted = generated(name, key, source);
        if std::env::var_os("UPDATE_OBSERVABILITY").is_some() {
            std::fs::write(&path, &wanted).expect("the ConfigMap is written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        // Both are hundreds of lines: no need to print them.
        assert!(committed == wanted, "{name} is out of date: set UPDATE_OBSERVABILITY=1");
        let object = yaml(&path);
        assert_eq!(object["metadata"]["labels"], json!({"grafana_dashboard": "1"}));
        let inside: Value = serde_json::from_str(text(&object["data"][key])).expect("JSON");
        let dashboard = dashboards::all().expect("dashboards").into_iter().find(|it| it.file == source);
        assert_eq!(inside, dashboard.expect("the dashboard").json);
    }
}

#[test]
fn every_dashboard_ships_and_no_config_map_is_left_over() {
    for dashboard in dashboards::all().expect("dashboards") {
        let ships = CONFIG_MAPS.iter().any(|(_, _, source)| *source == dashboard.file);
        assert!(ships != (dashboard.file == LOCAL), "{}", dashboard.file);
    }
    for path in files_with(&observability().join("k8s"), "yaml") {
        let name = stem(&path);
        let known = CONFIG_MAPS.iter().any(|(known, _, _)| *known == name);
        let other = ["loki-datasource", "loki-values", "alloy-values"].contains(&name.as_str());
        assert!(known || other, "{}", path.display());
    }
}
