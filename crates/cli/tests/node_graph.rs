//! `dynamoctl` on a real node: the demo's graph, its frontend through a real kubelet, its pods' logs, real Helm.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use dynamo_devkit::{
    cluster,
    demo::{self, DemoOptions, NAMESPACE, http},
    images,
    tools::{Tool, ensure},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const GRAPH: &str = "agg";
/// Bound of every wait; nothing here judges speed.
const LIMIT: Duration = Duration::from_secs(120);

/// The tool in the root of the checkout, on the cluster of this machine.
struct Dynamoctl {
    kubeconfig: PathBuf,
    path: std::ffi::OsString,
}

impl Dynamoctl {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dynamoctl"));
        command.current_dir(images::workspace().unwrap()).args(words);
        command.env("KUBECONFIG", &self.kubeconfig).env("PATH", &self.path).stdin(Stdio::null());
        command
    }

    /// What the command says; it must end with `code`.
    fn says(&self, code: i32, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}{}", text[0], text[1]);
        text.concat()
    }

    /// The same about the graph of the demo.
    fn of_graph(&self, words: &[&str]) -> String {
        self.says(0, &[words, &["-n", NAMESPACE]].concat())
    }
}

#[test]
#[ignore = "needs root and the cluster of this machine: make test-node"]
fn a_graph_with_real_pods_is_shown_asked_read_scaled_and_restarted() {
    demo::run(&DemoOptions::default(), &mut Vec::new()).unwrap();
    let folders =
        [ensure(&[Tool::Helm, Tool::Kubernetes]).unwrap().bin().to_owned(), "/usr/bin".into(), "/bin".into()];
    let tool = Dynamoctl {
        kubeconfig: cluster::kubeconfig().unwrap(),
        path: std::env::join_paths(folders).unwrap(),
    };

    let shown = tool.of_graph(&["status", GRAPH]);
    for words in ["The graph is ready", "2/2 ready, worker", "Pod agg-worker-"] {
        assert!(shown.contains(words), "{words} is missing in {shown}");
    }
    let answer = tool.of_graph(&["chat", GRAPH, "Are", "you", "there?"]);
    assert!(!answer.trim().is_empty(), "an empty answer");
    let logs = tool.of_graph(&["logs", GRAPH, "Worker", "--tail", "3"]);
    let pods: std::collections::BTreeSet<&str> =
        logs.lines().filter_map(|line| Some(line.split_once(' ')?.0)).collect();
    assert_eq!(pods.len(), 2, "the logs of two pods: {logs}");

    let forwarded = forward(&tool);
    assert!(forwarded.contains("\"demo\""), "{forwarded}");

    tool.of_graph(&["scale", GRAPH, "Worker=3"]);
    tool.of_graph(&["wait", GRAPH, "--timeout", "120s"]);
    let shown = tool.of_graph(&["status", GRAPH]);
    assert!(shown.contains("3/3 ready, worker"), "{shown}");
    tool.of_graph(&["restart", GRAPH]);
    tool.of_graph(&["wait", GRAPH, "--timeout", "120s"]);
    tool.of_graph(&["scale", GRAPH, "Worker=2"]);
    tool.of_graph(&["wait", GRAPH, "--timeout", "120s"]);

    let refused = tool.says(1, &["install"]);
    assert!(refused.contains("No GPU nodes found") && refused.contains("Nothing was installed"), "{refused}");
    let installed = tool.says(0, &["install", "--skip-check", "--", "--reuse-values"]);
    assert_eq!(installed.matches("has been upgraded").count(), 2, "{installed}");
}

/// The models that the frontend names at a forwarded port.
fn forward(tool: &Dynamoctl) -> String {
    let mut child =
        tool.command(&["port-forward", GRAPH, "0", "-n", NAMESPACE]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split_whitespace().next().unwrap().trim_start_matches("http://").to_owned();
    let models = http::request(&address, "/v1/models", None).unwrap().text().unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return models;
        }
        assert!(started.elapsed() < LIMIT, "it does not end by an interrupt");
        std::thread::sleep(Duration::from_millis(50));
    }
}
