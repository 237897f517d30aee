//! Every panel of the dashboards and every alert against a Prometheus that found the platform by its own monitors, while a
//! graph is under load. What nothing here can measure is listed, and the list is checked, too.

use std::time::Duration;

use dynamo_charttest::{alerts, dashboards};
use dynamo_devkit::demo::NAMESPACE as GRAPHS;
use dynamo_devkit::demo::http;
use dynamo_devkit::demo::install::{NAMESPACE, RELEASE};
use dynamo_devkit::kubectl::Kubectl;

use crate::common::load::Load;
use crate::common::{LIMIT, eventually, step};
use crate::graph::Graph;
use crate::monitoring::Prometheus;
use crate::monitors;
use crate::release::CRDS;
use crate::stage::Stage;

const GRAPH: Graph = Graph { namespace: GRAPHS, name: "observed", discovery: "etcd", plane: "nats" };
/// The class that the value file of EKS names.
const CLASS: &str = "gp3";
/// Claims of one NATS server and one member of etcd.
const VOLUMES: usize = 2;
/// Long enough for a scrape of everything and for the rates that panels show.
const DATA: Duration = Duration::from_secs(120);

/// Metrics of programs that cannot run here, by a part of their names, and the reason.
const ABSENT: [(&str, &str); 8] = [
    ("DCGM_", "there is no GPU"),
    ("kvbm_", "an engine with the KV block manager needs a GPU"),
    ("planner:", "the planner is part of the reference's runtime images"),
    ("kube_deployment_", "kube-state-metrics is not published as a module of the registry"),
    ("(nats|gnatsd)_", "the exporter of NATS is not published as a module of the registry"),
    ("[^/]*nats[^/]*", "the exporter of NATS is not published as a module of the registry"),
    ("vllm:", "the engine is the mocker, which has no metrics of its own"),
    ("sglang:", "the engine is the mocker, which has no metrics of its own"),
];

/// How the names of the platform's monitors end that select something here.
const SCRAPED: [&str; 4] = ["-operator", "dynamo-frontend", "dynamo-worker", "-etcd"];

fn reason(expression: &str) -> Option<&'static str> {
    ABSENT.iter().find(|(part, _)| expression.contains(part)).map(|(_, reason)| *reason)
}

#[test]
#[ignore = "needs root and the cluster of this machine: make test-node"]
fn every_panel_and_every_alert_has_data_in_a_prometheus_that_scrapes_a_graph_under_load() {
    let stage = Stage::prepare();
    let (kubectl, helm) = (&stage.kubectl, stage.helm());
    stage.cluster.provide_volumes("observed", CLASS, VOLUMES).unwrap();

    step(
        "Prometheus by its operator, then the platform by the values of a test cluster on EKS, which finds its API",
    );
    let prometheus = Prometheus::install(&stage.cluster, kubectl);
    helm.run(&["upgrade", "--install", "dynamo-crds", CRDS, "-n", "default"]);
    let values = ["-f", "./deploy/helm/values/test.yaml", "-f", "./deploy/helm/values/eks.yaml"];
    helm.install(&[&values[..], &["--set", "etcd.metrics.podMonitor.enabled=true"]].concat());
    stage.namespace(GRAPHS);
    GRAPH.start(kubectl);

    step("every target is up, and the rules of the chart are loaded");
    let expected = expressions();
    // Those of programs that do not run here select nothing.
    let monitors = monitors::that_select(kubectl);
    for name in SCRAPED {
        assert!(monitors.iter().any(|monitor| monitor.name.ends_with(name)), "{name}: not in {monitors:?}");
    }
    eventually("every target is up", DATA, || prometheus.healthy(&monitors));
    eventually("the rules are loaded", DATA, || {
        let loaded = prometheus.rules()?;
        let missing: Vec<&String> =
            expected.iter().map(|(name, _)| name).filter(|name| !loaded.contains(name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {loaded:?}")) }
    });

    step("load, refusals and failures");
    let load = Load::start(&GRAPH.frontend(kubectl), 3);
    provoke(kubectl);

    step("every query of a panel gives data, but for what cannot be here");
    let mut judged = Judged::default();
    for query in dashboards::queries().unwrap().into_iter().filter(|query| query.source == "prometheus") {
        judged.judge(&prometheus, &format!("{}: {}", query.dashboard, query.panel), &query.expression);
    }
    judged.report("queries of panels");

    step("every series that an alert asks for is there, but for what cannot be here");
    let mut judged = Judged::default();
    for (name, expression) in &expected {
        for selector in prometheus.selectors(expression) {
            judged.judge(&prometheus, name, &selector);
        }
    }
    judged.report("selectors of alerts");

    let outcome = load.stop();
    assert!(outcome.sent > 50 && outcome.failures.is_empty(), "{outcome:?}");
    stage.clean();
    Prometheus::uninstall(kubectl);
}

/// What came of a list of expressions.
#[derive(Default)]
struct Judged {
    with_data: usize,
    absent: usize,
    wrong: Vec<String>,
}

impl Judged {
    fn judge(&mut self, prometheus: &Prometheus, place: &str, expression: &str) {
        let series = |wanted: bool| {
            let started = std::time::Instant::now();
            loop {
                let found = prometheus.query(expression);
                let done = found.as_ref().is_ok_and(|series| !series.is_empty());
                // The first that waits gives the others their time as well.
                if done || !wanted || started.elapsed() > DATA || !self.wrong.is_empty() {
                    return found;
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        };
        let reason = reason(expression);
        match (series(reason.is_none()), reason) {
            (Err(error), _) => self.wrong.push(format!("{place}: {expression}: {error}")),
            (Ok(series), None) if series.is_empty() => {
                self.wrong.push(format!("{place}: no data: {expression}"));
            }
            (Ok(series), Some(reason)) if !series.is_empty() => {
                self.wrong.push(format!("{place}: has data, although {reason}: {expression}"));
            }
            (Ok(_), Some(_)) => self.absent += 1,
            (Ok(_), None) => self.with_data += 1,
        }
    }

    fn report(&self, what: &str) {
        eprintln!("    {what}: {} with data, {} of what cannot be here", self.with_data, self.absent);
        assert!(self.wrong.is_empty(), "{what}:\n{}", self.wrong.join("\n"));
        assert!(self.with_data > self.absent, "{what}: too few to mean anything");
    }
}

/// Names and expressions of the alerts that the chart installs.
fn expressions() -> Vec<(String, String)> {
    let text = |rule: &serde_json::Value, key: &str| rule[key].as_str().unwrap().to_owned();
    alerts::rules().unwrap().iter().map(|rule| (text(rule, "alert"), text(rule, "expr"))).collect()
}

/// What must happen once to be counted: an admission server that does not answer, a graph that is refused, one whose pods
/// cannot start, one whose component is somebody else's, and requests that fail.
fn provoke(kubectl: &Kubectl) {
    let graph = |name: &str, image: &str| {
        serde_json::json!({
            "apiVersion": "nvidia.com/v1alpha1",
            "kind": "DynamoGraphDeployment",
            "metadata": {"name": name},
            "spec": {"services": {"Worker": {"componentType": "worker",
                "extraPodSpec": {"mainContainer": {"image": image}}}}},
        })
        .to_string()
    };
    let manager = format!("deployment/{RELEASE}-dynamo-operator-controller-manager");
    let scale = |replicas: &str| {
        let replicas = format!("--replicas={replicas}");
        kubectl.run(&["scale", &manager, "-n", NAMESPACE, &replicas]).unwrap();
        kubectl.run(&["rollout", "status", &manager, "-n", NAMESPACE, "--timeout=120s"]).unwrap();
    };
    scale("0");
    eventually("a write without the admission server is refused", LIMIT, || {
        match kubectl.apply_in(GRAPHS, &graph("unheard", "localhost/none:1")) {
            Err(_) => Ok(()),
            Ok(_) => Err("it was admitted".to_owned()),
        }
    });
    scale("1");

    // After its restart: counters begin anew with the process.
    eventually("the admission server refuses a service without an image", LIMIT, || {
        match kubectl.apply_in(GRAPHS, &graph("refused", "")) {
            Err(error) if error.to_string().contains("mainContainer.image") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    kubectl.apply_in(GRAPHS, &graph("stuck", "localhost/none:1")).unwrap();
    let taken = serde_json::json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoComponentDeployment",
        "metadata": {"name": "failed-worker"},
        "spec": {"serviceName": "Worker", "componentType": "worker", "dynamoNamespace": "failed",
            "extraPodSpec": {"mainContainer": {"image": "localhost/none:1"}}},
    });
    kubectl.apply_in(GRAPHS, &taken.to_string()).unwrap();
    kubectl.apply_in(GRAPHS, &graph("failed", "localhost/none:1")).unwrap();
    let frontend = GRAPH.frontend(kubectl);
    let unknown = r#"{"model":"nobody","messages":[{"role":"user","content":"Are you there?"}]}"#;
    for body in [unknown, "{}"] {
        let answer = http::request(&frontend, "/v1/chat/completions", Some(body)).unwrap();
        assert!(answer.status >= 400, "{}", answer.status);
    }
}
