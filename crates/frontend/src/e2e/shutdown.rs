//! The end of a frontend: no request fails while it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;

use super::client::{self, chat, get};
use super::worker::{Script, Worker};
use super::{MODEL, World};

fn request(stream: bool) -> serde_json::Value {
    json!({"model": MODEL, "stream": stream, "stop": "!", "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test]
async fn a_draining_frontend_is_not_ready_closes_connections_and_still_answers() {
    let world = World::start(|_| {}).await;
    let _worker = Worker::start(&world, 1, Script::Say("x")).await;
    world.models(1).await;
    let address = world.frontend.address();
    assert_eq!(get(address, "/health").await.status, 200);
    world.frontend.begin_drain();
    let health = get(address, "/health").await;
    assert_eq!((health.status, health.json()["status"].clone()), (503, json!("notready")));
    let live = get(address, "/live").await;
    assert_eq!((live.status, live.json()["status"].clone()), (503, json!("shutting_down")));
    let answer = chat(address, &request(false)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
}

#[tokio::test]
async fn a_stream_in_work_is_finished_before_the_frontend_ends() {
    let world = World::start(|_| {}).await;
    let mut first = Worker::start(&world, 1, Script::SayThenHang("ab")).await;
    world.models(1).await;
    let World { frontend, discovery, card: _, _model } = world;
    let mut stream =
        client::open(frontend.address(), "/v1/chat/completions", &[], Some(&request(true))).await;
    first.busy().await;
    let ended = Arc::new(AtomicBool::new(false));
    let flag = ended.clone();
    let ending = tokio::spawn(async move {
        let complete = frontend.shutdown().await;
        flag.store(true, Ordering::Release);
        complete
    });
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!ended.load(Ordering::Acquire), "the stream is still open");
    // The worker goes away, which ends the stream with an error event: the answer is over.
    discovery.unregister(&first.handle).await.unwrap();
    first.die();
    let mut rest = Vec::new();
    client::timed(stream.read_to_end(&mut rest)).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("event: error"));
    assert!(ending.await.unwrap(), "nothing was cut off");
}

#[tokio::test]
async fn requests_that_outlive_the_drain_time_are_cut_off() {
    let world = World::start(|config| config.http.drain = Duration::from_millis(200)).await;
    let worker = Worker::start(&world, 1, Script::SayThenHang("ab")).await;
    world.models(1).await;
    let World { frontend, discovery: _discovery, card: _, _model } = world;
    let _stream = client::open(frontend.address(), "/v1/chat/completions", &[], Some(&request(true))).await;
    worker.busy().await;
    assert!(!frontend.shutdown().await);
}

#[tokio::test]
async fn no_request_fails_while_workers_are_replaced_one_after_the_other() {
    let world = World::start(|_| {}).await;
    let mut workers = vec![
        Worker::start(&world, 1, Script::Say("x")).await,
        Worker::start(&world, 2, Script::Say("x")).await,
    ];
    world.models(1).await;
    let address = world.frontend.address();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let load = tokio::spawn(async move {
        let mut count = 0;
        while !flag.load(Ordering::Acquire) {
            let answer = chat(address, &request(count % 2 == 0)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(!answer.body.contains("error"), "{}", answer.body);
            count += 1;
        }
        count
    });
    for id in 3..9 {
        let old = workers.remove(0);
        workers.push(Worker::start(&world, id, Script::Say("x")).await);
        world.discovery.unregister(&old.handle).await.unwrap();
        old.retire().await;
    }
    stop.store(true, Ordering::Release);
    assert!(load.await.unwrap() > 0);
}
