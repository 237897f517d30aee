//! Shells and kubectl ask for the names of graphs.

use std::{path::PathBuf, process::Command, time::Instant};

use dynamo_testkit::{Plane, plane::SECOND_USER};

use crate::running::{create, start, worker};

/// The program under the name of a kubectl plugin.
fn plugin(name: &str) -> PathBuf {
    let path = Plane::shared().folder().join(name);
    if !path.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dynamoctl"), &path).unwrap();
    }
    path
}

fn lines(command: &mut Command) -> Vec<String> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What a fish shell asks after these words.
fn ask(kubeconfig: &str, words: &[&str]) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dynamoctl"));
    command.env("COMPLETE", "fish").args(["--", "dynamoctl", "--kubeconfig", kubeconfig]).args(words);
    lines(&mut command)
}

#[tokio::test]
async fn names_of_graphs_are_completed_from_the_cluster_for_shells_and_for_kubectl() {
    let (client, ns) = start().await;
    for name in ["agg", "agg-router", "disagg"] {
        create(&client, &ns, &worker(name)).await;
    }
    let kubeconfig = Plane::shared().kubeconfig_of(SECOND_USER);
    let kubeconfig = kubeconfig.to_str().unwrap();
    assert_eq!(ask(kubeconfig, &["-n", &ns, "status", "agg"]), ["agg", "agg-router"]);
    assert_eq!(ask(kubeconfig, &["scale", "-n", &ns, "d"]), ["disagg"]);
    let mut kubectl = Command::new(plugin("kubectl_complete-dynamo"));
    kubectl.args(["--kubeconfig", kubeconfig, "-n", &ns, "wait", "d"]);
    assert_eq!(lines(&mut kubectl), ["disagg", ":4"]);
    let mut kubectl = Command::new(plugin("kubectl_complete-dynamo"));
    let commands = lines(kubectl.args(["sta"]));
    assert!(commands[0].starts_with("status\tShow a graph as a tree"), "{commands:?}");
}

#[test]
fn a_cluster_that_does_not_answer_keeps_nobody_who_types_waiting() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let config = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: '{server}'}}}}], \
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}], users: [{{name: u, user: {{}}}}]}}"
    );
    let path = Plane::shared().folder().join("silent.kubeconfig");
    std::fs::write(&path, config).unwrap();
    let begun = Instant::now();
    assert_eq!(ask(path.to_str().unwrap(), &["status", "a"]), Vec::<String>::new());
    // A request is given up after 15 s; nobody waited for that.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert_eq!(ask("/nowhere", &["status", "a"]), Vec::<String>::new());
}

#[test]
fn as_a_plugin_of_kubectl_it_calls_itself_so() {
    let output = Command::new(plugin("kubectl-dynamo")).args(["status", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("Usage: kubectl dynamo status [OPTIONS] [GRAPH]"), "{help}");
}
