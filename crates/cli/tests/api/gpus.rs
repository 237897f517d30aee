//! `dynamoctl gpus`: nodes as their labels and allocatable resources tell them, and pods that ask where they do not.

use std::{process::Stdio, time::Duration};

use dynamo_testkit::{Kubelet, eventually};
use dynamoctl::{cluster::Cluster, gpus::aggregate::Summary};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::world::{Answer, NAMESPACE, World};

async fn fleet(world: &World) {
    let labels = json!({"nvidia.com/gpu.count": "8", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.memory": "81559", "nvidia.com/mig.capable": "true"});
    world.node("a-h100", labels, json!({"nvidia.com/gpu": "8", "nvidia.com/mig-1g.10gb": "2"})).await;
    let labels = json!({"nvidia.com/gpu.product": "NVIDIA-L40S", "nvidia.com/gpu.memory": "46068MiB",
        "nvidia.com/mig.capable": "no"});
    world.node("b-l40s", labels, json!({"nvidia.com/gpu": "4"})).await;
    world.node("c-bare", json!({}), json!({"nvidia.com/gpu": "2"})).await;
    world.node("d-cpu", json!({}), json!({"cpu": "16"})).await;
    let nodes: Api<Node> = Api::all(world.client.clone());
    let cordon = Patch::Merge(json!({"spec": {"unschedulable": true}}));
    nodes.patch("b-l40s", &PatchParams::default(), &cordon).await.unwrap();
    let down = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
    nodes.patch_status("c-bare", &PatchParams::default(), &Patch::Merge(down)).await.unwrap();
    let gpus = json!({"limits": {"nvidia.com/gpu": "3"}});
    let container = json!({"name": "main", "image": "example.com/a:1", "resources": gpus});
    let spec = json!({"nodeName": "a-h100", "containers": [container]});
    world.make_in::<Pod>(NAMESPACE, json!({"metadata": {"name": "user"}, "spec": spec})).await;
}

#[tokio::test]
async fn every_node_is_listed_on_standard_output_with_what_is_used_ready_and_schedulable() {
    let world = World::empty().await;
    fleet(&world).await;
    let answer = world.run(&["gpus", "--aggregate"]);
    insta::assert_snapshot!("gpus_table", answer.stdout);
    assert_eq!(answer.code, 0);
    assert!(answer.stderr.contains("warning: nodes have 2 different GPU types"), "{}", answer.stderr);
    insta::assert_snapshot!("gpus_table_mig", world.run(&["gpus", "--show-mig", "--prefer=kubectl"]).stdout);
}

#[tokio::test]
async fn json_and_csv_can_be_piped_and_the_aggregate_is_an_object_of_the_json() {
    let world = World::empty().await;
    fleet(&world).await;
    let answer = world.run(&["gpus", "-o", "json", "--aggregate", "--color", "always"]);
    insta::assert_snapshot!("gpus_json", answer.stdout);
    let aggregate = json!({"gpus_per_node": 8, "model": "NVIDIA-H100-80GB-HBM3", "vram": 81559});
    assert_eq!(answer.json()["aggregate"], aggregate);
    assert_eq!(world.run(&["gpus", "--format", "json"]).json().get("aggregate"), None);
    insta::assert_snapshot!("gpus_csv", world.run(&["gpus", "--output", "csv"]).stdout);
}

#[tokio::test]
async fn nodes_are_read_page_by_page() {
    let world = World::empty().await;
    futures::future::join_all((0..300).map(|at| {
        let world = &world;
        async move { world.node(&format!("n{at:03}"), json!({}), json!({"nvidia.com/gpu": "1"})).await }
    }))
    .await;
    let items = world.run(&["gpus", "-o", "json"]).json()["items"].as_array().unwrap().len();
    assert_eq!(items, 300);
    let log = std::fs::read_to_string(&world.audit_log).unwrap();
    let pages = log.lines().filter(|line| line.contains("/api/v1/nodes?") && line.contains("limit=250"));
    assert!(pages.clone().any(|line| line.contains("continue=")), "a second page");
}

#[tokio::test]
async fn the_library_sums_up_what_a_sizing_tool_has_to_know() {
    let world = World::empty().await;
    let cluster = Cluster { client: world.client.clone(), namespace: NAMESPACE.to_owned() };
    let summary = async || dynamoctl::gpus::summary(&cluster, None).await.unwrap();
    assert_eq!(summary().await, Summary::default());
    fleet(&world).await;
    let expected = Summary { gpus_per_node: 8, model: "NVIDIA-H100-80GB-HBM3".to_owned(), vram: 81559 };
    assert_eq!(summary().await, expected);
}

#[tokio::test]
async fn nothing_to_aggregate_is_a_warning() {
    let world = World::empty().await;
    let answer = world.run(&["gpus", "--aggregate"]);
    assert_eq!(answer.code, 0);
    assert_eq!(answer.stderr, "warning: No nodes expose MODEL/VRAM; cannot aggregate\n");
}

#[tokio::test]
async fn no_source_is_exit_1_and_wrong_use_exit_2() {
    let world = World::empty().await;
    for kubeconfig in [world.closed(), world.stranger()] {
        let answer = Answer::of(world.command_as(&kubeconfig, &["gpus"]).output().unwrap());
        assert_eq!(answer.code, 1);
        assert!(answer.stderr.starts_with("Failed to list nodes: "), "{}", answer.stderr);
        assert_eq!(answer.stdout, "");
    }
    for words in [["gpus", "--prefer=x"], ["gpus", "--format=x"], ["gpus", "--wrong"]] {
        assert_eq!(world.run(&words).code, 2, "{words:?}");
    }
}

/// Pods that ask nvidia-smi.
async fn asking(world: &World) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(world.client.clone(), NAMESPACE);
    let selector = ListParams::default().labels(dynamoctl::gpus::smi::LABEL);
    api.list(&selector).await.unwrap().items
}

#[tokio::test]
async fn a_pod_without_an_answer_is_a_warning_and_is_removed() {
    let world = World::empty().await;
    world.node("bare", json!({}), json!({"nvidia.com/gpu": "2"})).await;
    // Long enough for the pod to be made: a node that is not asked is another warning.
    let answer = world.run(&["gpus", "--enrich-smi", "--smi-timeout", "10", "-n", NAMESPACE, "-o", "json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("did not end within 10 s"), "{}", answer.stderr);
    assert_eq!(answer.json()["items"][0]["gpu_product"], Value::Null);
    assert!(asking(&world).await.is_empty());
}

#[tokio::test]
async fn nodes_are_asked_at_the_same_time_up_to_the_limit() {
    let world = World::empty().await;
    for at in 0..5 {
        world.node(&format!("n{at}"), json!({}), json!({"nvidia.com/gpu": "1"})).await;
    }
    let words = ["gpus", "--enrich-smi", "--smi-parallel", "3", "--smi-timeout", "60", "-n", NAMESPACE];
    let child = std::thread::spawn({
        let mut command = world.command(&words);
        move || Answer::of(command.output().unwrap())
    });
    eventually("three pods ask", || async {
        let pods = asking(&world).await.len();
        assert!(pods <= 3);
        if pods == 3 { Ok(()) } else { Err(format!("{pods} pods")) }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(asking(&world).await.len(), 3, "the limit");
    let api: Api<Pod> = Api::namespaced(world.client.clone(), NAMESPACE);
    while !child.is_finished() {
        for pod in asking(&world).await {
            let failed = Patch::Merge(json!({"status": {"phase": "Failed", "message": "no driver"}}));
            let patched = api.patch_status(&pod.name_any(), &PatchParams::default(), &failed).await;
            assert!(
                patched.is_ok() || matches!(patched, Err(kube::Error::Api(status)) if status.code == 404)
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = child.join().unwrap();
    assert_eq!(answer.stderr.matches("failed: no driver").count(), 5, "{}", answer.stderr);
    assert!(asking(&world).await.is_empty());
}

#[tokio::test]
async fn what_nvidia_smi_says_fills_only_what_labels_leave_open() {
    let world = World::empty().await;
    let kubelet = Kubelet::start("NVIDIA H100 80GB HBM3, 81559\n").await;
    let labels = json!({"nvidia.com/gpu.product": "of-the-label"});
    world.node("bare", json!({}), json!({"nvidia.com/gpu": "2"})).await;
    world.node("half", labels, json!({"nvidia.com/gpu": "4"})).await;
    for node in ["bare", "half"] {
        kubelet.serve(&world.client, node).await;
    }
    let child = std::thread::spawn({
        let mut command =
            world.command(&["gpus", "--enrich-smi", "-n", NAMESPACE, "-o", "json", "--aggregate"]);
        move || Answer::of(command.output().unwrap())
    });
    let api: Api<Pod> = Api::namespaced(world.client.clone(), NAMESPACE);
    let pods = eventually("two pods ask", || async {
        let pods = asking(&world).await;
        if pods.len() == 2 { Ok(pods) } else { Err(format!("{} pods", pods.len())) }
    });
    for pod in pods.await {
        let affinity = serde_json::to_value(&pod.spec.as_ref().unwrap().affinity).unwrap();
        let node = if affinity.to_string().contains("\"bare\"") { "bare" } else { "half" };
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod.name_any()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
        let bound: Result<Value, _> =
            api.create_subresource("binding", &pod.name_any(), &PostParams::default(), &binding).await;
        bound.unwrap();
        let done = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
        api.patch_status(&pod.name_any(), &PatchParams::default(), &done).await.unwrap();
    }
    let answer = tokio::task::spawn_blocking(move || child.join().unwrap()).await.unwrap();
    assert_eq!((answer.code, answer.stderr.contains("node ")), (0, false), "{answer:?}");
    let document = answer.json();
    let said = |at: usize| {
        (document["items"][at]["gpu_product"].clone(), document["items"][at]["gpu_memory_mib"].clone())
    };
    assert_eq!(said(0), (json!("NVIDIA H100 80GB HBM3"), json!(81559)));
    assert_eq!(said(1), (json!("of-the-label"), json!(81559)));
    assert_eq!(document["aggregate"]["model"], "of-the-label");
    assert!(asking(&world).await.is_empty());
}

#[tokio::test]
async fn an_interrupted_call_removes_its_pods_and_makes_no_more() {
    let world = World::empty().await;
    for node in ["a", "b", "c"] {
        world.node(node, json!({}), json!({"nvidia.com/gpu": "1"})).await;
    }
    let words = ["gpus", "--enrich-smi", "--smi-parallel", "2", "-n", NAMESPACE];
    let child = world.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("two pods ask", || async {
        let pods = asking(&world).await.len();
        if pods == 2 { Ok(()) } else { Err(format!("{pods} pods")) }
    })
    .await;
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let answer =
        tokio::task::spawn_blocking(move || Answer::of(child.wait_with_output().unwrap())).await.unwrap();
    assert_eq!(answer.stderr.matches("interrupted").count(), 3, "{answer:?}");
    assert!(asking(&world).await.is_empty());
}

#[tokio::test]
async fn pods_that_a_killed_call_left_behind_are_swept() {
    let world = World::empty().await;
    let (key, value) = dynamoctl::gpus::smi::LABEL.split_once('=').unwrap();
    let container = json!({"name": "smi", "image": "example.com/a:1"});
    let spec = json!({"activeDeadlineSeconds": 1, "containers": [container]});
    let metadata = json!({"name": "gpu-inv-smi-000000", "labels": {key: value}});
    world.make_in::<Pod>(NAMESPACE, json!({"metadata": metadata, "spec": spec})).await;
    world.node("bare", json!({}), json!({"nvidia.com/gpu": "2"})).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    world.run(&["gpus", "--enrich-smi", "--smi-timeout", "1", "-n", NAMESPACE]);
    assert!(asking(&world).await.is_empty());
}

#[tokio::test]
async fn missing_rights_for_pods_are_warnings() {
    let world = World::empty().await;
    world.node("bare", json!({}), json!({"nvidia.com/gpu": "2"})).await;
    let role = json!({"metadata": {"name": "nodes"}, "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]});
    let binding = json!({"metadata": {"name": "node-reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "nodes"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "node-reader"}]});
    let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(world.client.clone());
    let apply = PatchParams::apply("test").force();
    let mut typed = role;
    typed["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
    typed["kind"] = "ClusterRole".into();
    roles.patch("nodes", &apply, &Patch::Apply(typed)).await.unwrap();
    world.make::<k8s_openapi::api::rbac::v1::ClusterRoleBinding>(binding).await;
    let words = ["gpus", "--enrich-smi", "-n", NAMESPACE, "-o", "csv"];
    let reader = world.user("node-reader");
    // The authorizer learns of a binding a moment later.
    let answer = eventually("the right to list nodes", || async {
        let answer = Answer::of(world.command_as(&reader, &words).output().unwrap());
        if answer.code == 0 { Ok(answer) } else { Err(answer.stderr) }
    })
    .await;
    assert!(answer.stderr.contains("used GPUs are not known"), "{}", answer.stderr);
    assert!(answer.stderr.contains("node bare: cannot create pod"), "{}", answer.stderr);
    assert!(answer.stdout.contains("bare,2,,,,2,,true,true,\n"), "{}", answer.stdout);
}
