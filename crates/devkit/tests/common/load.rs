//! A steady loop of chat completions through a frontend, streamed and not, bounded in number.
//! Every answer is read to its end and judged; a failure keeps its reason.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use dynamo_devkit::demo::http;

use super::{LIMIT, eventually};

/// The most requests of one run.
const MOST: usize = 60_000;

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    sent: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    pub sent: usize,
    /// Streams that were open at once.
    pub streams: usize,
    pub failures: Vec<String>,
}

impl Load {
    /// Starts `streams` clients, each with one request at a time.
    pub fn start(address: &str, streams: usize) -> Self {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            sent: AtomicUsize::new(0),
            failures: Mutex::default(),
        });
        let clients = (0..streams)
            .map(|_| {
                let (shared, address) = (Arc::clone(&shared), address.to_owned());
                std::thread::spawn(move || client(&shared, &address))
            })
            .collect();
        Self { shared, clients }
    }

    /// Waits until so many requests were begun, however long this machine takes for one.
    pub fn reaches(&self, count: usize) {
        eventually(&format!("{count} requests"), LIMIT, || {
            let sent = self.shared.sent.load(Ordering::Relaxed);
            if sent >= count {
                return Ok(());
            }
            Err(format!("{sent} sent, of which failed: {:?}", self.shared.failures.lock().unwrap()))
        });
    }

    /// Waits for the open requests and sums up.
    pub fn stop(self) -> Outcome {
        self.shared.stop.store(true, Ordering::Relaxed);
        let streams = self.clients.len();
        for client in self.clients {
            client.join().unwrap();
        }
        let failures = std::mem::take(&mut *self.shared.failures.lock().unwrap());
        Outcome { sent: self.shared.sent.load(Ordering::Relaxed), streams, failures }
    }
}

fn client(shared: &Shared, address: &str) {
    while !shared.stop.load(Ordering::Relaxed) {
        let number = shared.sent.fetch_add(1, Ordering::Relaxed);
        if number >= MOST {
            return;
        }
        if let Err(reason) = ask(address, number.is_multiple_of(2)) {
            shared.failures.lock().unwrap().push(format!("request {number}: {reason}"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// One request, and whether its answer is whole.
pub fn ask(address: &str, stream: bool) -> Result<(), String> {
    let body = format!(
        r#"{{"model":"demo","stream":{stream},"max_tokens":8,"messages":[{{"role":"user","content":"Are you there?"}}]}}"#
    );
    let response =
        http::request(address, "/v1/chat/completions", Some(&body)).map_err(|error| error.to_string())?;
    let status = response.status;
    let text = response.text().map_err(|error| format!("{status}: {error}"))?;
    let whole =
        if stream { text.trim_end().ends_with("data: [DONE]") } else { text.contains("finish_reason") };
    if status == 200 && whole && !text.contains("event: error") {
        return Ok(());
    }
    Err(format!("{status} {text}"))
}
