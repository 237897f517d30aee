//! The main job on a real node: the demo, then what a user does to its graph while requests go through it.
//! One test, because every step builds on the pods of the step before. The cluster is taken down by `make test-node`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod life;

use std::process::Command;
use std::time::Duration;

use common::load::Load;
use common::{LIMIT, address, eventually, operator, patch, pods, reachable, ready, step};
use dynamo_devkit::demo::NAMESPACE;
use dynamo_devkit::kubectl::Kubectl;
use dynamo_devkit::{cluster, images};
use serde_json::json;

/// How long deleted graphs may keep anything (the promise of the guide).
const GONE: Duration = Duration::from_secs(30);

/// Runs `devkit demo` and returns what it printed.
fn demo() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_devkit"))
        .arg("demo")
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent")
        .env("DYNAMO_CACHE_DIR", dynamo_devkit::cache::folder().unwrap())
        .env("CARGO_HOME", home("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", home("RUSTUP_HOME", ".rustup"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "demo failed:\n{progress}\n{text}");
    text
}

// A kubeconfig in the home folder of whoever runs the tests must not win over the cluster of the tests.
fn home(variable: &str, folder: &str) -> std::ffi::OsString {
    std::env::var_os(variable).unwrap_or_else(|| {
        let home = std::env::var("HOME").expect("HOME");
        format!("{home}/{folder}").into()
    })
}

#[test]
#[ignore = "needs root and the cluster of this machine: make test-node"]
fn a_graph_answers_heals_scales_and_rolls_without_a_failed_request_and_goes_away_whole() {
    step("the demo prints the answer of the model");
    let printed = demo();
    assert!(printed.contains("from model demo"), "{printed}");
    assert!(printed.contains("To remove it all: make cluster-down"), "{printed}");
    let kubectl = cluster::up().unwrap().kubectl();

    step("kubectl shows one consistent picture");
    consistent_picture(&kubectl);

    step("the chart's rights sufficed for it");
    operator::nothing_was_forbidden(&kubectl);

    step("a second demo answers, too");
    assert!(demo().contains("from model demo"));

    let frontend = address(&kubectl, "agg-frontend");
    step("a deleted worker pod heals");
    let load = Load::start(&frontend, 4);
    let victim = pods::of(&kubectl, "agg-worker").remove(0);
    kubectl.run(&["delete", "pod", &victim, "-n", NAMESPACE]).unwrap();
    pods::settle(&kubectl, "agg-worker", 2);
    ready(&kubectl, "agg");

    step("a service scales up and down");
    patch(&kubectl, "agg", &json!({"spec": {"services": {"Worker": {"replicas": 3}}}}));
    pods::settle(&kubectl, "agg-worker", 3);
    ready(&kubectl, "agg");
    patch(&kubectl, "agg", &json!({"spec": {"services": {"Worker": {"replicas": 2}}}}));
    pods::settle(&kubectl, "agg-worker", 2);

    step("a changed variable rolls the workers");
    let before = pods::of(&kubectl, "agg-worker");
    let envs = json!([{"name": "ROLLED", "value": "yes"}]);
    patch(&kubectl, "agg", &json!({"spec": {"services": {"Worker": {"envs": envs}}}}));
    ready(&kubectl, "agg");
    let after = pods::settle(&kubectl, "agg-worker", 2);
    assert!(before.iter().all(|pod| !after.contains(pod)), "{before:?} -> {after:?}");

    step("a changed variable rolls the frontend");
    let before = pods::of(&kubectl, "agg-frontend");
    patch(&kubectl, "agg", &json!({"spec": {"services": {"Frontend": {"envs": envs}}}}));
    ready(&kubectl, "agg");
    assert_ne!(pods::settle(&kubectl, "agg-frontend", 1), before);

    step("a restart walks through the services in their order");
    life::restart_in_order(&kubectl);

    step("an image that does not exist is named, costs no running pod, and is put right");
    life::bad_image_is_named_and_put_right(&kubectl);
    let outcome = load.stop();
    eprintln!("    {} requests, {} failed", outcome.sent, outcome.failures.len());
    assert!(outcome.sent > 50, "too few requests to mean anything: {outcome:?}");
    assert_eq!(outcome.failures, Vec::<String>::new(), "of {} requests", outcome.sent);

    step("a worker killed hard costs at most the streams it carried");
    let load = Load::start(&frontend, 4);
    std::thread::sleep(Duration::from_secs(2));
    let victim = pods::of(&kubectl, "agg-worker").remove(0);
    pods::kill_hard(&victim);
    std::thread::sleep(Duration::from_secs(10));
    ready(&kubectl, "agg");
    let outcome = load.stop();
    eprintln!("    {} requests, {} failed: {:?}", outcome.sent, outcome.failures.len(), outcome.failures);
    assert!(outcome.failures.len() <= outcome.streams, "{outcome:?}");

    step("a disaggregated graph answers");
    let example = std::fs::read_to_string(images::workspace().unwrap().join("examples/disagg.yaml")).unwrap();
    kubectl.apply_in(NAMESPACE, &example).unwrap();
    ready(&kubectl, "disagg");
    let disagg = address(&kubectl, "disagg-frontend");
    reachable(&disagg);
    let outcome = {
        let load = Load::start(&disagg, 1);
        std::thread::sleep(Duration::from_secs(3));
        load.stop()
    };
    assert!(outcome.sent > 0 && outcome.failures.is_empty(), "{outcome:?}");

    step("deleted graphs take everything along");
    kubectl.run(&["delete", "dgd", "agg", "disagg", "-n", NAMESPACE, "--wait=false"]).unwrap();
    eventually("everything is gone", GONE, || {
        let kinds = "dgd,dcd,deploy,rs,svc,pods,dwm,role,rolebinding";
        let left = kubectl.json(&["get", kinds, "-n", NAMESPACE]).map_err(|error| error.to_string())?;
        // The rights of planners belong to the namespace and stay (`operator-process.md` section 12).
        let graphs = |name: &String| name != "RoleBinding/planner-serviceaccount-binding";
        let names: Vec<String> =
            left["items"].as_array().unwrap().iter().map(pods::label).filter(graphs).collect();
        if names.is_empty() { Ok(()) } else { Err(names.join(", ")) }
    });

    step("the chart's rights sufficed for all of this");
    operator::nothing_was_forbidden(&kubectl);
}

/// One graph, two components, Deployments, Services; each pod ready and each worker registered.
fn consistent_picture(kubectl: &Kubectl) {
    let count = |kind: &str| {
        let list = kubectl.json(&["get", kind, "-n", NAMESPACE]).unwrap();
        list["items"].as_array().unwrap().len()
    };
    assert_eq!((count("dgd"), count("dcd"), count("deploy"), count("svc")), (1, 2, 2, 2));
    let workers = pods::settle(kubectl, "agg-worker", 2);
    let frontends = pods::settle(kubectl, "agg-frontend", 1);
    eventually("every worker has registered under its own name", LIMIT, || {
        let list = kubectl.json(&["get", "dwm", "-n", NAMESPACE]).map_err(|error| error.to_string())?;
        let names: Vec<&str> =
            list["items"].as_array().unwrap().iter().filter_map(|o| o["metadata"]["name"].as_str()).collect();
        let registered = workers.iter().all(|worker| names.contains(&worker.as_str()));
        let known = names.iter().all(|name| workers.iter().chain(&frontends).any(|pod| pod == name));
        if registered && known { Ok(()) } else { Err(format!("{names:?} for {workers:?}")) }
    });
    let graph = kubectl.json(&["get", "dgd", "agg", "-n", NAMESPACE]).unwrap();
    let worker = &graph["status"]["services"]["Worker"];
    assert_eq!((&worker["readyReplicas"], &worker["componentName"]), (&json!(2), &json!("agg-worker")));
}
