//! Prefill and decode on different workers.

use serde_json::{Value, json};

use super::client::{chat, get};
use super::worker::{Script, Worker};
use super::{MODEL, World};

fn request() -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}],
           "nvext": {"extra_fields": ["worker_id"]}})
}

#[tokio::test]
async fn the_prefill_worker_s_parameters_reach_the_decode_worker() {
    let world = World::start(|_| {}).await;
    let prefill = Worker::with_card(&world, 5, Script::Prefill, world.prefill_card()).await;
    let decode = Worker::start(&world, 6, Script::Say("ok")).await;
    world.models(1).await;
    let answer = chat(world.frontend.address(), &request()).await;
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "ok", "{}", answer.body);
    assert_eq!(body["nvext"]["worker_id"], json!({"prefill_worker_id": 5, "decode_worker_id": 6}));
    assert_eq!(prefill.requests()[0].stop_conditions.max_tokens, Some(1));
    let seen = decode.requests().remove(0);
    assert_eq!(seen.prefill_result.unwrap().disaggregated_params, json!({"kv": 9}));
    assert_eq!(seen.router_config_override.unwrap().overlap_score_weight, Some(0.0));
}

#[tokio::test]
async fn a_prefill_worker_with_a_bootstrap_address_works_beside_decode() {
    let world = World::start(|_| {}).await;
    let mut card = world.prefill_card();
    card.runtime_config.disaggregated_endpoint = Some(dynamo_runtime::card::DisaggregatedEndpoint {
        bootstrap_host: Some("198.18.0.5".to_owned()),
        bootstrap_port: Some(9000),
    });
    let prefill = Worker::with_card(&world, 5, Script::Prefill, card).await;
    let decode = Worker::start(&world, 6, Script::Say("ok")).await;
    world.models(1).await;
    let answer = chat(world.frontend.address(), &request()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let seen = decode.requests().remove(0);
    let bootstrap = seen.bootstrap_info.unwrap();
    assert_eq!((bootstrap.bootstrap_host.as_str(), bootstrap.bootstrap_port), ("198.18.0.5", 9000));
    assert!(seen.prefill_result.is_none());
    prefill.busy().await;
    assert_eq!(prefill.requests()[0].bootstrap_info, Some(bootstrap));
}

#[tokio::test]
async fn without_a_prefill_worker_decode_does_it_all_unless_that_is_forbidden() {
    for (enforce, status) in [(false, 200), (true, 503)] {
        let world = World::start(|config| config.enforce_disagg = enforce).await;
        let _decode = Worker::start(&world, 6, Script::Say("ok")).await;
        world.models(1).await;
        let answer = chat(world.frontend.address(), &request()).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_failing_prefill_falls_back_to_decode_only_unless_that_is_forbidden() {
    for (enforce, status) in [(false, 200), (true, 500)] {
        let world = World::start(|config| config.enforce_disagg = enforce).await;
        let script = Script::SayThenError("a", "no memory");
        let _prefill = Worker::with_card(&world, 5, script, world.prefill_card()).await;
        let _decode = Worker::start(&world, 6, Script::Say("ok")).await;
        world.models(1).await;
        let answer = chat(world.frontend.address(), &request()).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_model_with_prefill_workers_only_is_listed_and_not_served() {
    let world = World::start(|_| {}).await;
    let _prefill = Worker::with_card(&world, 5, Script::Prefill, world.prefill_card()).await;
    world.models(1).await;
    assert_eq!(get(world.frontend.address(), "/v1/models").await.json()["data"][0]["id"], MODEL);
    assert_eq!(chat(world.frontend.address(), &request()).await.status, 404);
}

#[tokio::test]
async fn prefill_is_spread_over_all_prefill_workers() {
    let world = World::start(|_| {}).await;
    let one = Worker::with_card(&world, 4, Script::Prefill, world.prefill_card()).await;
    let two = Worker::with_card(&world, 5, Script::Prefill, world.prefill_card()).await;
    let _decode = Worker::start(&world, 6, Script::Say("ok")).await;
    world.models(1).await;
    for _ in 0..4 {
        assert_eq!(chat(world.frontend.address(), &request()).await.status, 200);
    }
    assert_eq!((one.requests().len(), two.requests().len()), (2, 2));
}
