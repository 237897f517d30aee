//! Discovery through etcd.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dynamo_devkit::pki::Authority;
use serde_json::{Value, json};

use super::graph::{Graph, expect_stream, id_of, text};
use super::http;
use super::program::{Program, eventually, free_ports, tool, within};

/// Time after which the keys of a dead process are gone.
const LEASE: Duration = Duration::from_secs(10);

/// One etcd on loopback, which may be ended and started again.
struct Etcd {
    folder: tempfile::TempDir,
    port: u16,
    peers: u16,
    scheme: &'static str,
    args: Vec<String>,
    program: Option<Program>,
}

impl Etcd {
    fn start() -> Self {
        Self::with("http", &[])
    }

    fn with(scheme: &'static str, args: &[&str]) -> Self {
        let [port, peers] = free_ports();
        let args = args.iter().map(ToString::to_string).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut etcd = Self { folder, port, peers, scheme, args, program: None };
        etcd.begin();
        etcd
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn begin(&mut self) {
        let (client, peers) = (
            format!("{}://127.0.0.1:{}", self.scheme, self.port),
            format!("http://127.0.0.1:{}", self.peers),
        );
        let mut command = Command::new(tool("etcd"));
        command
            .arg(format!("--data-dir={}", text(&self.data())))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peers}"))
            .arg(format!("--initial-advertise-peer-urls={peers}"))
            .arg(format!("--initial-cluster=default={peers}"))
            .args(["--unsafe-no-fsync", "--log-level=error"])
            .args(&self.args);
        self.program = Some(Program::start(command, &self.folder.path().join("etcd.log")));
        eventually("etcd listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn kill(&mut self) {
        self.program = None;
    }

    /// Asks etcd over its JSON gateway.
    fn ask(&self, path: &str, token: &str, body: &Value) -> Value {
        let mut answer = None;
        eventually(&format!("etcd answers {path}"), || {
            answer = http::post(self.port, path, &format!("Authorization: {token}\r\n"), body);
            answer.as_ref().is_some_and(|answer| answer.status == 200)
        });
        answer.unwrap().json()
    }

    /// Keys below `v1/instances/`, each with its lease.
    fn instances(&self) -> Vec<(String, u64)> {
        let range =
            json!({"key": STANDARD.encode("v1/instances/"), "range_end": STANDARD.encode("v1/instances0")});
        let found = self.ask("/v3/kv/range", "", &range);
        let entry = |kv: &Value| {
            let key = String::from_utf8(STANDARD.decode(kv["key"].as_str().unwrap()).unwrap()).unwrap();
            (key, kv["lease"].as_str().unwrap().parse().unwrap())
        };
        found["kvs"].as_array().into_iter().flatten().map(entry).collect()
    }

    fn graph(&self) -> Graph {
        // Without a scheme, as the operator writes it.
        Graph::new(&[("ETCD_ENDPOINTS", &format!("127.0.0.1:{}", self.port))])
    }
}

#[test]
fn a_killed_worker_fails_no_request_and_is_forgotten_with_its_lease() {
    let etcd = Etcd::start();
    let mut graph = etcd.graph();
    // The first address is that of a member that is down.
    let [closed] = free_ports();
    graph.set("ETCD_ENDPOINTS", &format!("127.0.0.1:{closed},http://127.0.0.1:{}", etcd.port));
    let mut first = graph.worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    let dead = id_of(&graph.instances()[0]);
    assert_eq!(
        etcd.instances(),
        [(format!("v1/instances/test/backend/generate/{dead:x}"), dead)],
        "the instance's id is its lease's"
    );
    let _second = graph.worker();
    graph.serves(2);
    graph.streams(4);
    first.kill();
    let killed = Instant::now();
    for _ in 0..10 {
        assert_ne!(graph.answered_by(), dead);
    }
    assert!(killed.elapsed() < LEASE, "requests did not wait for the lease's end");
    within(LEASE * 2, "the dead worker is forgotten", || graph.sees(1));
    assert_ne!(graph.answered_by(), dead);
}

#[test]
fn an_etcd_that_is_away_for_longer_than_a_lease_costs_no_instance_and_no_request() {
    let mut etcd = Etcd::start();
    let mut graph = etcd.graph();
    let mut workers = [graph.worker(), graph.worker()];
    graph.start_frontend(&[]);
    graph.serves(2);
    let before = etcd.instances();
    etcd.kill();
    let away = Instant::now();
    while away.elapsed() < LEASE + Duration::from_secs(3) {
        graph.answered_by();
        assert!(graph.sees(2));
        std::thread::sleep(Duration::from_millis(200));
    }
    etcd.begin();
    assert_eq!(etcd.instances(), before, "etcd kept its data");
    let back = Instant::now();
    while back.elapsed() < LEASE + Duration::from_secs(3) {
        graph.answered_by();
        assert!(graph.sees(2));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(etcd.instances(), before, "the leases are renewed again");
    assert!(workers.iter_mut().all(Program::is_running));
    let _third = graph.worker();
    graph.serves(3);
}

#[test]
fn an_etcd_that_lost_its_data_is_filled_again_under_the_same_ids() {
    let mut etcd = Etcd::start();
    let mut graph = etcd.graph();
    let _workers = [graph.worker(), graph.worker()];
    graph.start_frontend(&[]);
    graph.serves(2);
    let before = etcd.instances();
    etcd.kill();
    std::fs::remove_dir_all(etcd.data()).unwrap();
    etcd.begin();
    eventually("the workers have registered again", || {
        graph.answered_by();
        assert!(graph.sees(2), "an instance was lost meanwhile");
        etcd.instances() == before
    });
    std::thread::sleep(LEASE + Duration::from_secs(2));
    assert!(graph.sees(2));
    assert_eq!(etcd.instances(), before);
}

#[test]
fn a_worker_that_is_told_to_end_leaves_at_once_and_finishes_its_answers() {
    let etcd = Etcd::start();
    let mut graph = etcd.graph();
    let mut leaving = graph.slow_worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    let stream = graph.begin(500, true).begun();
    let _staying = graph.worker();
    graph.serves(2);
    leaving.terminate();
    within(Duration::from_secs(5), "the worker leaves before its lease ends", || graph.sees(1));
    for _ in 0..10 {
        graph.answered_by();
    }
    expect_stream(&stream.answer().unwrap());
    assert!(leaving.ended());
    assert_eq!(etcd.instances().len(), 1);
}

/// Turns authentication on: user `dynamo`, who may use what the platform writes.
fn protect(etcd: &Etcd) {
    etcd.ask("/v3/auth/user/add", "", &json!({"name": "root", "password": "rootpw"}));
    etcd.ask("/v3/auth/role/add", "", &json!({"name": "root"}));
    etcd.ask("/v3/auth/user/grant", "", &json!({"user": "root", "role": "root"}));
    etcd.ask("/v3/auth/user/add", "", &json!({"name": "dynamo", "password": "dynamopw"}));
    etcd.ask("/v3/auth/role/add", "", &json!({"name": "platform"}));
    let permission =
        json!({"permType": "READWRITE", "key": STANDARD.encode("v1/"), "range_end": STANDARD.encode("v10")});
    etcd.ask("/v3/auth/role/grant", "", &json!({"name": "platform", "perm": permission}));
    etcd.ask("/v3/auth/user/grant", "", &json!({"user": "dynamo", "role": "platform"}));
    etcd.ask("/v3/auth/enable", "", &json!({}));
}

#[test]
fn with_authentication_on_tokens_that_ended_are_replaced_and_a_wrong_password_is_named() {
    // Shorter than the time between two renewals.
    let mut etcd = Etcd::with("http", &["--auth-token-ttl=2"]);
    protect(&etcd);
    let mut graph = etcd.graph();
    graph.set("ETCD_AUTH_USERNAME", "dynamo");
    graph.set("ETCD_AUTH_PASSWORD", "wrong");
    let refused = graph.worker();
    eventually("the refusal names the variable", || refused.log().contains("ETCD_AUTH_PASSWORD"));
    graph.set("ETCD_AUTH_PASSWORD", "dynamopw");
    let _worker = graph.worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    std::thread::sleep(LEASE + Duration::from_secs(3));
    assert!(graph.sees(1), "the lease is renewed with fresh tokens");
    // Its tokens are in memory only.
    etcd.kill();
    etcd.begin();
    let _second = graph.worker();
    graph.serves(2);
    graph.answered_by();
}

#[test]
fn the_connection_is_secured_with_the_authority_and_the_client_certificate_of_the_variables() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("etcd").unwrap();
    authority.write_server(folder.path(), "server", &["127.0.0.1"]).unwrap();
    authority.write_client(folder.path(), "client", "dynamo", "dynamo").unwrap();
    let file = |name: &str| text(&folder.path().join(name));
    std::fs::write(file("ca.crt"), authority.certificate()).unwrap();
    let args = [
        format!("--cert-file={}", file("server.crt")),
        format!("--key-file={}", file("server.key")),
        format!("--trusted-ca-file={}", file("ca.crt")),
        "--client-cert-auth".to_owned(),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let etcd = Etcd::with("https", &args);
    let mut graph = etcd.graph();
    graph.set("ETCD_AUTH_CA", &file("ca.crt"));
    graph.set("ETCD_AUTH_CLIENT_CERT", &file("client.crt"));
    graph.set("ETCD_AUTH_CLIENT_KEY", &file("client.key"));
    let _worker = graph.worker();
    graph.start_frontend(&[]);
    graph.serves(1);
    graph.answered_by();
}
