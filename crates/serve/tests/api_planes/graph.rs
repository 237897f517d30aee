//! A frontend with its mockers.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::http::{self, Answer, Pending};
use super::program::{Program, eventually, free_ports};

pub const MODEL: &str = "demo-model";
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/opt/dynamo/models/demo");

/// Programs with one folder for their logs and one set of variables.
pub struct Graph {
    pub folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    frontend: Option<(Program, u16)>,
    started: usize,
}

impl Graph {
    pub fn new(variables: &[(&str, &str)]) -> Self {
        let own = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { folder: tempfile::tempdir().unwrap(), variables: own, frontend: None, started: 0 }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn program(&mut self, program: &str, args: &[&str]) -> Program {
        self.started += 1;
        let log = self.folder.path().join(format!("{program}-{}.log", self.started));
        let mut command = Command::new(env!("CARGO_BIN_EXE_dynamo-serve"));
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs([
            ("DYN_NAMESPACE", "test"),
            ("POD_IP", "127.0.0.1"),
            ("DYN_HTTP_PRE_DRAIN_SECS", "0"),
            ("DYN_WORKER_SHUTDOWN_PROPAGATION_DELAY", "1"),
        ]);
        command.arg(program).args(args);
        Program::start(command, &log)
    }

    pub fn start_frontend(&mut self, args: &[&str]) {
        let [port] = free_ports();
        let text = port.to_string();
        let all = [&["--http-host", "127.0.0.1", "--http-port", &text], args].concat();
        self.frontend = Some((self.program("frontend", &all), port));
    }

    /// A mocker whose answers take no time.
    pub fn worker(&mut self) -> Program {
        self.worker_with(&["--speedup-ratio", "0"])
    }

    /// A mocker that makes a token in about 6 ms.
    pub fn slow_worker(&mut self) -> Program {
        self.worker_with(&[])
    }

    pub fn worker_with(&mut self, args: &[&str]) -> Program {
        self.program("mocker", &[&["--model-path", DEMO, "--model-name", MODEL], args].concat())
    }

    pub fn port(&self) -> u16 {
        self.frontend.as_ref().unwrap().1
    }

    /// The records that the frontend sees.
    pub fn instances(&self) -> Vec<Value> {
        let health = http::get(self.port(), "/health").map(|answer| answer.json());
        health.and_then(|health| health["instances"].as_array().cloned()).unwrap_or_default()
    }

    pub fn sees(&self, count: usize) -> bool {
        self.instances().len() == count
    }

    /// Waits until the model can be asked for and `count` instances are known.
    pub fn serves(&self, count: usize) {
        eventually(&format!("{count} instances and the model"), || {
            let models = http::get(self.port(), "/v1/models");
            models.is_some_and(|models| models.body.contains(MODEL)) && self.sees(count)
        });
    }

    pub fn begin(&self, tokens: usize, stream: bool) -> Pending {
        let body = question("Hello", tokens, stream).to_string();
        http::send(self.port(), "POST", "/v1/chat/completions", "", &body).unwrap()
    }

    pub fn ask(&self) -> Answer {
        self.begin(3, false).answer().unwrap()
    }

    /// Asks and expects an answer; the worker that gave it.
    pub fn answered_by(&self) -> u64 {
        let answer = self.ask();
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        assert_eq!(json["usage"]["completion_tokens"], 3, "{json}");
        json["nvext"]["worker_id"]["decode_worker_id"].as_u64().unwrap()
    }

    /// Asks for a stream and expects all of it.
    pub fn streams(&self, tokens: usize) {
        expect_stream(&self.begin(tokens, true).answer().unwrap());
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

pub fn question(text: &str, tokens: usize, stream: bool) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "stream": stream,
           "nvext": {"extra_fields": ["worker_id"]}})
}

pub fn expect_stream(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#""finish_reason":"length""#), "{answer:?}");
    assert!(answer.body.trim_end().ends_with("data: [DONE]"), "{answer:?}");
}

/// The number in a file name or key.
pub fn id_of(instance: &Value) -> u64 {
    instance["instance_id"].as_u64().unwrap()
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
