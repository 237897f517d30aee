//! Property tests: whatever a user writes, nothing panics, and what passes validation becomes objects that hold
//! together. Cases: 500, or `PROPTEST_CASES`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::collections::BTreeSet;

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use k8s_openapi::api::core::v1::Container;
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};
use support::Rendered;

/// How far a generator strays from what the API server accepts.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Anything of the right JSON type.
    Wild,
    /// Texts that are valid where they stand; combinations are still free.
    Tame,
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_graph_panics_and_rendering_twice_gives_equal_bytes(manifest in graph(Mood::Wild)) {
        let dgd = decode(&manifest);
        let config = support::platform();
        let once = support::render(&dgd, &config).map(|rendered| support::to_yaml(&rendered.objects()));
        let twice = support::render(&dgd, &config).map(|rendered| support::to_yaml(&rendered.objects()));
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn every_valid_graph_becomes_objects_that_hold_together(manifest in graph(Mood::Tame)) {
        let dgd = decode(&manifest);
        // A rejected graph is fine here: names collide, backends contradict each other.
        if let Ok(rendered) = support::render(&dgd, &support::platform()) {
            check_names(&rendered)?;
            for (_, built) in &rendered.components {
                check_selectors(&built.deployment, &built.service)?;
                check_pod(&dgd, &built.deployment)?;
            }
        }
    }
}

#[test]
fn most_tame_graphs_are_valid_so_that_the_properties_say_something() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let valid = (0..200)
        .filter(|_| {
            let manifest = graph(Mood::Tame).new_tree(&mut runner).expect("a graph").current();
            support::render(&decode(&manifest), &support::platform()).is_ok()
        })
        .count();
    assert!(valid > 60, "{valid} of 200 graphs are valid");
}

/// Anything of the right JSON type decodes: an object that does not would stop a watch.
fn decode(manifest: &Value) -> DynamoGraphDeployment {
    serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{error}: {manifest}"))
}

fn check_names(rendered: &Rendered) -> Result<(), TestCaseError> {
    let objects = rendered.objects();
    let mut taken = BTreeSet::new();
    for object in &objects {
        let id = support::id(object);
        prop_assert!(is_dns_label(&id.1, id.0 == "Service"), "{:?} is no DNS name", id);
        prop_assert!(taken.insert(id.clone()), "{:?} twice", id);
        for labels in ["/metadata/labels", "/spec/template/metadata/labels", "/spec/selector"] {
            for (key, value) in object.pointer(labels).and_then(Value::as_object).into_iter().flatten() {
                if let Some(value) = value.as_str() {
                    prop_assert!(is_label_value(value), "{:?}: label {key}={value:?}", id);
                }
            }
        }
    }
    Ok(())
}

fn check_selectors(
    deployment: &k8s_openapi::api::apps::v1::Deployment,
    service: &k8s_openapi::api::core::v1::Service,
) -> Result<(), TestCaseError> {
    let spec = deployment.spec.as_ref().unwrap();
    let labels = spec.template.metadata.as_ref().unwrap().labels.as_ref().unwrap();
    let of_deployment = spec.selector.match_labels.iter().flatten();
    let of_service = service.spec.as_ref().unwrap().selector.iter().flatten();
    for (key, value) in of_deployment.chain(of_service) {
        prop_assert_eq!(labels.get(key), Some(value), "selector {}", key);
    }
    Ok(())
}

fn check_pod(
    dgd: &DynamoGraphDeployment,
    deployment: &k8s_openapi::api::apps::v1::Deployment,
) -> Result<(), TestCaseError> {
    let pod = deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let volumes: Vec<_> = pod.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    check_unique("volume", volumes.iter().copied())?;
    check_unique("container", pod.containers.iter().map(|container| container.name.as_str()))?;
    for container in &pod.containers {
        check_unique("variable", container.env.iter().flatten().map(|variable| variable.name.as_str()))?;
        check_unique("mount path", mounts(container).map(|(_, path)| path))?;
    }
    let main = pod.containers.last().unwrap();
    let service =
        &dgd.spec.services[&deployment.metadata.labels.as_ref().unwrap()["nvidia.com/dynamo-component"]];
    let user = service.extra_pod_spec.as_ref().and_then(|pod| pod.main_container.as_ref());
    for (name, path) in mounts(main) {
        let own = user.is_some_and(|user| mounts(user).any(|mount| mount == (name, path)));
        prop_assert!(own || volumes.contains(&name), "mount {path} of {name:?}, which is no volume");
    }
    for probe in [&main.liveness_probe, &main.readiness_probe, &main.startup_probe].into_iter().flatten() {
        let handlers = [
            probe.exec.is_some(),
            probe.grpc.is_some(),
            probe.http_get.is_some(),
            probe.tcp_socket.is_some(),
        ];
        prop_assert_eq!(handlers.iter().filter(|present| **present).count(), 1, "handlers of {:?}", probe);
    }
    Ok(())
}

fn mounts(container: &Container) -> impl Iterator<Item = (&str, &str)> {
    container.volume_mounts.iter().flatten().map(|mount| (mount.name.as_str(), mount.mount_path.as_str()))
}

fn check_unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), TestCaseError> {
    let mut seen = BTreeSet::new();
    for name in names {
        prop_assert!(seen.insert(name), "{what} {name:?} twice");
    }
    Ok(())
}

fn is_dns_label(name: &str, letter_first: bool) -> bool {
    let inner = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let ends = name.starts_with(|c: char| c.is_ascii_lowercase() || (!letter_first && c.is_ascii_digit()))
        && !name.ends_with('-');
    inner && ends && (name.len() <= 63 || !letter_first)
}

fn is_label_value(value: &str) -> bool {
    let inner = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let ends = |c: char| c.is_ascii_alphanumeric();
    value.is_empty() || (inner && value.len() <= 63 && value.starts_with(ends) && value.ends_with(ends))
}

/// An object in which each field is there in about a third of the cases.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let (keys, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let values: Vec<_> = values.into_iter().map(|value| prop::option::weighted(0.35, value)).collect();
    values
        .prop_map(move |values| {
            let present =
                keys.iter().zip(values).filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
            Value::Object(present.collect::<Map<_, _>>())
        })
        .boxed()
}

fn with(base: BoxedStrategy<Value>, key: &'static str, value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    (base, value)
        .prop_map(move |(mut base, value)| {
            base[key] = value;
            base
        })
        .boxed()
}

fn one_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(texts).prop_map(ToOwned::to_owned).boxed()
}

/// A text: one of `good`, or anything at all.
fn text(mood: Mood, good: &'static [&'static str]) -> BoxedStrategy<Value> {
    let any = prop_oneof![
        Just(String::new()),
        any::<String>(),
        "[ -~]{1,80}",
        "[a-zA-Z0-9_.-]{60,70}",
        one_of(&["é", "\u{0}", "\u{202e}", "\u{212a}elvin", "İ", " ", "-", "a\nb", "$(POD_NAME)"]),
    ];
    match mood {
        Mood::Tame => one_of(good).prop_map(Value::from).boxed(),
        Mood::Wild => prop_oneof![3 => one_of(good), 1 => any].prop_map(Value::from).boxed(),
    }
}

fn number(mood: Mood) -> BoxedStrategy<Value> {
    match mood {
        Mood::Tame => (0..100i32).prop_map(Value::from).boxed(),
        Mood::Wild => prop_oneof![0..100i32, any::<i32>()].prop_map(Value::from).boxed(),
    }
}

fn list(item: BoxedStrategy<Value>, most: usize) -> BoxedStrategy<Value> {
    vec(item, 0..=most).prop_map(Value::from).boxed()
}

fn variables(mood: Mood) -> BoxedStrategy<Value> {
    const NAMES: &[&str] =
        &["A", "B", "_c", "DYN_NAMESPACE", "NATS_SERVER", "POD_NAME", "VLLM_CACHE_ROOT", "DYN_SYSTEM_PORT"];
    let plain = object(vec![("value", text(mood, &["1", "x y", "$(A)"]))]);
    list(with(plain, "name", text(mood, NAMES)), 5)
}

fn labels(mood: Mood, keys: &'static [&'static str]) -> BoxedStrategy<Value> {
    let values = &["true", "false", "etcd", "kubernetes", "Recreate", "", "1", "x.y-z"];
    vec((text(mood, keys), text(mood, values)), 0..4)
        .prop_map(|pairs| {
            let pairs = pairs.into_iter();
            Value::Object(
                pairs.map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), value)).collect(),
            )
        })
        .boxed()
}

fn probe(mood: Mood, handler_needed: bool) -> BoxedStrategy<Value> {
    let handlers = prop_oneof![
        Just(json!({"httpGet": {"path": "/x", "port": 9090}})),
        Just(json!({"httpGet": {"path": "/x", "port": "system"}})),
        Just(json!({"tcpSocket": {"port": "http"}})),
        Just(json!({"exec": {"command": ["true"]}})),
        Just(json!({"grpc": {"port": 1}})),
    ];
    let handlers = if handler_needed && mood == Mood::Tame {
        handlers.boxed()
    } else {
        prop_oneof![handlers, Just(json!({}))].boxed()
    };
    let timings = object(vec![
        ("periodSeconds", number(mood)),
        ("timeoutSeconds", number(mood)),
        ("failureThreshold", number(mood)),
        ("initialDelaySeconds", number(mood)),
    ]);
    (handlers, timings)
        .prop_map(|(mut handler, timings)| {
            for (key, value) in timings.as_object().into_iter().flatten() {
                handler[key] = value.clone();
            }
            handler
        })
        .boxed()
}

/// Mounts with distinct paths: two at one path are the user's own mistake.
fn mounts_of_user(mood: Mood) -> BoxedStrategy<Value> {
    let paths = prop::sample::subsequence(vec!["/dev/shm", "/models", "/scratch", "/x"], 0..3);
    (paths, text(mood, &["shared-memory", "models", "scratch", "nowhere"]))
        .prop_map(|(paths, name)| {
            paths.into_iter().map(|path| json!({"name": name, "mountPath": path})).collect()
        })
        .boxed()
}

fn main_container(mood: Mood) -> BoxedStrategy<Value> {
    let words =
        &["python3", "-m", "dynamo.vllm", "dynamo.sglang", "/bin/sh", "-c", "&", "python3 -m dynamo.trtllm"];
    let resources = object(vec![
        ("limits", quantities(mood, &["cpu", "memory", "nvidia.com/gpu"])),
        ("requests", quantities(mood, &["cpu", "memory"])),
    ]);
    let port = json!([{"name": "own", "containerPort": 1234}]);
    let fields = object(vec![
        ("name", text(mood, &["main", "engine"])),
        ("command", list(text(mood, words), 4)),
        ("args", list(text(mood, words), 4)),
        ("env", variables(mood)),
        ("ports", Just(port).boxed()),
        ("volumeMounts", mounts_of_user(mood)),
        ("resources", resources),
        ("livenessProbe", probe(mood, true)),
        ("readinessProbe", probe(mood, true)),
        ("startupProbe", probe(mood, true)),
    ]);
    with(fields, "image", text(mood, &["example.com/engine:1"]))
}

fn quantities(mood: Mood, names: &'static [&'static str]) -> BoxedStrategy<Value> {
    object(names.iter().map(|name| (*name, text(mood, &["1", "2", "500m", "64Gi", "1e3"]))).collect())
}

fn pod(mood: Mood) -> BoxedStrategy<Value> {
    let sidecar = variables(mood)
        .prop_map(|env| json!([{"name": "sidecar", "image": "example.com/log:1", "env": env}]))
        .boxed();
    let volumes = prop::sample::subsequence(vec!["shared-memory", "models", "scratch", "cache"], 0..4)
        .prop_map(|names| {
            names.into_iter().map(|name| json!({"name": name, "emptyDir": {}})).collect::<Value>()
        })
        .boxed();
    let fields = object(vec![
        ("containers", sidecar),
        ("volumes", volumes),
        ("serviceAccountName", text(mood, &["mine", ""])),
        ("terminationGracePeriodSeconds", number(mood)),
        ("nodeSelector", labels(mood, &["pool", "zone"])),
        ("securityContext", Just(json!({})).boxed()),
    ]);
    with(fields, "mainContainer", main_container(mood))
}

fn service(mood: Mood) -> BoxedStrategy<Value> {
    const TYPES: &[&str] = &["frontend", "worker", "prefill", "decode", "planner", "epp", "router", ""];
    const SWITCHES: &[&str] = &[
        "nvidia.com/enable-metrics",
        "nvidia.com/dynamo-discovery-backend",
        "nvidia.com/deployment-strategy",
        "nvidia.com/deployment-rolling-update-max-surge",
        "nvidia.com/restartAt",
        "example.com/note",
    ];
    let mount = object(vec![
        ("name", text(mood, &["models", "cache", "scratch"])),
        ("mountPoint", text(mood, &["/models", "/cache", "/dev/shm", "/x", ""])),
        ("useAsCompilationCache", any::<bool>().prop_map(Value::from).boxed()),
    ]);
    let side = || {
        let custom = labels(Mood::Tame, &["rdma/ib"]).prop_map(|_| json!({"rdma/ib": "1"})).boxed();
        let short = &["cpu", "memory", "gpu"];
        with(quantities(mood, short), "gpuType", text(mood, &["gpu.intel.com/xe", ""]))
            .prop_flat_map(move |side| with(Just(side).boxed(), "custom", custom.clone()))
            .boxed()
    };
    let shared_memory = prop_oneof![
        Just(json!({})),
        Just(json!({"disabled": true})),
        text(mood, &["1Gi", "8Gi"]).prop_map(|size| json!({"size": size})),
    ];
    let metadata = object(vec![
        ("labels", labels(mood, &["team", "nvidia.com/metrics-enabled"])),
        ("annotations", labels(mood, SWITCHES)),
    ]);
    let fields = object(vec![
        ("componentType", text(mood, TYPES)),
        ("subComponentType", text(mood, &["prefill", "decode", ""])),
        ("replicas", number(mood)),
        ("annotations", labels(mood, SWITCHES)),
        ("labels", labels(mood, &["team"])),
        ("envs", variables(mood)),
        ("envFromSecret", text(mood, &["token", ""])),
        ("volumeMounts", list(mount, 3)),
        ("resources", object(vec![("requests", side()), ("limits", side())])),
        ("sharedMemory", shared_memory.boxed()),
        ("modelRef", text(mood, &["Qwen/Qwen3-0.6B"]).prop_map(|name| json!({"name": name})).boxed()),
        ("livenessProbe", probe(mood, true)),
        ("readinessProbe", probe(mood, true)),
        ("globalDynamoNamespace", any::<bool>().prop_map(Value::from).boxed()),
        ("extraPodMetadata", metadata),
    ]);
    with(fields, "extraPodSpec", pod(mood))
}

/// A manifest as JSON, which shrinks to something readable.
fn graph(mood: Mood) -> BoxedStrategy<Value> {
    const SWITCHES: &[&str] =
        &["nvidia.com/enable-metrics", "nvidia.com/dynamo-discovery-backend", "example.com/note"];
    let services =
        vec((text(mood, &["Frontend", "Worker", "worker", "A", "b-c", "B2"]), service(mood)), 0..4)
            .prop_map(|pairs| {
                let pairs = pairs.into_iter();
                Value::Object(
                    pairs.map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), value)).collect(),
                )
            })
            .boxed();
    let spec =
        object(vec![("envs", variables(mood)), ("backendFramework", text(mood, &["vllm", "sglang", ""]))]);
    let spec = with(spec, "services", services);
    let metadata = with(
        object(vec![("annotations", labels(mood, SWITCHES)), ("labels", labels(mood, &["team"]))]),
        "name",
        text(mood, &["chat", "a-1"]),
    );
    let metadata = with(metadata, "namespace", text(mood, &["demo"]));
    (metadata, spec)
        .prop_map(|(metadata, spec)| {
            json!({
                "apiVersion": "nvidia.com/v1alpha1",
                "kind": "DynamoGraphDeployment",
                "metadata": metadata,
                "spec": spec,
            })
        })
        .boxed()
}
