//! `dynamoctl top` with a real Prometheus that scrapes recorded metrics of a frontend and an engine.

use std::{
    cell::OnceCell,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use dynamo_devkit::{
    control_plane::{free_ports, supervised::Supervised},
    tools::{self, Tool},
};
use dynamo_testkit::{Plane, eventually};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::running::{api, create, dynamoctl, start, worker};

/// Over which rates are taken: many scrapes, so that one of them moves a rate little.
const WINDOW: Duration = Duration::from_secs(20);

/// What a frontend and a worker answer `seconds` after their start: 100 tokens and 2 requests each second, all first
/// tokens between 0.2 and 0.4 s, all others between 10 and 20 ms.
fn metrics(seconds: f64) -> String {
    let (tokens, requests) = (seconds * 100.0, seconds * 2.0);
    format!(
        "dynamo_frontend_output_tokens_total{{model=\"m\"}} {tokens}\n\
         dynamo_frontend_requests_total{{model=\"m\",status=\"success\"}} {requests}\n\
         dynamo_frontend_queued_requests{{model=\"m\"}} 3\n\
         dynamo_frontend_inflight_requests{{model=\"m\"}} 5\n\
         dynamo_frontend_time_to_first_token_seconds_bucket{{model=\"m\",le=\"0.2\"}} 0\n\
         dynamo_frontend_time_to_first_token_seconds_bucket{{model=\"m\",le=\"0.4\"}} {requests}\n\
         dynamo_frontend_time_to_first_token_seconds_bucket{{model=\"m\",le=\"+Inf\"}} {requests}\n\
         dynamo_frontend_inter_token_latency_seconds_bucket{{model=\"m\",le=\"0.01\"}} 0\n\
         dynamo_frontend_inter_token_latency_seconds_bucket{{model=\"m\",le=\"0.02\"}} {tokens}\n\
         dynamo_frontend_inter_token_latency_seconds_bucket{{model=\"m\",le=\"+Inf\"}} {tokens}\n"
    )
}

fn worker_metrics(seconds: f64) -> String {
    let requests = seconds * 2.0;
    format!(
        "dynamo_component_requests_total{{dynamo_component=\"backend\",dynamo_endpoint=\"generate\"}} {requests}\n\
         dynamo_component_requests_total{{dynamo_component=\"backend\",dynamo_endpoint=\"clear_kv_blocks\"}} {tens}\n\
         dynamo_component_inflight_requests{{dynamo_endpoint=\"generate\"}} 4\n\
         vllm:kv_cache_usage_perc{{model_name=\"m\"}} 0.42\n\
         vllm:generation_tokens_total{{model_name=\"m\"}} {tokens}\n\
         vllm:num_requests_waiting{{model_name=\"m\"}} 1\n",
        tens = requests * 10.0,
        tokens = seconds * 100.0,
    )
}

async fn serve(text: fn(f64) -> String) -> u16 {
    let begun = Instant::now();
    let answer = move || async move { text(begun.elapsed().as_secs_f64()) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().route("/metrics", get(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

/// Prometheus that scrapes both each second, with the labels that PodMonitors give; it listens at this port.
fn prometheus(namespace: &str, frontend: u16, worker: u16) -> (Supervised, u16) {
    let folder = Plane::shared().folder().join(format!("prometheus-{namespace}"));
    std::fs::create_dir_all(&folder).unwrap();
    let target = |port: u16, pod: &str| json!({"targets": [format!("127.0.0.1:{port}")], "labels": {"namespace": namespace, "pod": pod}});
    let config = json!({
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "pods", "static_configs":
            [target(frontend, "g-frontend-6c9-abcde"), target(worker, "g-worker-7d8-fghij"),
             // Another graph whose name begins with ours.
             target(worker, "g-worker-two-7d8-fghij")]}],
    });
    std::fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
    let program = tools::ensure(&[Tool::Prometheus]).unwrap().program("prometheus");
    let [port] = free_ports::<1>().unwrap();
    let args = [
        format!("--config.file={}", folder.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", folder.join("data").display()),
        format!("--web.listen-address=0.0.0.0:{port}"),
    ];
    let process = Supervised::start("prometheus", &program, &args, folder.join("log")).unwrap();
    (process, port)
}

/// An address of this machine that is no loopback, which no Service may have.
fn address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether every figure is near the one that is served.
fn judge(top: &Value) -> Result<(), String> {
    for (at, field, wanted) in [
        (0, "outputTokensPerSecond", 100.0),
        (0, "requestsPerSecond", 2.0),
        (0, "ttftSecondsP50", 0.3),
        (0, "itlSecondsP95", 0.0195),
        (0, "queuedRequests", 3.0),
        (0, "runningRequests", 5.0),
        (1, "requestsPerSecond", 2.0),
        (1, "outputTokensPerSecond", 100.0),
        (1, "kvCacheUse", 0.42),
    ] {
        let value = top["services"][at][field].as_f64().ok_or_else(|| format!("no {field}: {top}"))?;
        if (value - wanted).abs() > wanted * 0.15 {
            return Err(format!("{field}: {value}, not {wanted}: {top}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_each_service_come_from_prometheus_by_url_and_through_the_api_server() {
    let (client, ns) = start().await;
    let mut graph = worker("g");
    graph["spec"]["services"]["Frontend"] = graph["spec"]["services"]["Worker"].clone();
    create(&client, &ns, &graph).await;
    let (frontend, worker) = (serve(metrics).await, serve(worker_metrics).await);
    let (_process, port) = prometheus(&ns, frontend, worker);
    let url = format!("http://127.0.0.1:{port}");
    let window = format!("{}s", WINDOW.as_secs());
    let ask = ["top", "g", "--prometheus", &url, "--window", &window, "-o", "json"];
    let since = OnceCell::new();
    let top = eventually("the figures are those that are served", || async {
        let answer = dynamoctl(&ns, &ask);
        let top: Value = serde_json::from_str(&answer.out).map_err(|_| format!("{answer:?}"))?;
        let has_rate = |at: usize| top["services"][at]["outputTokensPerSecond"].is_number();
        if !(has_rate(0) && has_rate(1)) {
            return Err(top.to_string());
        }
        // While the window fills, a rate grows past the wanted one, whatever it will be.
        if since.get_or_init(Instant::now).elapsed() < WINDOW {
            return Err("the window is not full yet".to_owned());
        }
        // A scrape that came late moves the rates for a while.
        judge(&top).map(|()| top)
    })
    .await;
    assert_eq!(
        (&top["services"][0]["name"], &top["services"][1]["name"]),
        (&json!("Frontend"), &json!("Worker"))
    );
    assert_eq!(top["services"][0]["kvCacheUse"], Value::Null);
    let text = dynamoctl(&ns, &["top", "g", "--prometheus", &url, "--window", &window]);
    assert_eq!(text.code, 0, "{text:?}");
    assert!(text.out.contains("42%") && text.out.contains("TTFT P50"), "{}", text.out);
    println!("{}", text.out);

    let none = dynamoctl(&ns, &["top", "g"]);
    assert!(none.code == 2 && none.err.contains("name one with --prometheus URL"), "{none:?}");
    let Some(address) = address().filter(|address| !address.is_loopback()) else { return };
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "prometheus-operated", "labels": {"operated-prometheus": "true"}},
        "spec": {"ports": [{"name": "web", "port": 9090, "targetPort": port}]},
    }))
    .unwrap();
    // The API server goes to addresses of pods alone.
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "prometheus-0"}, "spec": {"containers": [{"name": "main", "image": "example/prometheus:1"}]},
    }))
    .unwrap();
    let pods = api::<Pod>(&client, &ns);
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let status = json!({"status": {"podIP": address, "podIPs": [{"ip": address}]}});
    pods.patch_status("prometheus-0", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    let endpoints: Endpoints = serde_json::from_value(json!({
        "metadata": {"name": "prometheus-operated"},
        "subsets": [{
            "addresses": [{"ip": address, "targetRef": {"kind": "Pod", "namespace": ns, "name": "prometheus-0"}}],
            "ports": [{"name": "web", "port": port}],
        }],
    }))
    .unwrap();
    api::<Service>(&client, &ns).create(&PostParams::default(), &service).await.unwrap();
    api::<Endpoints>(&client, &ns).create(&PostParams::default(), &endpoints).await.unwrap();
    let found = eventually("the API server knows the endpoint", || async {
        let found = dynamoctl(&ns, &["top", "g", "--window", &window]);
        if found.code == 0 { Ok(found) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert!(found.out.contains("prometheus-operated") && found.out.contains("42%"), "{}", found.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_without_figures_or_without_an_answer_is_told_so() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker("g")).await;
    for (url, text) in [
        ("http://127.0.0.1:1", "cannot ask Prometheus (http://127.0.0.1:1)"),
        ("localhost", "write http://HOST:PORT"),
    ] {
        let answer = dynamoctl(&ns, &["top", "g", "--prometheus", url]);
        assert_eq!((answer.code, answer.out.as_str()), (2, ""), "{answer:?}");
        assert!(answer.err.contains(text), "{}", answer.err);
    }
    let port = serve(metrics).await;
    let (_process, port) = prometheus(&ns, port, port);
    let url = format!("http://127.0.0.1:{port}");
    let mut other = worker("other");
    other["spec"]["services"]["Worker"]["replicas"] = json!(0);
    create(&client, &ns, &other).await;
    let answer = eventually("Prometheus answers", || async {
        let answer = dynamoctl(&ns, &["top", "other", "--prometheus", &url]);
        if answer.code == 1 { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert!(answer.err.contains("has no figures of graph other"), "{}", answer.err);
}
