//! Random graphs, valid ones and broken ones, as JSON manifests that shrink to something readable.
//! Every one decodes: an object that does not would never reach a judge.

use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};

/// How far a generator strays from what the API server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Anything of the right JSON type.
    Wild,
    /// Texts that are valid where they stand; combinations are still free.
    Tame,
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
    (paths, text(mood, &["models", "scratch", "models", "shared-memory"]))
        .prop_map(|(paths, name)| {
            paths.into_iter().map(|path| json!({"name": name, "mountPath": path})).collect()
        })
        .boxed()
}

fn main_container(mood: Mood) -> BoxedStrategy<Value> {
    let words =
        &["python3", "-m", "dynamo.vllm", "dynamo.sglang", "/bin/sh", "-c", "&", "python3 -m dynamo.trtllm"];
    let resources = object(vec![
        ("limits", quantities(mood, "limits", &["cpu", "memory", "nvidia.com/gpu"])),
        ("requests", quantities(mood, "requests", &["cpu", "memory"])),
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

/// Amounts of resources; a tame request is never above a tame limit.
fn quantities(mood: Mood, side: &str, names: &'static [&'static str]) -> BoxedStrategy<Value> {
    let amounts = |name: &str| -> &'static [&'static str] {
        match (name, side) {
            ("cpu", "requests") => &["500m", "1", "0.5"],
            ("cpu", _) => &["1", "2", "4000m"],
            ("memory", "requests") => &["1Gi", "1e3"],
            ("memory", _) => &["64Gi", "1Ti"],
            _ => &["1", "2", "8"],
        }
    };
    object(names.iter().map(|name| (*name, text(mood, amounts(name)))).collect())
}

/// Annotations of which the platform reads some.
fn switches(mood: Mood, keys: &'static [&'static str]) -> BoxedStrategy<Value> {
    let values = |key: &str| -> &'static [&'static str] {
        match key.rsplit('/').next().unwrap_or_default() {
            "enable-metrics" | "enable-grove" => &["true", "false"],
            "dynamo-discovery-backend" => &["kubernetes", "etcd"],
            "deployment-strategy" => &["Recreate", "RollingUpdate", "BlueGreen"],
            "deployment-rolling-update-max-surge" => &["1", "25%", "200%"],
            "deployment-rolling-update-max-unavailable" => &["0", "1", "100%"],
            "dynamo-operator-origin-version" => &["0.9.0", "v1.2"],
            _ => &["", "a b", "1"],
        }
    };
    object(keys.iter().map(|key| (*key, text(mood, values(key)))).collect())
}

fn pod(mood: Mood) -> BoxedStrategy<Value> {
    let sidecar = variables(mood)
        .prop_map(|env| json!([{"name": "sidecar", "image": "example.com/log:1", "env": env}]))
        .boxed();
    let all = ["models", "scratch", "shared-memory", "cache"];
    // The volumes that mounts name are there in a tame pod.
    let least = if mood == Mood::Tame { 2 } else { 0 };
    let volumes = (0..=all.len())
        .prop_map(move |number| {
            all.iter()
                .take(number.max(least))
                .map(|name| json!({"name": name, "emptyDir": {}}))
                .collect::<Value>()
        })
        .boxed();
    let fields = object(vec![
        ("containers", sidecar),
        ("serviceAccountName", text(mood, &["mine", ""])),
        ("terminationGracePeriodSeconds", number(mood)),
        ("nodeSelector", labels(mood, &["pool", "zone"])),
        ("securityContext", Just(json!({})).boxed()),
    ]);
    with(with(fields, "volumes", volumes), "mainContainer", main_container(mood))
}

fn service(mood: Mood) -> BoxedStrategy<Value> {
    const TYPES: &[&str] = &["frontend", "worker", "prefill", "decode", "planner", "epp", "router", ""];
    const SWITCHES: &[&str] = &[
        "nvidia.com/enable-metrics",
        "nvidia.com/dynamo-discovery-backend",
        "nvidia.com/deployment-strategy",
        "nvidia.com/deployment-rolling-update-max-surge",
        "nvidia.com/deployment-rolling-update-max-unavailable",
        "nvidia.com/restartAt",
        "example.com/note",
    ];
    let mount = object(vec![
        ("name", text(mood, &["models", "cache", "scratch"])),
        ("mountPoint", text(mood, &["/models", "/cache", "/dev/shm", "/x", ""])),
        ("useAsCompilationCache", any::<bool>().prop_map(Value::from).boxed()),
    ]);
    let side = |side: &str| {
        let custom = match side {
            "requests" => Just(json!({})).boxed(),
            _ => text(mood, &["1", "8"]).prop_map(|amount| json!({"rdma/ib": amount})).boxed(),
        };
        let short = &["cpu", "memory", "gpu"];
        with(quantities(mood, side, short), "gpuType", text(mood, &["gpu.intel.com/xe", ""]))
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
        ("annotations", switches(mood, SWITCHES)),
    ]);
    let picker = object(vec![
        ("featureGates", list(text(mood, &["flowControl"]), 2)),
        ("plugins", list(object(vec![("type", text(mood, &["max-score-picker"]))]), 2)),
        ("dataLayer", text(mood, &["metrics", "yes"])),
    ]);
    let epp = prop_oneof![
        2 => picker.prop_map(|config| json!({"config": config})),
        3 => Just(json!({"configMapRef": {"name": "picker", "key": "config.yaml"}})),
        1 => text(mood, &["picker"]).prop_map(|name| json!({"configMapRef": {"name": name, "key": "k"}})),
    ];
    let ingress = object(vec![
        ("enabled", any::<bool>().prop_map(Value::from).boxed()),
        ("host", text(mood, &["chat"])),
        ("hostSuffix", text(mood, &["example.com", ""])),
        ("ingressControllerClassName", text(mood, &["nginx", ""])),
        ("tls", object(vec![("secretName", text(mood, &["chat-tls", ""]))])),
    ]);
    let nodes = prop_oneof![3 => Just(json!({})), 1 => number(mood).prop_map(|n| json!({"nodeCount": n}))];
    let fields = object(vec![
        ("componentType", text(mood, TYPES)),
        ("subComponentType", text(mood, &["prefill", "decode", ""])),
        ("replicas", number(mood)),
        ("annotations", switches(mood, SWITCHES)),
        ("labels", labels(mood, &["team"])),
        ("dynamoNamespace", text(mood, &["mine", ""])),
        ("autoscaling", Just(json!({"enabled": false})).boxed()),
        ("scalingAdapter", any::<bool>().prop_map(|enabled| json!({"enabled": enabled})).boxed()),
        ("ingress", with(ingress, "host", text(mood, &["chat", "c.d"]))),
        ("multinode", nodes.boxed()),
        ("eppConfig", epp.boxed()),
        ("envs", variables(mood)),
        ("envFromSecret", text(mood, &["token", ""])),
        ("volumeMounts", list(mount, 3)),
        ("resources", object(vec![("requests", side("requests")), ("limits", side("limits"))])),
        ("sharedMemory", shared_memory.boxed()),
        ("modelRef", text(mood, &["Qwen/Qwen3-0.6B"]).prop_map(|name| json!({"name": name})).boxed()),
        ("livenessProbe", probe(mood, true)),
        ("readinessProbe", probe(mood, true)),
        ("globalDynamoNamespace", any::<bool>().prop_map(Value::from).boxed()),
        ("extraPodMetadata", metadata),
    ]);
    with(fields, "extraPodSpec", pod(mood))
}

/// Makes the parts of a tame graph fit together that would else contradict each other nearly always.
fn settle(spec: &mut Value) {
    let fields = spec.as_object_mut().unwrap();
    if fields.get("restart").is_some_and(|restart| restart["strategy"]["order"].is_array()) {
        fields.remove("restart");
    }
    for claim in fields.get_mut("pvcs").and_then(Value::as_array_mut).into_iter().flatten() {
        let whole = ["storageClass", "size", "volumeAccessMode"].iter().all(|key| claim.get(key).is_some());
        claim["create"] = json!(whole);
    }
    let mut pickers = 0;
    for service in fields.get_mut("services").and_then(Value::as_object_mut).unwrap().values_mut() {
        if service["componentType"] == "epp" {
            pickers += 1;
            service["componentType"] = json!(if pickers > 1 { "worker" } else { "epp" });
            service["replicas"] = json!(1);
            if service.pointer("/eppConfig/config").is_none() {
                service["eppConfig"] = json!({"configMapRef": {"name": "picker", "key": "config.yaml"}});
            }
            service.as_object_mut().unwrap().remove("multinode");
        }
    }
}

/// Two manifests of one graph, before and after a change of some services.
pub fn change(mood: Mood) -> BoxedStrategy<(Value, Value)> {
    (graph(mood), graph(mood), any::<bool>())
        .prop_map(|(old, other, whole)| {
            let mut new = other;
            new["metadata"] = old["metadata"].clone();
            if !whole {
                let services = new["spec"]["services"].clone();
                new["spec"] = old["spec"].clone();
                for (name, service) in services.as_object().into_iter().flatten() {
                    new["spec"]["services"][name] = service.clone();
                }
            }
            (old, new)
        })
        .boxed()
}

/// A manifest of a graph.
pub fn graph(mood: Mood) -> BoxedStrategy<Value> {
    const SWITCHES: &[&str] = &[
        "nvidia.com/enable-metrics",
        "nvidia.com/enable-grove",
        "nvidia.com/dynamo-discovery-backend",
        "nvidia.com/dynamo-operator-origin-version",
        "example.com/note",
    ];
    let services =
        vec((text(mood, &["Frontend", "Worker", "worker", "A", "b-c", "B2"]), service(mood)), 0..4)
            .prop_map(|pairs| {
                let pairs = pairs.into_iter();
                Value::Object(
                    pairs.map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), value)).collect(),
                )
            })
            .boxed();
    let claim = with(
        object(vec![
            ("create", any::<bool>().prop_map(Value::from).boxed()),
            ("storageClass", text(mood, &["fast"])),
            ("size", text(mood, &["10Gi", "1Ti"])),
            ("volumeAccessMode", text(mood, &["ReadWriteMany"])),
        ]),
        "name",
        text(mood, &["models", "cache", "scratch"]),
    );
    let order = list(text(mood, &["Frontend", "Worker", "A"]), 2);
    let strategy = object(vec![("type", text(mood, &["Sequential", "Parallel"])), ("order", order)]);
    let restart = with(object(vec![("strategy", strategy)]), "id", text(mood, &["1", "again"]));
    let spec = object(vec![
        ("envs", variables(mood)),
        ("backendFramework", text(mood, &["vllm", "sglang", ""])),
        ("pvcs", list(claim, 2)),
        ("restart", restart),
    ]);
    let spec = with(spec, "services", services);
    let metadata = with(
        object(vec![("annotations", switches(mood, SWITCHES)), ("labels", labels(mood, &["team"]))]),
        "name",
        text(mood, &["chat", "a-1"]),
    );
    let metadata = with(metadata, "namespace", text(mood, &["demo"]));
    (metadata, spec)
        .prop_map(move |(metadata, mut spec)| {
            if mood == Mood::Tame {
                settle(&mut spec);
            }
            json!({
                "apiVersion": "nvidia.com/v1alpha1",
                "kind": "DynamoGraphDeployment",
                "metadata": metadata,
                "spec": spec,
            })
        })
        .boxed()
}
