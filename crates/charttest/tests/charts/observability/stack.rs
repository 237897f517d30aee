//! The stacks for one machine, and what is given to Loki and Alloy (charts.md sections 16 and 17).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Promtool, observability};
use crate::helm::{strings, text, workspace, yaml};
use crate::or_skip;

fn compose(name: &str) -> Value {
    yaml(&workspace().join("deploy").join(name))
}

fn images_and_ports(stack: &Value) -> BTreeMap<String, (String, Vec<String>)> {
    let services = stack["services"].as_object().expect("services");
    let of_service = |service: &Value| (text(&service["image"]).to_owned(), strings(&service["ports"]));
    services.iter().map(|(name, service)| (name.clone(), of_service(service))).collect()
}

fn contract(rows: &[(&str, &str, &[u16])]) -> BTreeMap<String, (String, Vec<String>)> {
    let row = |(name, image, ports): &(&str, &str, &[u16])| {
        let ports = ports.iter().map(|port| format!("{port}:{port}")).collect();
        ((*name).to_owned(), ((*image).to_owned(), ports))
    };
    rows.iter().map(row).collect()
}

#[test]
fn images_and_ports_of_the_local_stacks_are_those_of_the_contract() {
    let plain = contract(&[
        ("nats-server", "nats:2.11.4", &[4222, 6222, 8222]),
        ("etcd-server", "bitnamilegacy/etcd:3.6.1", &[2379, 2380]),
    ]);
    assert_eq!(images_and_ports(&compose("docker-compose.yml")), plain);
    let watching = contract(&[
        ("dcgm-exporter", "nvidia/dcgm-exporter:4.2.3-4.1.3-ubi9", &[9401]),
        ("nats-prometheus-exporter", "natsio/prometheus-nats-exporter:0.17.3", &[7777]),
        ("prometheus", "prom/prometheus:v3.4.1", &[9090]),
        ("tempo", "grafana/tempo:2.8.2", &[3200, 4317, 4318]),
        ("grafana", "grafana/grafana:12.2.0", &[3000]),
    ]);
    assert_eq!(images_and_ports(&compose("docker-observability.yml")), watching);
}

#[test]
fn the_second_stack_joins_the_network_of_the_first() {
    assert_eq!(compose("docker-compose.yml")["networks"]["server"]["driver"], "bridge");
    // Compose puts the name of the folder before that of the network.
    assert_eq!(
        compose("docker-observability.yml")["networks"]["server"],
        json!({"external": true, "name": "deploy_server"})
    );
}

#[test]
fn what_the_stacks_mount_is_there() {
    for name in ["docker-compose.yml", "docker-observability.yml"] {
        for service in compose(name)["services"].as_object().expect("services").values() {
            for volume in strings(&service["volumes"]).iter().filter(|volume| volume.starts_with("./")) {
                let source = volume.split(':').next().unwrap_or_default();
                assert!(workspace().join("deploy").join(source).exists(), "{name}: {source}");
            }
        }
    }
}

#[test]
fn prometheus_scrapes_what_the_contract_names() {
    let config = yaml(&observability().join("prometheus.yml"));
    assert_eq!(config["global"], json!({"scrape_interval": "10s", "evaluation_interval": "10s"}));
    let jobs = config["scrape_configs"].as_array().expect("jobs").iter();
    let jobs: Vec<(&str, &str, &str)> = jobs
        .map(|job| {
            (
                text(&job["job_name"]),
                text(&job["scrape_interval"]),
                text(&job["static_configs"][0]["targets"][0]),
            )
        })
        .collect();
    assert_eq!(
        jobs,
        [
            ("nats-prometheus-exporter", "2s", "nats-prometheus-exporter:7777"),
            ("etcd-server", "2s", "etcd-server:2379"),
            ("dcgm-exporter", "5s", "dcgm-exporter:9401"),
            ("dynamo-frontend", "10s", "host.docker.internal:8000"),
            ("dynamo-backend", "6s", "host.docker.internal:8081"),
            ("kvbm-metrics", "2s", "host.docker.internal:6880"),
        ]
    );
    let promtool = or_skip!(Promtool::find(), "promtool");
    promtool.passes([
        "check".into(),
        "config".into(),
        observability().join("prometheus.yml").into_os_string(),
    ]);
}

#[test]
fn data_sources_are_those_of_the_contract() {
    let sources = observability().join("grafana/datasources");
    let prometheus = yaml(&sources.join("prometheus.yml"))["datasources"][0].take();
    let wanted = json!({"name": "prometheus", "type": "prometheus", "uid": "P1809F7CD0C75ACF3", "access": "proxy",
        "url": "http://prometheus:9090", "isDefault": true});
    assert_eq!(prometheus, wanted);
    let tempo = yaml(&sources.join("tempo.yml"))["datasources"][0].take();
    assert_eq!((&tempo["uid"], &tempo["url"]), (&json!("tempo"), &json!("http://tempo:3200")));
    assert_eq!(tempo["jsonData"]["nodeGraph"]["enabled"], true);
    let loki = yaml(&observability().join("k8s/loki-datasource.yaml"));
    assert_eq!(loki["metadata"]["name"], "loki-datasource");
    assert_eq!(loki["metadata"]["labels"], json!({"grafana_datasource": "1"}));
    let inside: Value = serde_yaml_ng::from_str(text(&loki["data"]["loki-datasource.yaml"])).expect("YAML");
    assert_eq!(
        inside["datasources"][0]["url"],
        "http://loki-gateway.$MONITORING_NAMESPACE.svc.cluster.local"
    );
    assert_eq!(inside["datasources"][0]["jsonData"]["maxLines"], 1000);
    let provider = yaml(&observability().join("grafana/dashboards/provider.yml"))["providers"][0].take();
    assert_eq!(provider["options"]["path"], "/etc/grafana/provisioning/dashboards");
    assert_eq!((&provider["updateIntervalSeconds"], &provider["allowUiUpdates"]), (&json!(10), &json!(true)));
}

#[test]
fn logs_carry_the_labels_that_their_dashboard_selects_by() {
    let alloy = yaml(&observability().join("k8s/alloy-values.yaml"));
    let labels = alloy["podLogs"]["labels"].as_object().expect("labels");
    assert_eq!(labels["nvidia_com_dynamo_component_type"], "nvidia.com/dynamo-component-type");
    assert_eq!(labels["nvidia_com_dynamo_graph_deployment_name"], "nvidia.com/dynamo-graph-deployment-name");
    let kept = strings(&alloy["podLogs"]["labelsToKeep"]);
    for label in labels.keys() {
        assert!(kept.contains(label), "{label} is made and dropped");
    }
    assert_eq!(alloy["podLogs"]["gatherMethod"], "kubernetesApi");
    let loki = yaml(&observability().join("k8s/loki-values.yaml"));
    assert_eq!(
        (&loki["deploymentMode"], &loki["loki"]["auth_enabled"]),
        (&json!("SingleBinary"), &json!(false))
    );
    let schema = &loki["loki"]["schemaConfig"]["configs"][0];
    assert_eq!(
        (&schema["store"], &schema["schema"], &schema["object_store"]),
        (&json!("tsdb"), &json!("v13"), &json!("s3"))
    );
}

#[test]
fn the_sample_of_discovery_is_a_disaggregated_graph_with_two_gpus() {
    let graph = compose("discovery/dgd.yaml");
    assert_eq!(graph["metadata"]["name"], "dynamo");
    assert_eq!(
        graph["metadata"]["annotations"],
        json!({"nvidia.com/dynamo-discovery-backend": "kubernetes"})
    );
    let services = graph["spec"]["services"].as_object().expect("services");
    let parts: Vec<(&str, &str, &str)> = services
        .iter()
        .map(|(name, it)| {
            (name.as_str(), text(&it["subComponentType"]), text(&it["resources"]["limits"]["gpu"]))
        })
        .collect();
    let wanted =
        [("Frontend", "", ""), ("VllmDecodeWorker", "decode", "1"), ("VllmPrefillWorker", "prefill", "1")];
    assert_eq!(parts, wanted);
    for service in services.values() {
        assert_eq!(service["extraPodSpec"]["mainContainer"]["image"], "${IMAGE}");
    }
}
