//! Workers that refuse, vanish, break off; clients that leave.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::client::{self, chat};
use super::worker::{Script, Worker};
use super::{MODEL, World};

fn request(stream: bool) -> Value {
    json!({"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test]
async fn a_worker_that_cannot_be_reached_is_replaced_without_the_client_noticing() {
    let world = World::start(|_| {}).await;
    let mut gone = Worker::start(&world, 1, Script::Say("never")).await;
    let _good = Worker::start(&world, 2, Script::Say("fine")).await;
    world.models(1).await;
    gone.die();
    for _ in 0..6 {
        let answer = chat(world.frontend.address(), &request(false)).await;
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "fine", "{}", answer.body);
    }
    world
        .metric("dynamo_frontend_model_migration_total{model=\"org/echo-model\",migration_type=\"new_request\"} 1")
        .await;
}

#[tokio::test]
async fn a_model_without_reachable_workers_answers_503_with_the_reason() {
    let world = World::start(|config| config.patience = std::time::Duration::from_millis(300)).await;
    let mut gone = Worker::start(&world, 1, Script::Say("never")).await;
    world.models(1).await;
    gone.die();
    let answer = chat(world.frontend.address(), &request(true)).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("no instance of model"), "{}", answer.body);
    world.discovery.unregister(&gone.handle).await.unwrap();
    world.models(0).await;
    let answer = chat(world.frontend.address(), &request(false)).await;
    assert_eq!(answer.status, 503, "the model is still known for a while: {}", answer.body);
}

#[tokio::test]
async fn a_request_waits_for_the_next_worker_of_a_roll() {
    let world = World::start(|_| {}).await;
    let old = Worker::start(&world, 1, Script::Say("old")).await;
    world.models(1).await;
    world.discovery.unregister(&old.handle).await.unwrap();
    world.models(0).await;
    let address = world.frontend.address();
    let waiting = tokio::spawn(async move { chat(address, &request(false)).await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let _new = Worker::start(&world, 2, Script::Say("new")).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "new", "{}", answer.body);
}

/// Starts a stream on a worker that hangs, then takes the worker away in the middle.
async fn broken(migration_limit: u32) -> (World, client::Answer, Worker) {
    let world = World::start(|config| config.migration_limit = migration_limit).await;
    let mut first = Worker::start(&world, 1, Script::SayThenHang("abc")).await;
    world.models(1).await;
    let address = world.frontend.address();
    let mut body = request(true);
    body["max_tokens"] = json!(6);
    let mut stream = client::open(address, "/v1/chat/completions", &[], Some(&body)).await;
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("\"content\":\"c\"") {
        let mut piece = [0; 4096];
        let count = client::timed(stream.read(&mut piece)).await.unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..count]);
    }
    let second = Worker::start(&world, 2, Script::Say("defgh")).await;
    world.discovery.unregister(&first.handle).await.unwrap();
    first.die();
    let mut rest = Vec::new();
    client::timed(stream.read_to_end(&mut rest)).await.unwrap();
    seen.extend(rest);
    let text = String::from_utf8_lossy(&seen).into_owned();
    let answer = client::Answer { status: 200, head: String::new(), body: text };
    (world, answer, second)
}

#[tokio::test]
async fn a_broken_stream_goes_on_elsewhere_with_the_tokens_already_made() {
    let (world, answer, second) = broken(1).await;
    assert_eq!(answer.streamed_text(), "abcdef");
    assert!(answer.body.contains("data: [DONE]"), "{}", answer.body);
    let seen = second.requests().remove(0);
    assert_eq!(seen.token_ids[seen.token_ids.len() - 3..], [97, 98, 99]);
    assert_eq!(seen.stop_conditions.max_tokens, Some(3));
    world
        .metric("dynamo_frontend_model_migration_total{model=\"org/echo-model\",migration_type=\"ongoing_request\"} 1")
        .await;
}

#[tokio::test]
async fn a_broken_stream_without_migration_ends_with_an_error_event_and_counts_as_error() {
    let (world, answer, _second) = broken(0).await;
    assert!(
        answer.body.contains("event: error\n: Failed to generate completions: Stream ended"),
        "{}",
        answer.body
    );
    assert!(!answer.body.contains("[DONE]"), "{}", answer.body);
    world.metric("dynamo_frontend_requests_total{model=\"org/echo-model\",endpoint=\"chat_completions\",request_type=\"stream\",status=\"error\"} 1").await;
}

#[tokio::test]
async fn a_worker_s_error_is_passed_on_with_its_status_or_as_500() {
    let world = World::start(|_| {}).await;
    let worker =
        Worker::start(&world, 1, Script::SayThenError("a", r#"{"message":"bad image","code":422}"#)).await;
    world.models(1).await;
    let answer = chat(world.frontend.address(), &request(false)).await;
    assert_eq!((answer.status, answer.json()["message"].clone()), (422, json!("bad image")));
    world.discovery.unregister(&worker.handle).await.unwrap();
    let _other = Worker::start(&world, 2, Script::SayThenError("a", "engine died")).await;
    let answer = chat(world.frontend.address(), &request(false)).await;
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert_eq!(answer.json()["message"], "Failed to generate completions: engine died");
}

#[tokio::test]
async fn a_client_that_leaves_kills_its_request_on_the_worker_and_is_counted() {
    for stream in [true, false] {
        let world = World::start(|_| {}).await;
        let worker = Worker::start(&world, 1, Script::SayThenHang("abc")).await;
        world.models(1).await;
        let connection =
            client::open(world.frontend.address(), "/v1/chat/completions", &[], Some(&request(stream))).await;
        worker.busy().await;
        drop(connection);
        client::timed(worker.cancelled.cancelled()).await;
        world.metric("dynamo_frontend_disconnected_clients 1").await;
        world.metric("dynamo_frontend_inflight_requests{model=\"org/echo-model\"} 0").await;
    }
}

#[tokio::test]
async fn a_worker_with_another_card_gets_no_requests() {
    let world = World::start(|_| {}).await;
    let _good = Worker::start(&world, 1, Script::Say("good")).await;
    world.models(1).await;
    let other = dynamo_runtime::ModelCard { context_length: 99, ..world.card.clone() };
    let odd = Worker::with_card(&world, 2, Script::Say("odd"), other).await;
    for _ in 0..4 {
        let answer = chat(world.frontend.address(), &request(false)).await;
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "good");
    }
    assert!(odd.requests().is_empty());
}
