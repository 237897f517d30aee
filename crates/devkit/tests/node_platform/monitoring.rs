//! A real Prometheus in the cluster, made by the real Prometheus operator as the guide of observability has it, and questions
//! to it. Must not know what the platform's monitors select: that is what is tested.

use dynamo_devkit::cluster::Cluster;
use dynamo_devkit::demo::http;
use dynamo_devkit::images::bundled::Monitoring;
use dynamo_devkit::kubectl::Kubectl;
use form_urlencoded::byte_serialize;
use serde_json::{Value, json};

use crate::common::{LIMIT, eventually};
use crate::monitors::Monitor;

pub const MONITORING: &str = "monitoring";
const ACCOUNT: &str = "prometheus";
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// The running server.
pub struct Prometheus {
    address: String,
}

impl Prometheus {
    /// Installs the operator, a server that selects as the guide says, and what a cluster's own parts are scraped by.
    pub fn install(cluster: &Cluster, kubectl: &Kubectl) -> Self {
        let images = Monitoring::pack().unwrap();
        for archive in images.all() {
            cluster.runtime().load(archive).unwrap();
        }
        // The definitions are too large for the annotation of a client-side apply.
        kubectl.apply(&images.manifests().unwrap()).unwrap();
        for kind in ["prometheuses", "podmonitors", "servicemonitors", "prometheusrules"] {
            let definition = format!("crd/{kind}.monitoring.coreos.com");
            kubectl.run(&["wait", "--for=condition=Established", &definition, "--timeout=60s"]).unwrap();
        }
        let objects = [
            rights(),
            vec![server(images.prometheus.pinned_name())],
            vec![kubelet(), api_server()],
            node_exporter(images.node_exporter.pinned_name()),
        ];
        let documents: Vec<String> = objects.iter().flatten().map(Value::to_string).collect();
        kubectl.apply(&documents.join("\n---\n")).unwrap();
        let address = eventually("Prometheus is ready", LIMIT, || {
            let pod = kubectl
                .json(&["get", "pod", "prometheus-k8s-0", "-n", MONITORING])
                .map_err(|error| error.to_string())?;
            let address = pod["status"]["podIP"].as_str().ok_or("no address yet")?;
            let address = format!("{address}:9090");
            let answer = http::request(&address, "/-/ready", None).map_err(|error| error.to_string())?;
            if answer.status == 200 { Ok(address) } else { Err(format!("status {}", answer.status)) }
        });
        Self { address }
    }

    /// Takes the operator and its definitions away; the server goes with its namespace.
    pub fn uninstall(kubectl: &Kubectl) {
        let manifests = Monitoring::pack().unwrap().manifests().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bundle.yaml");
        std::fs::write(&file, manifests).unwrap();
        let file = file.to_str().unwrap();
        kubectl.run(&["delete", "-f", file, "--ignore-not-found", "--wait=false"]).unwrap();
    }

    /// The series that an expression gives now, or why it gives none.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.ask("query", expression)?;
        Ok(answer["result"].as_array().cloned().unwrap_or_default())
    }

    /// The selectors in an expression, each as an expression of its own.
    pub fn selectors(&self, expression: &str) -> Vec<String> {
        let mut found = Vec::new();
        selectors(&self.ask("parse_query", expression).unwrap(), &mut found);
        found
    }

    /// Every target is up, and each of these monitors has one; else what is missing, with the reason.
    pub fn healthy(&self, monitors: &[Monitor]) -> Result<(), String> {
        let answer = self.get("/api/v1/targets?state=active")?;
        let targets = answer["activeTargets"].as_array().ok_or("no targets")?;
        let pool = |target: &Value| target["scrapePool"].as_str().unwrap_or_default().to_owned();
        let bad = targets.iter().filter(|target| target["health"] != "up");
        let bad = bad.map(|target| format!("{}: {}", pool(target), target["lastError"]));
        let alone = monitors
            .iter()
            .map(Monitor::pools)
            .filter(|prefix| !targets.iter().any(|target| pool(target).starts_with(prefix)))
            .map(|prefix| format!("{prefix}: no target"));
        let wrong: Vec<String> = bad.chain(alone).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) }
    }

    /// Names of the alerting rules that are loaded.
    pub fn rules(&self) -> Result<Vec<String>, String> {
        let answer = self.get("/api/v1/rules?type=alert")?;
        let groups = answer["groups"].as_array().ok_or("no groups")?.iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        Ok(rules.filter_map(|rule| rule["name"].as_str().map(ToOwned::to_owned)).collect())
    }

    fn ask(&self, what: &str, expression: &str) -> Result<Value, String> {
        let query: String = byte_serialize(expression.as_bytes()).collect();
        self.get(&format!("/api/v1/{what}?query={query}"))
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let text = http::request(&self.address, path, None)
            .and_then(http::Response::text)
            .map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(text) }
    }
}

/// Walks a parsed expression.
fn selectors(node: &Value, found: &mut Vec<String>) {
    let kind = node["type"].as_str().unwrap_or_default();
    if kind == "vectorSelector" || kind == "matrixSelector" {
        let matchers = node["matchers"].as_array().into_iter().flatten();
        let matchers: Vec<String> = matchers
            .map(|matcher| {
                let text = |key: &str| matcher[key].as_str().unwrap_or_default();
                format!("{}{}{}", text("name"), text("type"), matcher["value"])
            })
            .collect();
        found.push(format!("{{{}}}", matchers.join(",")));
    }
    for part in ["expr", "lhs", "rhs", "param"] {
        if node[part].is_object() {
            selectors(&node[part], found);
        }
    }
    node["args"].as_array().into_iter().flatten().for_each(|argument| selectors(argument, found));
}

/// Those that charts of Prometheus give to it.
fn rights() -> Vec<Value> {
    let role = json!([
        {"apiGroups": [""], "resources": ["nodes", "nodes/metrics", "services", "endpoints", "pods"],
            "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
        {"nonResourceURLs": ["/metrics", "/metrics/cadvisor"], "verbs": ["get"]},
    ]);
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MONITORING}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": MONITORING}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "monitoring-prometheus"}, "rules": role}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "monitoring-prometheus"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "monitoring-prometheus"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": MONITORING}]}),
    ]
}

/// Selects as the guide's install does: every PodMonitor, and ServiceMonitors and rules of the release `prometheus`.
fn server(image: &str) -> Value {
    let released = json!({"matchLabels": {"release": "prometheus"}});
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "k8s", "namespace": MONITORING},
        "spec": {
            "image": image,
            "version": "v3.9.1",
            "serviceAccountName": ACCOUNT,
            "evaluationInterval": "5s",
            "podMonitorSelector": {},
            "podMonitorNamespaceSelector": {},
            "serviceMonitorSelector": released,
            "serviceMonitorNamespaceSelector": {},
            "ruleSelector": released,
            "ruleNamespaceSelector": {},
            "securityContext": {"runAsUser": 1000, "runAsNonRoot": true, "fsGroup": 1000},
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        },
    })
}

fn service_monitor(name: &str, namespace: &str, labels: Value, endpoint: Value) -> Value {
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": name, "namespace": MONITORING, "labels": {"release": "prometheus"}},
        "spec": {
            "namespaceSelector": {"matchNames": [namespace]},
            "selector": {"matchLabels": labels},
            "endpoints": [endpoint],
        },
    })
}

/// The kubelet's metrics of containers; its Service is made by the Prometheus operator.
fn kubelet() -> Value {
    let endpoint = json!({"port": "https-metrics", "scheme": "https", "path": "/metrics/cadvisor", "interval": "10s",
        "honorLabels": true, "bearerTokenFile": TOKEN, "tlsConfig": {"insecureSkipVerify": true}});
    service_monitor("kubelet", "kube-system", json!({"app.kubernetes.io/name": "kubelet"}), endpoint)
}

fn api_server() -> Value {
    let endpoint = json!({"port": "https", "scheme": "https", "interval": "10s", "bearerTokenFile": TOKEN,
        "tlsConfig": {"caFile": CA, "serverName": "kubernetes"}});
    service_monitor("apiserver", "default", json!({"component": "apiserver"}), endpoint)
}

fn node_exporter(image: &str) -> Vec<Value> {
    let labels = json!({"app.kubernetes.io/name": "node-exporter"});
    let container = json!({"name": "node-exporter", "image": image, "args": ["--web.listen-address=:9100"],
        "ports": [{"name": "metrics", "containerPort": 9100}],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}}});
    vec![
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "node-exporter", "namespace": MONITORING},
            "spec": {"selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}}),
        json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor",
            "metadata": {"name": "node-exporter", "namespace": MONITORING},
            "spec": {"selector": {"matchLabels": labels},
                "podMetricsEndpoints": [{"port": "metrics", "interval": "10s"}]}}),
    ]
}
