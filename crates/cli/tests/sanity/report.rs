//! The report as a whole: layout, values, what is never shown.

use std::process::Stdio;

use crate::host::{Host, stable};

#[test]
fn a_complete_machine_has_no_error_and_a_tree_of_the_contracts_layout() {
    let host = Host::complete();
    let answer = host.run(&[]);
    insta::assert_snapshot!("complete", stable(&answer.stdout));
    assert_eq!(answer.code, 0, "{answer:?}");
}

#[test]
fn a_bare_machine_names_what_is_missing() {
    let host = Host::bare();
    let answer = host.run(&[]);
    insta::assert_snapshot!("bare", stable(&answer.stdout));
    assert_eq!(answer.code, 1);
}

#[test]
fn a_thorough_report_has_limits_models_sizes_and_signs_of_cuda() {
    let mut host = Host::complete();
    host.file("/home/dynamo/.cache/huggingface/hub/models--Qwen--Qwen3-0.6B/blobs/a", "x");
    host.file(
        "/var/lib/dpkg/status",
        "Package: cuda-cudart-12-4\nStatus: install ok installed\nVersion: 12.4.1\n\n\
         Package: libnccl2\nStatus: install ok installed\nVersion: 2.21\n\n\
         Package: cuda-gone\nStatus: deinstall ok config-files\nVersion: 1\n",
    );
    host.package("nvidia_cublas_cu12", "12.4.5", &[]);
    host.env("DYN_LOG", "info");
    host.env("NVIDIA_REQUIRE_CUDA", &"x".repeat(300));
    let answer = host.run(&["--thorough-check"]);
    insta::assert_snapshot!("thorough", stable(&answer.stdout));
}

#[test]
fn two_runs_give_the_same_report() {
    let host = Host::complete();
    for words in [&[][..], &["--json"], &["--thorough-check"]] {
        let [first, second] = [host.run(words), host.run(words)].map(|it| stable(&it.stdout));
        assert_eq!(first, second);
    }
}

#[test]
fn secrets_of_the_environment_are_redacted() {
    let mut host = Host::bare();
    for name in ["DYN_API_KEY", "DYN_TOKEN", "DYN_CLIENT_SECRET", "DYN_ETCD_PASSWORD", "HF_TOKEN"] {
        host.env(name, "hunter2");
    }
    host.env("DYN_NATS", "nats://user:hunter2@nats:4222");
    let answer = host.run(&["--thorough-check"]);
    assert!(!answer.stdout.contains("hunter2"), "{}", answer.stdout);
    assert!(answer.line("DYN_NATS").ends_with("nats://<redacted>@nats:4222"));
    assert_eq!(answer.line("HF_TOKEN"), "HF_TOKEN: <set>");
}

#[test]
fn the_address_is_that_of_the_interface_with_the_default_route_and_nobody_is_contacted() {
    let host = Host::bare();
    assert!(host.run(&[]).stdout.starts_with("System info (hostname=h1, IP=10.0.0.5)\n"));
    host.remove("/proc/net/route");
    assert!(host.run(&[]).stdout.contains("IP=1.2.3.4"));
    host.remove("/proc/net/fib_trie");
    assert!(host.run(&[]).stdout.starts_with("System info (hostname=h1)\n"));
}

#[test]
fn full_memory_and_missing_shared_memory_are_warnings() {
    let host = Host::bare();
    host.file("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 100 kB\n");
    host.remove("/dev/shm");
    let answer = host.run(&[]);
    assert!(answer.line("OS:").starts_with("⚠️ OS: Ubuntu 22.04"));
    assert_eq!(answer.line("/dev/shm"), "⚠️ Shared memory (/dev/shm): not present");
}

#[test]
fn a_container_is_told_by_each_of_its_signs() {
    let context = |change: &dyn Fn(&mut Host)| {
        let mut host = Host::bare();
        host.remove("/.dockerenv");
        change(&mut host);
        host.run(&[]).line("Execution context")
    };
    assert_eq!(context(&|_| {}), "Execution context: host (non-docker)");
    let container = "Execution context: container";
    assert_eq!(context(&|host| host.file("/run/.containerenv", "")), container);
    assert_eq!(context(&|host| host.file("/proc/1/cgroup", "0::/kubepods/containerd\n")), container);
    assert_eq!(context(&|host| host.env("container", "podman")), container);
}

#[test]
fn times_are_utc_in_the_form_of_rfc_3339() {
    let host = Host::complete();
    let line = host.run(&[]).line("Debug");
    let time = line.split_once("modified=").unwrap().1;
    assert_eq!((time.len(), &time[10..11], &time[19..]), (20, "T", "Z"), "{time}");
}

#[test]
fn the_model_cache_follows_its_variables() {
    let mut host = Host::bare();
    host.file("/models/hub/models--a--b/x", "");
    host.env("HF_HOME", "/models");
    assert_eq!(host.run(&[]).line("Hugging Face"), "Hugging Face Cache: 1 models in /models/hub");
    host.file("/proc/self/mounts", "overlay / overlay rw 0 0\nh:/x /other nfs4 rw 0 0\n");
    host.file("/other/models--a--b/x", "");
    host.file("/other/models--c--d/x", "");
    host.env("HF_HUB_CACHE", "/other");
    assert_eq!(host.run(&[]).line("Hugging Face"), "Hugging Face Cache: 2 models in /other (NFS)");
}

#[test]
fn colours_come_only_where_they_are_wanted_and_never_in_json() {
    let host = Host::bare();
    let escapes = |words: &[&str]| host.run(words).stdout.contains('\u{1b}');
    assert!(!escapes(&[]), "no terminal");
    assert!(escapes(&["--color", "always"]));
    assert!(!escapes(&["--color", "always", "--json"]));
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let host = Host::bare();
    let mut child = host.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
