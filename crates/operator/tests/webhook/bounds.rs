//! Limits of size, time, number and memory, and what a caller beyond them is told.

use std::time::Duration;

use axum::body::Bytes;
use dynamo_operator::webhook::Limits;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::support::{
    Served, Server,
    client::{Answer, Client},
    knowledge, reviews,
};

const LIMIT: usize = 16 << 20;

fn padded(bytes: usize) -> String {
    let mut graph = reviews::object(reviews::GRAPH);
    graph["metadata"]["annotations"]["pad"] = json!("");
    let bare = reviews::create(&graph).to_string().len();
    graph["metadata"]["annotations"]["pad"] = json!("x".repeat(bytes - bare));
    let body = reviews::create(&graph).to_string();
    assert_eq!(body.len(), bytes);
    body
}

#[tokio::test]
async fn a_body_just_below_16_mib_is_judged_and_a_longer_one_is_refused() {
    let served = Served::new(knowledge(), Limits { deadline: Duration::from_secs(60), ..Limits::default() });
    let server = Server::start(served.router.clone(), false).await;
    let path = reviews::validating_path(reviews::GRAPH);
    let mut client = Client::connect(server.address, &server.identity).await.unwrap();
    for bytes in [LIMIT - 1024, LIMIT] {
        let answer = client.post(&path, padded(bytes).into()).await.unwrap();
        assert_eq!(answer.response()["allowed"], true);
    }
    // A length that is too great is refused as announced, another at the byte that is too much.
    for (length, sent) in [(Some(LIMIT + 1), 1), (None, LIMIT + 1)] {
        let mut client = Client::connect(server.address, &server.identity).await.unwrap();
        let (pieces, answer) = client.begin(&path, length);
        let answer = tokio::spawn(answer);
        pieces.send(vec![b' '; sent].into()).await.unwrap();
        assert_eq!(answer.await.unwrap().unwrap().status, 413);
    }
    assert!(
        served.metrics().contains(r#"webhook_refused_total{cause="too_large"} 2"#),
        "{}",
        served.metrics()
    );
}

#[tokio::test]
async fn a_review_of_two_objects_of_the_largest_size_works() {
    let served = Served::new(knowledge(), Limits { deadline: Duration::from_secs(60), ..Limits::default() });
    let server = Server::start(served.router.clone(), false).await;
    let mut client = Client::connect(server.address, &server.identity).await.unwrap();
    let old = reviews::large_graph(1_400_000);
    assert!((1_300_000..1_500_000).contains(&old.to_string().len()), "{}", old.to_string().len());
    let mut new = old.clone();
    new["spec"]["services"]["Worker3"]["replicas"] = json!(5);
    let body = reviews::update(&old, &new).to_string();
    let answer = client.post(&reviews::validating_path(reviews::GRAPH), body.into()).await.unwrap();
    assert_eq!(answer.response()["allowed"], true, "{}", answer.response());

    new["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    new["spec"]["services"]["Worker3"]["replicas"] = json!(-1);
    let body = reviews::update(&new, &new).to_string();
    let answer = client.post(&reviews::validating_path(reviews::GRAPH), body.into()).await.unwrap();
    assert_eq!(answer.response()["allowed"], true, "its finalizers can be taken off");
}

/// Callers that have begun a body of their own and wait.
struct Slow(Vec<(Client, mpsc::Sender<Bytes>, JoinHandle<hyper::Result<Answer>>)>);

impl Slow {
    async fn start(served: &Served, server: &Server, number: usize) -> Self {
        let mut slow = Self(Vec::new());
        for _ in 0..number {
            let mut client = Client::connect(server.address, &server.identity).await.unwrap();
            let (pieces, answer) = client.begin(&reviews::validating_path(reviews::GRAPH), None);
            let answer = tokio::spawn(answer);
            pieces.send("{".into()).await.unwrap();
            slow.0.push((client, pieces, answer));
        }
        while !served.metrics().contains(&format!("webhook_in_flight {number}\n")) {
            assert!(slow.all_wait(), "nobody reads them");
            tokio::task::yield_now().await;
        }
        slow
    }

    fn all_wait(&self) -> bool {
        self.0.iter().all(|(_, _, answer)| !answer.is_finished())
    }
}

#[tokio::test]
async fn overload_is_answered_at_once_and_ends_with_the_slow_bodies() {
    const SLOW: usize = 3;
    let limits = Limits { bodies: SLOW, deadline: Duration::from_secs(4), ..Limits::default() };
    let served = Served::new(knowledge(), Limits { patience: limits.deadline, ..limits });
    let server = Server::start(served.router.clone(), false).await;
    let path = reviews::validating_path(reviews::GRAPH);
    let slow = Slow::start(&served, &server, SLOW).await;
    let body = reviews::create(&reviews::object(reviews::GRAPH)).to_string();
    let mut client = Client::connect(server.address, &server.identity).await.unwrap();
    let answer = client.post(&path, body.clone().into()).await.unwrap();
    assert_eq!((answer.status, answer.retry_after.as_deref()), (429, Some("1")));
    assert!(slow.all_wait(), "refused while the others wait");

    for (_client, _pieces, answer) in slow.0 {
        assert_eq!(answer.await.unwrap().unwrap().status, 408, "a slow body ends at the deadline");
    }
    assert_eq!(client.post(&path, body.into()).await.unwrap().response()["allowed"], true);
    let metrics = served.metrics();
    for line in [
        r#"webhook_refused_total{cause="overload"} 1"#,
        r#"webhook_refused_total{cause="deadline"} 3"#,
        "webhook_in_flight 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn slow_bodies_do_not_keep_others_from_being_judged() {
    const HOUR: Duration = Duration::from_secs(3600);
    let limits = Limits { requests: 1, patience: HOUR, deadline: HOUR, ..Limits::default() };
    let served = Served::new(knowledge(), limits);
    let server = Server::start(served.router.clone(), false).await;
    let slow = Slow::start(&served, &server, 3).await;
    let mut client = Client::connect(server.address, &server.identity).await.unwrap();
    for _ in 0..3 {
        let body = reviews::create(&reviews::object(reviews::GRAPH)).to_string();
        let answer = client.post(&reviews::validating_path(reviews::GRAPH), body.into()).await.unwrap();
        assert_eq!(answer.response()["allowed"], true);
    }
    assert!(slow.all_wait());
}

#[tokio::test]
async fn a_body_that_stalls_or_trickles_ends_long_before_the_deadline() {
    const HOUR: Duration = Duration::from_secs(3600);
    let limits = Limits { patience: Duration::from_millis(500), deadline: HOUR, ..Limits::default() };
    let served = Served::new(knowledge(), limits);
    let server = Server::start(served.router.clone(), false).await;
    // A great part at once earns no time to rest on: 15 MiB at the least rate are 15 s.
    for first in [1, 15 << 20] {
        let mut client = Client::connect(server.address, &server.identity).await.unwrap();
        let (pieces, answer) = client.begin(&reviews::validating_path(reviews::GRAPH), Some(LIMIT));
        let answer = tokio::spawn(answer);
        pieces.send(vec![b' '; first].into()).await.unwrap();
        let mut trickled = 0;
        while !answer.is_finished() {
            // A closed channel is the end of the request.
            let _ = pieces.send(" ".into()).await;
            trickled += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(trickled < 100, "still read after {trickled} pieces");
        }
        // A client that is still sending may miss the answer, so the counter tells below.
        answer.abort();
    }
    let metrics = served.metrics();
    assert!(metrics.contains(r#"webhook_refused_total{cause="deadline"} 2"#), "{metrics}");
}

#[tokio::test]
async fn bodies_share_a_bounded_memory_that_is_given_back() {
    let patience = Duration::from_secs(60);
    let limits = Limits { room: 100_000, patience, deadline: patience, ..Limits::default() };
    let served = Served::new(knowledge(), limits);
    let server = Server::start(served.router.clone(), false).await;
    let path = reviews::validating_path(reviews::GRAPH);
    let mut holder = Client::connect(server.address, &server.identity).await.unwrap();
    let (pieces, held) = holder.begin(&path, None);
    let held = tokio::spawn(held);
    pieces.send(vec![b' '; 90_000].into()).await.unwrap();
    let mut client = Client::connect(server.address, &server.identity).await.unwrap();
    loop {
        let answer = client.post(&path, padded(20_000).into()).await.unwrap();
        if answer.status == 429 {
            break;
        }
        // The first body is still on its way.
        assert_eq!(answer.status, 200);
    }
    drop(pieces);
    assert_eq!(held.await.unwrap().unwrap().status, 400);
    let mut client = Client::connect(server.address, &server.identity).await.unwrap();
    assert_eq!(client.post(&path, padded(99_000).into()).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_defect_ends_one_review_and_is_counted() {
    for bytes in [20_000, 300_000] {
        let mut knowledge = knowledge();
        knowledge.excluded = Box::new(|_| panic!("a defect, on purpose"));
        let served = Served::new(knowledge, Limits::default());
        let server = Server::start(served.router.clone(), false).await;
        let mut client = Client::connect(server.address, &server.identity).await.unwrap();
        for _ in 0..2 {
            let path = reviews::validating_path(reviews::GRAPH);
            assert_eq!(client.post(&path, padded(bytes).into()).await.unwrap().status, 500);
        }
        let metrics = served.metrics();
        assert!(
            metrics.contains("webhook_panics_total 2") && metrics.contains("webhook_in_flight 0"),
            "{metrics}"
        );
    }
}
