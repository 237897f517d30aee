//! Ten thousand random graphs get one verdict, whoever is asked: the admission server, the step of the controller that
//! validates, and `dynamoctl validate`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

use std::{
    io::Write,
    process::{Command, Stdio},
};

use axum::{Router, body::Body};
use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_operator::{
    optional_apis::OptionalApis,
    webhook::{Knowledge, Limits, WebhookMetrics, router},
};
use dynamo_render::{
    OperatorConfig, Policy,
    testing::graphs::{Mood, graph},
    validate,
};
use http_body_util::BodyExt;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::{Value, json};
use tower::ServiceExt;

const GRAPHS: usize = 10_000;
const PREFIX: &str = "validation failed: ";

#[tokio::test]
async fn ten_thousand_random_graphs_get_one_verdict_from_webhook_controller_and_command_line() {
    let graphs = random_graphs();
    let by_command_line = command_line(&graphs);
    assert_eq!(by_command_line.len(), GRAPHS);
    let config = OperatorConfig::default();
    // Which APIs a cluster has is judged at admission alone; here it has the one that graphs may need.
    let apis = OptionalApis { inference_pools: true, ..OptionalApis::default() };
    let webhook = admission(apis);
    let mut refused = 0;
    for (graph, by_command_line) in graphs.iter().zip(by_command_line) {
        let by_webhook = review(&webhook, graph).await;
        let typed: DynamoGraphDeployment = serde_json::from_value(graph.clone()).unwrap();
        let by_controller = match validate::graph(&typed, &Policy::stateless(&config)) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(by_command_line, by_controller, "{graph}");
        assert_eq!(beginning(&by_webhook), beginning(&by_controller.join("\n")), "{graph}");
        refused += usize::from(!by_webhook.is_empty());
    }
    assert!(refused > GRAPHS / 10 && refused < GRAPHS * 9 / 10, "{refused} of {GRAPHS} refused");
}

fn random_graphs() -> Vec<Value> {
    let mut runner = TestRunner::deterministic();
    let moods = [Mood::Wild, Mood::Tame].map(graph);
    let mut graphs = Vec::with_capacity(GRAPHS);
    for number in 0..GRAPHS {
        let mut graph = moods[number % 2].new_tree(&mut runner).unwrap().current();
        graph["apiVersion"] = json!("nvidia.com/v1alpha1");
        graph["kind"] = json!("DynamoGraphDeployment");
        // An API server never asks about an object without these.
        for (field, value) in [("name", format!("g{number}")), ("namespace", "default".to_owned())] {
            if graph["metadata"][field].as_str().unwrap_or_default().is_empty() {
                graph["metadata"][field] = value.into();
            }
        }
        graphs.push(graph);
    }
    graphs
}

/// The errors of each graph, in the order of the graphs.
fn command_line(graphs: &[Value]) -> Vec<Vec<String>> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dynamoctl"))
        .args(["validate", "-o", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text: String = graphs.iter().map(|graph| format!("---\n{graph}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "some graphs are refused");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| {
            let answer: Value = serde_json::from_str(line).unwrap();
            let errors = answer["errors"].as_array().unwrap();
            errors.iter().map(|error| error.as_str().unwrap().to_owned()).collect()
        })
        .collect()
}

fn admission(apis: OptionalApis) -> Router {
    let knowledge = Knowledge {
        config: OperatorConfig::default(),
        version: "0.9.0".to_owned(),
        restricted: false,
        trusted: Vec::new(),
        excluded: Box::new(|_| false),
        optional_apis: Box::new(move || apis),
    };
    router(knowledge, WebhookMetrics::default(), Limits::default())
}

/// What surely stands in an answer, which is cut when it is very long.
fn beginning(errors: &str) -> String {
    errors.chars().take(4_000).collect()
}

/// The errors, joined by line ends as the contract says; a name may hold one, too.
async fn review(webhook: &Router, graph: &Value) -> String {
    let resource =
        json!({"group": "nvidia.com", "version": "v1alpha1", "resource": "dynamographdeployments"});
    let kind = json!({"group": "nvidia.com", "version": "v1alpha1", "kind": "DynamoGraphDeployment"});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "kind": kind, "resource": resource, "operation": "CREATE",
        "name": graph["metadata"]["name"], "namespace": graph["metadata"]["namespace"],
        "userInfo": {"username": "jane"}, "object": graph,
    }});
    let request = axum::http::Request::post("/validate-nvidia-com-v1alpha1-dynamographdeployment")
        .header("content-type", "application/json")
        .body(Body::from(review.to_string()))
        .unwrap();
    let answer = webhook.clone().oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let response = &answer["response"];
    if response["allowed"] == true {
        return String::new();
    }
    let message = response["status"]["message"].as_str().unwrap();
    message.strip_prefix(PREFIX).unwrap_or_else(|| panic!("{graph}: {message}")).to_owned()
}
