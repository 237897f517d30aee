//! A worker over loopback: what a frontend sees of it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dynamo_runtime::metrics::{ComponentMetrics, MetricsRegistry};
use dynamo_runtime::system::{SystemHealth, SystemSettings};
use dynamo_runtime::transport::TransportSettings;
use dynamo_runtime::{
    Annotated, CallContext, Discovery, EndpointId, FinishReason, ModelCard, ModelType, PushClient,
    RequestPlaneServer, ResponseStream, WorkerOutput,
};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::flags::EngineArgs;
use crate::model::Model;
use crate::worker::Worker;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Bed {
    discovery: Discovery,
    _server: RequestPlaneServer,
    _worker: Arc<Worker>,
    client: PushClient,
}

async fn bed(args: EngineArgs) -> Bed {
    let mut model = Model { card: ModelCard::with_name("m"), answer_tokens: 1000..2000 };
    model.card.model_type = ModelType::CHAT | ModelType::COMPLETIONS;
    model.describe(&args);
    let server = RequestPlaneServer::bind(HERE, 0).await.unwrap();
    let discovery = Discovery::memory();
    let health = SystemHealth::new(&SystemSettings::default());
    let worker = Worker::start(&args, &model);
    let id = EndpointId::new("ns", "backend", "generate");
    let metrics = ComponentMetrics::register(&MetricsRegistry::default(), &id, None);
    worker.publish(&server, &discovery, &health, &metrics, (&id, 7), &model).await.unwrap();
    let client = PushClient::start(HERE, TransportSettings::default()).await.unwrap();
    Bed { discovery, _server: server, _worker: worker, client }
}

fn fast() -> EngineArgs {
    EngineArgs { speedup_ratio: 0.0, ..EngineArgs::default() }
}

async fn ask(bed: &Bed, request: Value) -> ResponseStream<WorkerOutput> {
    let snapshot = bed.discovery.watch().borrow().clone();
    let instance = snapshot.instances.values().next().unwrap();
    bed.client.call(instance, &request, CallContext::new("r")).await.unwrap()
}

async fn all(bed: &Bed, request: Value) -> Vec<Annotated<WorkerOutput>> {
    ask(bed, request).await.map(Result::unwrap).collect().await
}

#[tokio::test]
async fn an_answer_has_the_asked_number_of_tokens_and_then_a_reason() {
    let bed = bed(fast()).await;
    let items = all(&bed, json!({"token_ids": [1, 2, 3], "stop_conditions": {"max_tokens": 5}})).await;
    assert_eq!(items.len(), 6);
    for item in &items[..5] {
        let output = item.data.as_ref().unwrap();
        assert_eq!(output.token_ids.len(), 1);
        assert!((1000..2000).contains(&output.token_ids[0]) && output.finish_reason.is_none());
    }
    let last = items[5].data.as_ref().unwrap();
    assert!(last.token_ids.is_empty() && last.finish_reason == Some(FinishReason::Length));
}

#[tokio::test]
async fn wrong_requests_are_answered_with_an_error() {
    let bed = bed(EngineArgs { num_gpu_blocks: 10, block_size: 4, ..fast() }).await;
    for (request, text) in [
        (json!({"token_ids": [1]}), "max_tokens"),
        (json!({"token_ids": [1], "stop_conditions": {"max_tokens": 0}}), "max_tokens"),
        (json!({"token_ids": "x"}), "worker request"),
        (json!({"token_ids": vec![1; 100], "stop_conditions": {"max_tokens": 1}}), "100 tokens"),
        (
            json!({"token_ids": [1], "stop_conditions": {"max_tokens": 1}, "routing": {"dp_rank": 3}}),
            "dp_rank 3",
        ),
    ] {
        let items = all(&bed, request).await;
        assert_eq!(items.len(), 1);
        let message = items[0].error_message().unwrap();
        assert!(message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn a_prefill_worker_answers_one_token_and_the_hand_over() {
    let bed = bed(EngineArgs { is_prefill: true, ..fast() }).await;
    let snapshot = bed.discovery.watch().borrow().clone();
    assert!(snapshot.cards.values().all(|entry| entry.card.model_type == ModelType::PREFILL));
    let items = all(&bed, json!({"token_ids": [1], "stop_conditions": {"max_tokens": 50}})).await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[0].data.as_ref().unwrap().disaggregated_params, Some(json!("dummy")));
}

#[tokio::test]
async fn a_stopped_request_ends_as_cancelled() {
    let bed = bed(EngineArgs { speedup_ratio: 1.0, ..EngineArgs::default() }).await;
    let request = json!({"token_ids": [1], "stop_conditions": {"max_tokens": 100_000}});
    let mut stream = ask(&bed, request).await;
    stream.next().await.unwrap().unwrap();
    stream.stop();
    let items: Vec<_> = stream.map(Result::unwrap).collect().await;
    let reason = items.last().and_then(|item| item.data.as_ref()).and_then(|data| data.finish_reason.clone());
    assert_eq!(reason, Some(FinishReason::Cancelled));
}
