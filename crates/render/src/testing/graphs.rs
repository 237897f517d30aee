//! Random graphs, valid ones and broken ones, as JSON manifests that shrink to something readable.
//! Every one decodes: an object that does not would never reach a judge.

use std::collections::BTreeSet;

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

pub(super) fn one_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
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

/// Variables of a container of the user, whose schema takes each name once.
fn variables_of_container(mood: Mood) -> BoxedStrategy<Value> {
    let is_tame = mood == Mood::Tame;
    variables(mood)
        .prop_map(move |mut all| {
            let mut known = BTreeSet::new();
            let all_of_them = all.as_array_mut().unwrap();
            all_of_them.retain(|variable| known.insert(variable["name"].to_string()) || !is_tame);
            all
        })
        .boxed()
}

/// Variables of a service or a graph, in a few cases with a configuration of services among them.
fn envs(mood: Mood) -> BoxedStrategy<Value> {
    const NAMES: &[&str] = &["Frontend", "Worker", "A", "B2"];
    let resources = object(vec![
        ("cpu", text(mood, &["4", "1500m"])),
        ("Memory", text(mood, &["128Gi", ""])),
        ("gpu", prop_oneof![text(mood, &["1", "2"]), number(mood)].boxed()),
        ("custom", text(mood, &["1", "4"]).prop_map(|amount| json!({"rdma/ib": amount})).boxed()),
    ]);
    let args = object(vec![("workers", number(mood)), ("resources", resources)]);
    let entry = object(vec![("ServiceArgs", args), ("port", number(mood)), ("x", text(mood, &["<y>"]))]);
    let config = vec((text(mood, NAMES), entry), 0..3).prop_map(|pairs| {
        let pairs = pairs.into_iter();
        let map: Map<String, Value> =
            pairs.map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), value)).collect();
        Value::from(Value::Object(map).to_string())
    });
    let config = match mood {
        Mood::Tame => config.boxed(),
        Mood::Wild => prop_oneof![4 => config, 1 => text(mood, &["", "{", "[]"])].boxed(),
    };
    (variables(mood), prop::option::weighted(0.2, config))
        .prop_map(|(mut all, config)| {
            let own = config.map(|text| json!({"name": "DYN_DEPLOYMENT_CONFIG", "value": text}));
            all.as_array_mut().unwrap().extend(own);
            all
        })
        .boxed()
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
        ("env", variables_of_container(mood)),
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
            "enable-metrics"
            | "enable-grove"
            | "enable-debug-mode"
            | "enable-stealing-traffic-debug-mode"
            | "disable-image-pull-secret-discovery" => &["true", "false"],
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
    let sidecar = variables_of_container(mood)
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

/// The configuration of an endpoint picker, as its own or as a reference.
fn picker(mood: Mood) -> BoxedStrategy<Value> {
    // The schema takes bytes alone.
    let parameters = match mood {
        Mood::Tame => text(mood, &["e30=", "eyJhIjogMX0="]),
        Mood::Wild => object(vec![("threshold", number(mood)), ("mode", text(mood, &["fast"]))]),
    };
    let plugin = with(
        object(vec![("name", text(mood, &["scorer", "picker", ""])), ("parameters", parameters)]),
        "type",
        text(mood, &["kv-aware-scorer", "max-score-picker"]),
    );
    let used = with(object(vec![("weight", number(mood))]), "pluginRef", text(mood, &["scorer", "picker"]));
    let profile = with(
        with(Just(json!({})).boxed(), "name", text(mood, &["default", "prefill"])),
        "plugins",
        list(used, 2),
    );
    let detector = object(vec![
        ("queueDepthThreshold", number(mood)),
        ("kvCacheUtilThreshold", Just(json!(0.8)).boxed()),
        ("metricsStalenessThreshold", text(mood, &["200ms", "1s"])),
    ]);
    let config = object(vec![
        ("featureGates", list(text(mood, &["prepareDataPlugins"]), 2)),
        ("saturationDetector", detector),
        ("apiVersion", text(mood, &["inference.networking.x-k8s.io/v1alpha1"])),
    ]);
    let config = with(with(config, "plugins", list(plugin, 3)), "schedulingProfiles", list(profile, 2));
    prop_oneof![
        Just(json!({"configMapRef": {"name": "picker", "key": "config.yaml"}})),
        text(mood, &["picker"]).prop_map(|name| json!({"configMapRef": {"name": name, "key": "k"}})),
        config.prop_map(|config| json!({"config": config})),
    ]
    .boxed()
}

fn checkpoint(mood: Mood) -> BoxedStrategy<Value> {
    let identity = object(vec![
        ("dynamoVersion", text(mood, &["0.9.0"])),
        ("tensorParallelSize", (1..9i32).prop_map(Value::from).boxed()),
        ("dtype", text(mood, &["fp8"])),
        ("maxModelLen", (1..9i32).prop_map(Value::from).boxed()),
        ("extraParameters", labels(mood, &["seed"])),
    ]);
    let identity = with(identity, "model", text(mood, &["Qwen/Qwen3-0.6B"]));
    let identity =
        with(identity, "backendFramework", one_of(&["vllm", "sglang"]).prop_map(Value::from).boxed());
    let fields = object(vec![
        ("mode", one_of(&["Auto", "Manual"]).prop_map(Value::from).boxed()),
        ("checkpointRef", text(mood, &["saved", ""])),
    ]);
    let fields = with(fields, "identity", identity);
    with(fields, "enabled", any::<bool>().prop_map(Value::from).boxed())
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
        "nvidia.com/enable-debug-mode",
        "nvidia.com/enable-stealing-traffic-debug-mode",
        "nvidia.com/disable-image-pull-secret-discovery",
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
    let ingress = object(vec![
        ("enabled", any::<bool>().prop_map(Value::from).boxed()),
        ("host", text(mood, &["chat"])),
        ("hostPrefix", text(mood, &["a.", "b-", ""])),
        ("hostSuffix", text(mood, &["example.com", ""])),
        ("ingressControllerClassName", text(mood, &["nginx", ""])),
        ("tls", object(vec![("secretName", text(mood, &["chat-tls", ""]))])),
        ("useVirtualService", any::<bool>().prop_map(Value::from).boxed()),
        ("virtualServiceGateway", text(mood, &["istio-system/gateway", "mesh-gateway", ""])),
        ("annotations", labels(mood, &["example.com/note", "nginx.ingress.kubernetes.io/x"])),
        ("labels", labels(mood, &["team"])),
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
        ("eppConfig", picker(mood)),
        ("checkpoint", checkpoint(mood)),
        ("envs", envs(mood)),
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
    let names: Vec<String> = fields["services"].as_object().unwrap().keys().rev().cloned().collect();
    if let Some(strategy) = fields.get_mut("restart").and_then(|restart| restart.get_mut("strategy")) {
        let is_parallel = strategy["type"] == "Parallel";
        if let Some(order) = strategy.get_mut("order") {
            *order = if is_parallel { json!([]) } else { json!(names) };
        }
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
            if service.get("eppConfig").is_none() {
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
        ("envs", envs(mood)),
        ("backendFramework", text(mood, &["vllm", "sglang"])),
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
