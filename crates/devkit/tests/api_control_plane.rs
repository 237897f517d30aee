//! What a control plane for tests promises; needs the pinned tools, which it builds when they are missing.
//! Must not need root.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dynamo_devkit::control_plane::{AuditOptions, ControlPlane, ControlPlaneOptions};
use dynamo_devkit::kubectl::Kubectl;

fn eventually(what: &str, reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn gone(pid: i32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn two_control_planes_run_at_once_and_stopping_leaves_nothing() {
    let first =
        ControlPlane::start(ControlPlaneOptions { controller_manager: true, ..Default::default() }).unwrap();
    let second = ControlPlane::start(ControlPlaneOptions::default()).unwrap();
    assert_ne!(first.url(), second.url());
    assert_eq!(
        first.kubectl().run(&["get", "namespace", "default", "-o", "name"]).unwrap(),
        "namespace/default\n"
    );
    second.kubectl().run(&["create", "namespace", "only-here"]).unwrap();
    assert!(first.kubectl().run(&["get", "namespace", "only-here"]).is_err());
    first.kubectl().run(&["create", "deployment", "web", "--image=none"]).unwrap();
    eventually("the controller manager makes a ReplicaSet", || {
        first.kubectl().run(&["get", "replicaset", "-o", "name"]).is_ok_and(|names| !names.is_empty())
    });
    let pids: Vec<i32> = first.pids().into_iter().chain(second.pids()).collect();
    let folders = [first.folder().to_path_buf(), second.folder().to_path_buf()];
    assert_eq!(pids.len(), 5);
    first.stop().unwrap();
    drop(second);
    assert!(pids.iter().all(|pid| gone(*pid)), "{pids:?}");
    assert!(folders.iter().all(|folder| !folder.exists()));
}

#[test]
fn extra_users_have_only_the_rights_they_are_given_and_the_audit_log_tells_their_requests() {
    let options = ControlPlaneOptions {
        users: vec![("operator".into(), vec!["operators".into()])],
        audit: Some(AuditOptions { log: None, users: vec!["operator".into()] }),
        ..Default::default()
    };
    let plane = ControlPlane::start(options).unwrap();
    let user = Kubectl::new(plane.tools().program("kubectl"), plane.user_kubeconfig("operator").unwrap());
    assert!(user.run(&["get", "secrets"]).unwrap_err().to_string().contains("orbidden"));
    let admin = plane.kubectl();
    admin.run(&["create", "clusterrole", "ops", "--verb=create", "--resource=configmaps"]).unwrap();
    admin.run(&["create", "clusterrolebinding", "ops", "--clusterrole=ops", "--group=operators"]).unwrap();
    eventually("the binding counts", || user.run(&["create", "configmap", "made"]).is_ok());
    let log = std::fs::read_to_string(plane.audit_log().unwrap()).unwrap();
    assert!(
        log.lines().any(|line| line.contains(r#""verb":"create""#) && line.contains(r#""name":"made""#)),
        "{log}"
    );
    assert!(log.lines().all(|line| line.contains(r#""username":"operator""#)), "{log}");
    assert!(plane.user_kubeconfig("nobody").is_err());
}

#[test]
fn a_given_folder_keeps_its_objects_for_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let options = ControlPlaneOptions { folder: Some(folder.path().to_path_buf()), ..Default::default() };
    let plane = ControlPlane::start(options.clone()).unwrap();
    plane.kubectl().run(&["create", "namespace", "kept"]).unwrap();
    plane.stop().unwrap();
    let plane = ControlPlane::start(options).unwrap();
    plane.kubectl().run(&["get", "namespace", "kept"]).unwrap();
}

#[test]
fn the_parts_end_when_the_process_that_started_them_is_killed() {
    if std::env::var_os("DEVKIT_TEST_HOLD").is_some() {
        return;
    }
    // This test binary again, running the holder below, so that it can be killed without killing the tests.
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder_for_the_kill_test", "--nocapture", "--ignored"])
        .env("DEVKIT_TEST_HOLD", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.contains("HELD ")).unwrap();
    let words: Vec<&str> = line.split("HELD ").nth(1).unwrap().split_whitespace().collect();
    holder.kill().unwrap();
    holder.wait().unwrap();
    for pid in &words[1..] {
        eventually("the part ends", || gone(pid.parse().unwrap()));
    }
    eventually("the temporary folder is removed", || !Path::new(words[0]).exists());
}

#[test]
#[ignore = "only started by the kill test"]
fn holder_for_the_kill_test() {
    if std::env::var_os("DEVKIT_TEST_HOLD").is_none() {
        return;
    }
    let plane = ControlPlane::start(ControlPlaneOptions::default()).unwrap();
    let pids: Vec<String> = plane.pids().iter().map(ToString::to_string).collect();
    println!("HELD {} {}", plane.folder().display(), pids.join(" "));
    std::thread::sleep(Duration::from_secs(600));
}
