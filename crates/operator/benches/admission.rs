//! Admission over TLS: 200 reviews a second for 20 s, then as many as it takes for 5 s, beside a handler that only echoes.
//! Run with `cargo bench -p dynamo-operator --bench admission`; the last line is JSON.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for people, and a failure ends it")]

#[allow(dead_code, reason = "shared with the tests, which need more")]
#[path = "../tests/webhook/support/mod.rs"]
mod support;

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, routing::post};
use dynamo_operator::webhook::Limits;
use serde_json::{Value, json};
use support::{Identity, Served, Server, client::Client, knowledge, reviews};
use tokio::{runtime::Builder, time::sleep_until};

/// Kept-alive connections; the API server opens about as many as it has reviews at once.
const CONNECTIONS: u32 = 8;
const RATE: u32 = 200;
const STEADY: Duration = Duration::from_secs(20);
const FLOOD: Duration = Duration::from_secs(5);

/// What one phase came to.
struct Figures {
    milliseconds: Vec<f64>,
    elapsed: f64,
    refused: usize,
}

impl Figures {
    fn at(&self, share: f64) -> f64 {
        let last = self.milliseconds.len().saturating_sub(1);
        self.milliseconds.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    fn rate(&self) -> f64 {
        self.milliseconds.len() as f64 / self.elapsed
    }

    fn json(&self) -> Value {
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        json!({"p50_ms": rounded(self.at(0.5)), "p99_ms": rounded(self.at(0.99)), "max_ms": rounded(self.at(1.0)),
            "per_second": rounded(self.rate()), "answers": self.milliseconds.len(), "refused": self.refused})
    }
}

fn main() {
    let graph = reviews::object(reviews::GRAPH);
    let mut changed = graph.clone();
    changed["spec"]["services"]["Decode"]["replicas"] = json!(3);
    let bodies = [reviews::create(&graph), reviews::update(&graph, &changed)];
    let bodies = bodies.map(|review| Bytes::from(review.to_string()));
    println!("reviews of {} and {} bytes, {CONNECTIONS} connections, TLS", bodies[0].len(), bodies[1].len());

    let path = reviews::validating_path(reviews::GRAPH);
    let echo = Router::new().route(&path, post(|body: Bytes| async { body }));
    let admission = Served::new(knowledge(), Limits::default()).router;
    let [baseline, subject] = [("echo", echo), ("admission", admission)].map(|(name, router)| {
        let figures = run(router, &path, &bodies);
        for (phase, figures) in ["200/s", "flood"].iter().zip(&figures) {
            println!(
                "{name:9} {phase:5}  p50 {:7.3} ms  p99 {:7.3} ms  max {:7.3} ms  {:8.1}/s  {} refused",
                figures.at(0.5),
                figures.at(0.99),
                figures.at(1.0),
                figures.rate(),
                figures.refused
            );
        }
        figures
    });
    let ratios = json!({
        "steady_p50": subject[0].at(0.5) / baseline[0].at(0.5),
        "steady_p99": subject[0].at(0.99) / baseline[0].at(0.99),
        "flood_per_second": subject[1].rate() / baseline[1].rate(),
    });
    println!("admission / echo: {ratios}");
    let side = |figures: &[Figures; 2]| json!({"steady": figures[0].json(), "flood": figures[1].json()});
    let line = json!({"benchmark": "admission", "admission": side(&subject), "echo": side(&baseline), "ratio": ratios});
    println!("{line}");
}

/// Serves `router` on threads of its own, as many as the operator has, and measures both phases.
fn run(router: Router, path: &str, bodies: &[Bytes; 2]) -> [Figures; 2] {
    let (started, wait) = mpsc::channel();
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let serving = std::thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
        runtime.block_on(async move {
            let server = Server::start(router, false).await;
            started.send((server.address, server.identity.clone())).expect("the client waits");
            let _ = stopping.await;
        });
    });
    let (address, identity) = wait.recv().expect("a server");
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let figures = [Some(RATE), None].map(|rate| {
        let limit = if rate.is_some() { STEADY } else { FLOOD };
        runtime.block_on(phase(rate, limit, address, &identity, path, bodies))
    });
    let _ = stop.send(());
    serving.join().expect("the server ends");
    figures
}

async fn phase(
    rate: Option<u32>,
    limit: Duration,
    address: std::net::SocketAddr,
    identity: &Identity,
    path: &str,
    bodies: &[Bytes; 2],
) -> Figures {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(address, identity).await.expect("connection"));
    }
    let start = Instant::now();
    let shared = Arc::new((path.to_owned(), bodies.clone()));
    let senders = clients.into_iter().zip(0..).map(|(client, at)| {
        let schedule = rate
            .map(|rate| (Duration::from_secs(1) / rate * at, Duration::from_secs(1) / rate * CONNECTIONS));
        tokio::spawn(sender(client, start, limit, schedule, Arc::clone(&shared)))
    });
    let mut figures = Figures { milliseconds: Vec::new(), elapsed: 0.0, refused: 0 };
    for sender in senders.collect::<Vec<_>>() {
        let (milliseconds, refused) = sender.await.expect("no sender fails");
        figures.milliseconds.extend(milliseconds);
        figures.refused += refused;
    }
    figures.elapsed = start.elapsed().as_secs_f64();
    figures.milliseconds.sort_by(f64::total_cmp);
    figures
}

/// Sends reviews one after another; with a `schedule` (first, then every), each at its time. A late answer then counts
/// from the time the review was due, so that a slow server cannot slow its own measurement.
async fn sender(
    mut client: Client,
    start: Instant,
    limit: Duration,
    schedule: Option<(Duration, Duration)>,
    shared: Arc<(String, [Bytes; 2])>,
) -> (Vec<f64>, usize) {
    let (path, bodies) = &*shared;
    let (mut milliseconds, mut refused) = (Vec::new(), 0);
    for turn in 0.. {
        let due = schedule.map(|(first, every)| start + first + every * turn);
        if due.unwrap_or_else(Instant::now) >= start + limit {
            break;
        }
        if let Some(due) = due {
            sleep_until(due.into()).await;
        }
        let since = due.unwrap_or_else(Instant::now);
        let answer = client.post(path, bodies[turn as usize % 2].clone()).await.expect("an answer");
        match answer.status {
            200 => milliseconds.push(since.elapsed().as_secs_f64() * 1000.0),
            _ => refused += 1,
        }
    }
    (milliseconds, refused)
}
