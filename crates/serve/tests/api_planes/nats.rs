//! Requests over NATS; the programs find each other through a folder.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use dynamo_devkit::pki::Authority;
use serde_json::Value;

use super::graph::{Graph, expect_stream, id_of, question, text};
use super::http;
use super::program::{Program, eventually, free_ports, tool, within};

/// One NATS server on loopback, which may be ended and started again.
struct Nats {
    folder: tempfile::TempDir,
    port: u16,
    config: String,
    program: Option<Program>,
}

impl Nats {
    fn start(config: &str) -> Self {
        let [port] = free_ports();
        let mut nats =
            Self { folder: tempfile::tempdir().unwrap(), port, config: config.to_owned(), program: None };
        nats.begin();
        nats
    }

    fn begin(&mut self) {
        let file = self.folder.path().join("nats.conf");
        std::fs::write(&file, format!("listen: \"127.0.0.1:{}\"\n{}", self.port, self.config)).unwrap();
        let mut command = Command::new(tool("nats-server"));
        command.arg("--config").arg(file);
        self.program = Some(Program::start(command, &self.folder.path().join("nats.log")));
        eventually("the NATS server listens", || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    fn kill(&mut self) {
        self.program = None;
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new(&[
            ("DYN_DISCOVERY_BACKEND", "file"),
            ("DYN_REQUEST_PLANE", "nats"),
            ("NATS_SERVER", &format!("nats://127.0.0.1:{}", self.port)),
        ]);
        let store = text(&graph.path("store"));
        graph.set("DYN_FILE_KV", &store);
        graph
    }
}

#[test]
fn requests_travel_over_nats_with_user_and_password_and_answers_come_back() {
    let nats = Nats::start("authorization { user: dynamo, password: secret }\n");
    let mut graph = nats.graph();
    graph.set("NATS_AUTH_USERNAME", "dynamo");
    graph.set("NATS_AUTH_PASSWORD", "wrong");
    let refused = graph.worker();
    eventually("the refusal names the variables", || refused.log().contains("NATS_AUTH_"));
    drop(refused);
    graph.set("NATS_AUTH_PASSWORD", "secret");
    let _worker = graph.worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    let instance = graph.instances().remove(0);
    let id = id_of(&instance);
    assert_eq!(instance["transport"]["nats_tcp"], format!("test_backend.generate-{id:x}"));
    assert_eq!(graph.answered_by(), id);
    graph.streams(20);
}

#[test]
fn a_restart_of_the_server_breaks_no_answer_and_requests_are_served_again() {
    let mut nats = Nats::start("");
    let mut graph = nats.graph();
    let mut worker = graph.slow_worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    let stream = graph.begin(1500, true).begun();
    nats.kill();
    let asked = Instant::now();
    let answer = graph.ask();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("NATS"), "{answer:?}");
    assert!(asked.elapsed() < Duration::from_secs(15), "a client is not kept waiting");
    // A request that comes while the server is away waits for it.
    let waiting = graph.begin(3, false);
    std::thread::sleep(Duration::from_secs(1));
    nats.begin();
    let waited = waiting.answer().unwrap();
    assert_eq!(waited.status, 200, "{waited:?}");
    expect_stream(&stream.answer().unwrap());
    graph.answered_by();
    assert!(worker.is_running());
}

#[test]
fn a_private_authority_is_trusted_through_the_roots_of_the_system() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("nats").unwrap();
    authority.write_server(folder.path(), "server", &["localhost", "127.0.0.1"]).unwrap();
    let file = |name: &str| text(&folder.path().join(name));
    std::fs::write(file("ca.crt"), authority.certificate()).unwrap();
    let nats = Nats::start(&format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}\n",
        file("server.crt"),
        file("server.key")
    ));
    let mut graph = nats.graph();
    graph.set("NATS_SERVER", &format!("tls://localhost:{}", nats.port));
    graph.set("SSL_CERT_FILE", &file("ca.crt"));
    let _worker = graph.worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    graph.answered_by();
}

#[test]
fn an_instance_that_nobody_listens_for_is_passed_over() {
    let nats = Nats::start("");
    let mut graph = nats.graph();
    let _worker = graph.worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    let id = id_of(&graph.instances()[0]);
    let ghost = id ^ 1;
    let mut copies = Vec::new();
    for tree in ["instances", "mdc"] {
        let folder = graph.path("store").join("v1").join(tree).join("test/backend/generate");
        let record = std::fs::read_to_string(folder.join(format!("{id:x}"))).unwrap();
        let mut record: Value = serde_json::from_str(&record).unwrap();
        record["instance_id"] = ghost.into();
        if tree == "instances" {
            record["transport"]["nats_tcp"] = format!("test_backend.generate-{ghost:x}").into();
        }
        let copy = folder.join(format!("{ghost:x}"));
        std::fs::write(&copy, record.to_string()).unwrap();
        copies.push(copy);
    }
    graph.serves(2);
    for _ in 0..20 {
        for copy in &copies {
            File::options().write(true).open(copy).unwrap().set_modified(SystemTime::now()).unwrap();
        }
        assert_eq!(graph.answered_by(), id);
    }
    assert!(graph.sees(2), "the other instance was there all the time");
}

#[test]
fn each_worker_of_a_mixed_fleet_is_called_its_own_way() {
    let nats = Nats::start("");
    let mut graph = nats.graph();
    let _over_nats = graph.worker();
    graph.set("DYN_REQUEST_PLANE", "tcp");
    let _over_tcp = graph.worker();
    graph.start_frontend(&[]);
    graph.serves(2);
    let ways: Vec<String> = graph
        .instances()
        .iter()
        .flat_map(|instance| instance["transport"].as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    assert!(ways.contains(&"tcp".to_owned()) && ways.contains(&"nats_tcp".to_owned()), "{ways:?}");
    let mut seen: Vec<u64> = (0..8).map(|_| graph.answered_by()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 2, "both answer");
}

#[test]
fn a_request_that_is_larger_than_the_server_takes_is_refused_with_the_reason() {
    let nats = Nats::start("max_payload: 4096\n");
    let mut graph = nats.graph();
    let _worker = graph.worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    let answer =
        http::post(graph.port(), "/v1/chat/completions", "", &question(&"many words ".repeat(300), 3, false));
    let answer = answer.unwrap();
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("max_payload") && answer.body.contains("4096"), "{answer:?}");
    graph.answered_by();
}

#[test]
fn a_worker_that_is_told_to_end_fails_no_request_over_nats() {
    let nats = Nats::start("");
    let mut graph = nats.graph();
    let mut leaving = graph.slow_worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    let stream = graph.begin(700, true).begun();
    let _staying = graph.worker();
    graph.serves(2);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                graph.answered_by();
            }
        });
        leaving.terminate();
        within(Duration::from_secs(5), "the worker leaves", || graph.sees(1));
        expect_stream(&stream.answer().unwrap());
        assert!(leaving.ended());
        ended.store(true, Ordering::SeqCst);
        asking.join().unwrap();
    });
}
