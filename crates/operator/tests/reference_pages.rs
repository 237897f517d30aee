//! The reference pages of the operator are what the program says.
//! `UPDATE_REFERENCE=1 cargo test -p dynamo-operator --test reference_pages` writes them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::body::Body;
use dynamo_kubekit::{client, metrics::Verdict};
use dynamo_operator::{
    certs::CertificateMetrics,
    metrics::{Metrics, Resources, Source},
    optional_apis::OptionalApis,
    webhook::{Knowledge, Limits, WebhookMetrics, router},
};
use dynamo_render::OperatorConfig;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher;
use prometheus_client::registry::Registry;
use serde_json::json;
use tower::ServiceExt;

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

fn check(name: &str, generated: &str) {
    let path = page(name);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, generated, "docs/reference/{name} is out of date: set UPDATE_REFERENCE=1");
}

#[test]
fn the_committed_page_of_flags_is_what_the_table_says() {
    check("flags.md", &dynamo_operator::flags::reference());
}

const METRICS_INTRO: &str = "# Metrics of the operator

Generated from the program (`UPDATE_REFERENCE=1 cargo test -p dynamo-operator --test reference_pages`).

`/metrics` on `--metrics-bind-address` answers in the text format of OpenMetrics 1.0. A histogram has the series `_bucket`,
`_sum` and `_count`. Every label has a bounded set of values: kinds, verbs, results, namespaces; names of objects are in the
log and in conditions. The families `go_*` do not exist: this is no Go program.

| metric | type | labels | meaning |
|---|---|---|---|
";

/// Everything that the program registers, each family with a value, since empty ones are not shown.
async fn registry() -> Registry {
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let webhook = WebhookMetrics::default();
    webhook.register(&mut registry);
    review(&webhook).await;
    let certificates = CertificateMetrics::default();
    certificates.register(&mut registry);
    certificates.expires("leaf", k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
    certificates.step("leaf");

    let key = || ("ns".to_owned(), "name".to_owned());
    metrics.reconcile.queue("Kind").added("ns", "name");
    metrics.reconcile.queue("Kind").retried();
    metrics.reconcile.limit("Kind", 8);
    metrics.reconcile.start("Kind", key()).end(Verdict::Error("conflict"));
    let reconcile = metrics.reconcile.clone();
    let panicked = std::thread::spawn(move || {
        let _attempt = reconcile.start("Kind", key());
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.join().is_err());
    metrics.reconcile.applied("Kind", "created");
    metrics.leader.set("lease", true);
    metrics.optional_apis.set(&OptionalApis::default());
    let nobody = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = client::build(&nobody, Arc::clone(&metrics.api)).unwrap();
    assert!(client.list_api_groups().await.is_err());
    let cache =
        dynamo_kubekit::cache::Feed::<ConfigMap>::new(client, None, watcher::Config::default()).cache();
    let mut object = ConfigMap::default();
    object.metadata.name = Some("name".to_owned());
    object.metadata.namespace = Some("ns".to_owned());
    cache.note_written(object);
    let resources: &Resources = &metrics.resources;
    resources.count(&[Source::new("Kind", cache, |_| "ready")], &|_| false);
    registry
}

/// One that ends in a denial, which is counted by all families of admission.
async fn review(metrics: &WebhookMetrics) {
    let knowledge = Knowledge {
        config: OperatorConfig::default(),
        version: "0.9.0".to_owned(),
        restricted: false,
        trusted: Vec::new(),
        excluded: Box::new(|_| false),
        optional_apis: Box::new(OptionalApis::default),
    };
    let kind = json!({"group": "nvidia.com", "version": "v1alpha1", "kind": "DynamoModel"});
    let model = json!({"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoModel",
        "metadata": {"name": "m", "namespace": "ns"}, "spec": {"modelName": "", "baseModelName": ""}});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "kind": kind, "operation": "CREATE", "name": "m", "namespace": "ns",
        "resource": {"group": "nvidia.com", "version": "v1alpha1", "resource": "dynamomodels"},
        "userInfo": {"username": "jane"}, "object": model,
    }});
    let request = axum::http::Request::post("/validate-nvidia-com-v1alpha1-dynamomodel")
        .header("content-type", "application/json")
        .body(Body::from(review.to_string()))
        .unwrap();
    let answer = router(knowledge, metrics.clone(), Limits::default()).oneshot(request).await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// One row per family, from what a scraper sees.
fn metrics_page(text: &str) -> String {
    let mut page = METRICS_INTRO.to_owned();
    let mut rows = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let kind = lines[index + 1].rsplit_once(' ').unwrap().1;
        let sample = lines[index + 2..].iter().find(|line| !line.starts_with('#')).unwrap();
        assert!(sample.starts_with(name), "{name} has no sample: {sample}");
        let labels = sample.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
        let labels: Vec<String> = labels
            .split("\",")
            .filter_map(|pair| Some(pair.split_once('=')?.0))
            .filter(|label| *label != "le")
            .map(|label| format!("`{label}`"))
            .collect();
        let suffix = if kind == "counter" { "_total" } else { "" };
        let help = help.trim_end_matches('.').replace('<', "\\<");
        rows.push(format!("| `{name}{suffix}` | {kind} | {} | {help} |\n", labels.join(", ")));
    }
    rows.sort();
    page.extend(rows);
    page
}

#[tokio::test]
async fn the_committed_page_of_metrics_is_what_a_scraper_sees() {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry().await).unwrap();
    check("metrics.md", &metrics_page(&text));
}
