//! What the development cluster promises, on this machine's kernel: needs root and changes the machine.
//! Must run only when asked for (`cargo test -- --ignored node_`) and must leave nothing behind.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use dynamo_devkit::cluster::layout::{LINK, Layout, State};
use dynamo_devkit::cluster::{self, host, teardown};
use nix::sys::signal::Signal;

fn output(program: &str, args: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(args).output().unwrap().stdout).unwrap()
}

/// Everything on this machine that a cluster touches.
fn machine() -> BTreeMap<&'static str, String> {
    let settings = ["net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"];
    let values: Vec<String> =
        settings.iter().map(|name| std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap()).collect();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let groups: Vec<PathBuf> = host::cgroup_folders().into_iter().filter(|folder| folder.exists()).collect();
    let folders =
        ["/run/containerd", "/var/lib/cni", "/var/log/containers", "/var/log/pods", "/var/lib/kubelet"];
    let foreign: Vec<&str> =
        folders.into_iter().filter(|folder| std::path::Path::new(folder).exists()).collect();
    let ours = Layout::new().unwrap().folder().display().to_string();
    let processes: Vec<String> = dynamo_devkit::process::all()
        .filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&ours))
        .collect();
    BTreeMap::from([
        ("settings", values.concat()),
        ("mounts", mounts.lines().map(|line| format!("{}\n", line.split(' ').nth(4).unwrap())).collect()),
        ("control groups", format!("{groups:?}")),
        ("folders", format!("{foreign:?}")),
        (
            "links",
            output("ip", &["-o", "link"])
                .lines()
                .map(|l| format!("{}\n", l.split(' ').nth(1).unwrap()))
                .collect(),
        ),
        ("routes", output("ip", &["route", "show", "table", "all"])),
        ("tables", output("nft", &["list", "tables"])),
        ("processes", processes.join("\n")),
        ("state", format!("{}", Layout::new().unwrap().folder().exists())),
    ])
}

fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(90), "not within 90 s: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn state() -> State {
    State::load(&Layout::new().unwrap()).unwrap()
}

#[test]
#[ignore = "needs root and changes the machine: make test-node"]
fn node_cluster_comes_up_survives_crashes_and_leaves_nothing() {
    cluster::down().unwrap();
    // A fresh machine has no programs to look at itself with.
    host::ensure_programs(&std::env::temp_dir().join("dynamo-node-test-apt.log")).unwrap();
    let before = machine();

    let up = cluster::up().unwrap();
    let kubectl = up.kubectl();
    let first = state();
    cluster::up().unwrap();
    assert_eq!(state(), first, "a second up changes nothing");
    assert!(cluster::status().unwrap().last().unwrap().starts_with("up: "));

    // A pod that asks the cluster's own DNS for every name: pod to Service to pod, and back to this machine.
    let image = kubectl
        .run(&[
            "get",
            "deploy",
            "coredns",
            "-n",
            "kube-system",
            "-o",
            "jsonpath={.spec.template.spec.containers[0].image}",
        ])
        .unwrap();
    kubectl.apply(&relay(&image)).unwrap();
    let ready = ["wait", "--for=condition=Ready", "pod/relay", "--timeout=60s"];
    eventually("the pod is Ready", || kubectl.run(&ready).is_ok());
    let logs = kubectl.run(&["logs", "relay"]).unwrap();
    assert!(logs.contains("CoreDNS"), "{logs}");
    let exec = kubectl.run(&["exec", "relay", "--", "/coredns", "-version"]).unwrap();
    assert!(exec.contains("CoreDNS"), "{exec}");
    let relayed =
        kubectl.run(&["get", "--raw", "/api/v1/namespaces/default/pods/relay:8080/proxy/health"]).unwrap();
    assert_eq!(relayed, "OK");
    let address = kubectl.run(&["get", "pod", "relay", "-o", "jsonpath={.status.podIP}"]).unwrap();
    eventually("a pod reaches the DNS Service of the cluster", || {
        resolve(&address, "kubernetes.default.svc.cluster.local")
    });

    for name in ["kubelet", "containerd"] {
        state().processes[name].signal(Signal::SIGKILL);
        eventually("it ended", || !state().processes[name].alive());
    }
    assert!(cluster::status().is_err());
    cluster::up().unwrap();
    let second = state();
    assert_ne!(first.processes["kubelet"], second.processes["kubelet"]);
    assert_eq!(first.processes["etcd"], second.processes["etcd"], "what lives is kept");
    eventually("the pod is Ready again", || kubectl.run(&ready).is_ok());
    kubectl.run(&["delete", "pod", "relay", "--grace-period=0", "--force"]).unwrap();

    // The network device goes, as after a careless clean-up of the machine.
    output("ip", &["link", "delete", LINK]);
    cluster::up().unwrap();
    assert!(host::prepared());

    // Everything is killed at once, as in a crash of the machine.
    for record in state().processes.values() {
        record.signal(Signal::SIGKILL);
    }
    cluster::up().unwrap();
    kubectl.run(&["get", "namespace", "default"]).unwrap();

    // And once more, with `down` finding only what was left.
    for record in state().processes.values() {
        record.signal(Signal::SIGKILL);
    }
    cluster::down().unwrap();
    let folder = Layout::new().unwrap();
    assert!(teardown::mounts_below(folder.folder()).is_empty());
    for (what, value) in machine() {
        assert_eq!(value, before[what], "{what} are as before");
    }
    cluster::down().unwrap();
}

fn relay(image: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: relay, namespace: default}}
data:
  Corefile: |
    .:53 {{
      health
      ready
      forward . 198.19.0.10
    }}
---
apiVersion: v1
kind: Pod
metadata: {{name: relay, namespace: default}}
spec:
  containers:
  - name: relay
    image: {image}
    imagePullPolicy: Never
    args: ["-conf", "/etc/coredns/Corefile"]
    readinessProbe: {{httpGet: {{path: /ready, port: 8181}}, periodSeconds: 1}}
    volumeMounts: [{{name: config, mountPath: /etc/coredns}}]
  volumes: [{{name: config, configMap: {{name: relay}}}}]
"#
    )
}

/// Whether a DNS server knows an address for a name.
fn resolve(server: &str, name: &str) -> bool {
    let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let socket = std::net::UdpSocket::bind("198.19.255.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.send_to(&question, (server, 53)).unwrap();
    let mut answer = [0_u8; 512];
    let Ok(length) = socket.recv(&mut answer) else { return false };
    // No error code, and at least one answer.
    length > 12 && answer[3] & 15 == 0 && answer[7] > 0
}
