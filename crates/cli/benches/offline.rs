//! From start to answer of commands that ask no cluster, beside a program that does nothing: each is started again and
//! again, in turns. Run with `cargo bench -p dynamo-cli --bench offline`; the last line is JSON.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for people, and a failure ends it")]

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::json;

const ROUNDS: usize = 60;
/// What people wait for without noticing it, in milliseconds.
const BAR: f64 = 30.0;

fn main() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken/graph.yaml");
    let program = env!("CARGO_BIN_EXE_dynamoctl");
    let subjects: [(&str, &str, &[&str]); 6] = [
        ("true", "/bin/true", &[]),
        ("--version", program, &["--version"]),
        ("validate", program, &["validate", manifest]),
        ("render", program, &["render", manifest]),
        ("explain", program, &["explain", "dgd.spec.services.*.resources"]),
        ("explain -r", program, &["explain", "dgd", "--recursive"]),
    ];
    let mut milliseconds = vec![Vec::with_capacity(ROUNDS); subjects.len()];
    for _ in 0..ROUNDS {
        for ((_, program, words), known) in subjects.iter().zip(&mut milliseconds) {
            let start = Instant::now();
            let status = Command::new(program)
                .args(*words)
                // As a user's first call on a machine without a cluster.
                .env("KUBECONFIG", "/no/such/file")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("a program that starts");
            known.push(start.elapsed().as_secs_f64() * 1000.0);
            assert!(status.success(), "{program} {words:?}");
        }
    }
    let mut figures = serde_json::Map::new();
    let mut baseline = 0.0;
    for ((name, ..), mut known) in subjects.iter().zip(milliseconds) {
        known.sort_by(f64::total_cmp);
        let (median, most) = (known[ROUNDS / 2], known[ROUNDS - 1]);
        if baseline == 0.0 {
            baseline = median;
        }
        let ratio = median / baseline;
        println!(
            "{name:12} p50 {median:7.2} ms  max {most:7.2} ms  {ratio:6.1} times /bin/true  (bar {BAR} ms)"
        );
        figures.insert((*name).to_owned(), json!({"p50_ms": median, "max_ms": most, "ratio": ratio}));
    }
    println!("{}", serde_json::Value::Object(figures));
}
