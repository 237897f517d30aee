//! What clients get: bodies, streams, usage, limits, annotations.

use serde_json::{Value, json};

use super::client::{self, chat, get, post};
use super::worker::{Script, Worker};
use super::{MODEL, World};

fn request(extra: &Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]});
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_chat_answer_has_text_finish_reason_and_usage() {
    let world = World::start(|_| {}).await;
    let worker = Worker::start(&world, 7, Script::Say("Grüße!")).await;
    world.models(1).await;
    let answer = chat(
        world.frontend.address(),
        &request(&json!({"nvext": {"extra_fields": ["worker_id", "timing"]}})),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert!(body["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")));
    assert_eq!(body["choices"][0]["message"], json!({"role": "assistant", "content": "Grüße!"}));
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    // The template makes "<|user|>user:hi\n": one special token and eight bytes.
    assert_eq!(body["usage"], json!({"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}));
    assert_eq!(body["nvext"]["worker_id"], json!({"prefill_worker_id": 7, "decode_worker_id": 7}));
    assert!(body["nvext"]["timing"]["total_time_ms"].is_number(), "{body}");
    let seen = worker.requests().remove(0);
    assert_eq!(seen.token_ids[0], 256);
    assert_eq!(seen.stop_conditions.max_tokens, Some(512 - 9), "the rest of the context");
    assert_eq!(seen.eos_token_ids, [crate::fixture::EOS]);
    world.metric("dynamo_frontend_requests_total{model=\"org/echo-model\",endpoint=\"chat_completions\",request_type=\"unary\",status=\"success\"} 1").await;
    world.metric("dynamo_frontend_inflight_requests{model=\"org/echo-model\"} 0").await;
    world.metric("dynamo_frontend_queued_requests{model=\"org/echo-model\"} 0").await;
    world.metric("dynamo_frontend_output_tokens_total{model=\"org/echo-model\"} 8").await;
    world.metric("dynamo_frontend_model_context_length{model=\"Org/Echo-Model\"} 512").await;
}

#[tokio::test]
async fn a_chat_stream_gives_the_same_text_then_usage_then_done() {
    let world = World::start(|_| {}).await;
    let _worker = Worker::start(&world, 7, Script::Say("Grüße!")).await;
    world.models(1).await;
    let body = request(&json!({
        "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 4,
        "nvext": {"annotations": ["request_id", "formatted_prompt", "token_ids"]},
    }));
    let answer = chat(world.frontend.address(), &body).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/event-stream"), "{}", answer.head);
    assert!(answer.body.starts_with("event: request_id\n: \""), "{}", answer.body);
    assert!(answer.body.contains("event: formatted_prompt\n: \"<|user|>user:hi\\n\"\n\n"), "{}", answer.body);
    assert!(answer.body.ends_with("data: [DONE]\n\n"), "{}", answer.body);
    assert_eq!(answer.streamed_text(), "Grü");
    let events = answer.events();
    let roles = events.iter().filter(|event| event["choices"][0]["delta"]["role"] == "assistant").count();
    assert_eq!(roles, 1);
    let usage = &events[events.len() - 1];
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 4);
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn completions_take_several_prompts_and_choices_with_echo_and_logprobs() {
    let world = World::start(|_| {}).await;
    let worker = Worker::start(&world, 7, Script::Say("ab")).await;
    world.models(1).await;
    let body = json!({"model": MODEL, "prompt": ["x", "yz"], "n": 2, "echo": true, "logprobs": 1, "seed": 5});
    let answer = post(world.frontend.address(), "/v1/completions", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    assert_eq!(body["object"], "text_completion");
    let texts: Vec<_> =
        body["choices"].as_array().unwrap().iter().map(|choice| choice["text"].clone()).collect();
    assert_eq!(texts, ["xab", "xab", "yzab", "yzab"]);
    let indexes: Vec<_> =
        body["choices"].as_array().unwrap().iter().map(|choice| choice["index"].clone()).collect();
    assert_eq!(indexes, [0, 1, 2, 3]);
    assert_eq!(body["choices"][0]["logprobs"]["token_logprobs"], json!([-0.5, -0.5]));
    assert_eq!(body["usage"], json!({"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}));
    let mut seeds: Vec<_> = worker.requests().iter().map(|request| request.sampling_options.seed).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [Some(5), Some(5), Some(6), Some(6)]);
    let streamed = json!({"model": MODEL, "prompt": [104, 105], "stream": true});
    let answer = post(world.frontend.address(), "/v1/completions", &streamed).await;
    assert_eq!(answer.streamed_text(), "ab");
}

#[tokio::test]
async fn a_stop_string_ends_the_text_and_the_work_on_the_worker() {
    let world = World::start(|_| {}).await;
    let worker = Worker::start(&world, 7, Script::SayThenHang("one END two")).await;
    world.models(1).await;
    let answer = chat(world.frontend.address(), &request(&json!({"stop": ["END"]}))).await;
    let choice = answer.json()["choices"][0].clone();
    assert_eq!((&choice["message"]["content"], &choice["stop_reason"]), (&json!("one "), &json!("END")));
    client::timed(worker.cancelled.cancelled()).await;
}

#[tokio::test]
async fn bad_requests_get_their_status_and_a_json_body() {
    let world = World::start(|_| {}).await;
    let address = world.frontend.address();
    let unknown = chat(address, &request(&json!({}))).await;
    assert_eq!((unknown.status, unknown.json()["type"].clone()), (404, json!("Not Found")));
    let _worker = Worker::start(&world, 7, Script::Say("x")).await;
    world.models(1).await;
    for (body, status, words) in [
        (request(&json!({"temperature": 3})), 400, "Validation: temperature"),
        (request(&json!({"functions": []})), 501, "Validation: "),
        (request(&json!({"nope": 1})), 400, "Unsupported parameter(s): `nope`"),
        (request(&json!({"messages": "x"})), 400, "expected a sequence"),
        (request(&json!({"max_tokens": 600})), 400, "context of 512"),
        (
            request(&json!({"messages": [{"role": "user", "content": "x".repeat(600)}]})),
            400,
            "context is 512",
        ),
        (request(&json!({"model": "other"})), 404, "Model not found"),
    ] {
        let answer = chat(address, &body).await;
        let error = answer.json();
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(error["message"].as_str().is_some_and(|text| text.contains(words)), "{}", answer.body);
        assert_eq!(error["code"], status);
    }
    assert_eq!(get(address, "/nowhere").await.json()["code"], 404);
    assert_eq!(get(address, "/v1/chat/completions").await.json()["code"], 405);
    assert_eq!(post(address, "/v1/embeddings", &json!({})).await.json()["code"], 501);
    let metrics = world.metrics().await;
    assert!(!metrics.contains("other"), "a client's text became a label:\n{metrics}");
}

#[tokio::test]
async fn health_lists_what_discovery_shows_and_openapi_lists_the_routes() {
    let world = World::start(|_| {}).await;
    let _worker = Worker::start(&world, 7994, Script::Say("x")).await;
    world.models(1).await;
    let health = get(world.frontend.address(), "/health").await;
    assert_eq!(health.status, 200);
    let body = health.json();
    assert_eq!(
        (&body["status"], &body["endpoints"]),
        (&json!("healthy"), &json!(["dyn://ns.backend.generate"]))
    );
    let instance = &body["instances"][0];
    assert_eq!((&instance["instance_id"], &instance["namespace"]), (&json!(7994), &json!("ns")));
    assert!(instance["transport"]["tcp"].is_string(), "{instance}");
    assert_eq!(get(world.frontend.address(), "/live").await.json()["status"], "live");
    assert!(get(world.frontend.address(), "/openapi.json").await.json()["paths"]["/v1/models"].is_object());
}

#[tokio::test]
async fn only_models_of_the_own_namespace_are_served() {
    let world = World::start(|config| config.namespace = Some("elsewhere".to_owned())).await;
    let _worker = Worker::start(&world, 7, Script::Say("x")).await;
    let answer = chat(world.frontend.address(), &request(&json!({}))).await;
    assert_eq!(answer.status, 404);
    world.models(0).await;
}

#[tokio::test]
async fn a_chosen_instance_is_the_only_one_used() {
    let world = World::start(|config| config.patience = std::time::Duration::from_millis(100)).await;
    let one = Worker::start(&world, 1, Script::Say("one")).await;
    let _two = Worker::start(&world, 2, Script::Say("two")).await;
    world.models(1).await;
    for _ in 0..3 {
        let body = request(&json!({}));
        let headers = [("x-worker-instance-id", "1")];
        let stream =
            client::open(world.frontend.address(), "/v1/chat/completions", &headers, Some(&body)).await;
        let answer = client::read(stream).await;
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "one");
    }
    assert_eq!(one.requests().len(), 3);
    let body = request(&json!({"nvext": {"backend_instance_id": 99}}));
    let answer = chat(world.frontend.address(), &body).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("instance 99"), "{}", answer.body);
}
