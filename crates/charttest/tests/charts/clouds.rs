//! What people apply or register on a cloud, and the pages that tell them how (charts.md sections 19 and 22).
//! Must not render the charts: `scenarios.rs` does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_render::OperatorConfig;
use dynamo_render::validate::{Judged, Policy};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::helm::{strings, text, workspace};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of a folder at any depth, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect();
    found.sort();
    found
}

fn documents(path: &Path) -> Vec<Value> {
    let text = read(path);
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    documents
        .map(|part| Value::deserialize(part).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .collect()
}

fn clouds() -> PathBuf {
    workspace().join("deploy/clouds")
}

fn object(file: &str, name: &str) -> Value {
    let found = documents(&clouds().join(file)).into_iter().find(|object| object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {file}"))
}

/// Whether `whole` has everything that `part` has.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| holds(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
        }
        _ => whole == part,
    }
}

/// A field that Kubernetes does not know is lost on the way through its type.
fn is_known<K: DeserializeOwned + serde::Serialize>(object: &Value) -> bool {
    let typed: K = serde_json::from_value(object.clone()).expect("the object fits its type");
    holds(&serde_json::to_value(typed).expect("the object is written"), object)
}

#[test]
fn every_manifest_of_a_cloud_fits_its_kind() {
    let mut kinds = BTreeSet::new();
    for path in files(&clouds()) {
        for object in documents(&path) {
            let kind = text(&object["kind"]).to_owned();
            let fits = match (text(&object["apiVersion"]), kind.as_str()) {
                ("v1", "PersistentVolumeClaim") => is_known::<PersistentVolumeClaim>(&object),
                ("v1", "Pod") => is_known::<Pod>(&object),
                ("batch/v1", "Job") => is_known::<Job>(&object),
                ("storage.k8s.io/v1", "StorageClass") => is_known::<StorageClass>(&object),
                ("nvidia.com/v1alpha1", "DynamoGraphDeployment") => {
                    is_known::<DynamoGraphDeployment>(&object)
                }
                // Not of Kubernetes; its test is below.
                ("eksctl.io/v1alpha5", "ClusterConfig") => true,
                (version, _) => panic!("{}: {kind} of {version:?} has no test", path.display()),
            };
            assert!(fits, "{}: {kind} has fields that its type does not know", path.display());
            kinds.insert(kind);
        }
    }
    assert_eq!(kinds.len(), 6, "{kinds:?}");
}

#[test]
fn every_graph_of_a_cloud_is_accepted_and_its_workers_find_the_driver() {
    let config = OperatorConfig::default();
    for (name, workers) in
        [("vllm", ["VllmDecodeWorker", "VllmPrefillWorker"]), ("sglang", ["decode", "prefill"])]
    {
        let mut graph = object(&format!("gke/{name}/disagg.yaml"), &format!("{name}-disagg"));
        graph["metadata"]["namespace"] = json!("dynamo-system");
        let typed: DynamoGraphDeployment = dynamo_api::decode(&graph).expect("a graph");
        let verdict = typed.on_create(&Policy::stateless(&config));
        assert!(verdict.errors.0.is_empty(), "{name}: {}", verdict.errors);
        assert!(verdict.warnings.is_empty(), "{name}: {:?}", verdict.warnings);
        assert_eq!(graph["spec"]["services"]["Frontend"]["componentType"], "frontend");
        for (worker, part) in workers.into_iter().zip(["decode", "prefill"]) {
            let service = &graph["spec"]["services"][worker];
            assert_eq!(service["componentType"], "worker", "{worker}");
            assert_eq!(service["subComponentType"], part, "{worker}");
            assert_eq!(service["envFromSecret"], "hf-token-secret", "{worker}");
            assert_eq!(service["resources"]["limits"]["gpu"], "1", "{worker}");
            let script = text(&service["extraPodSpec"]["mainContainer"]["args"][0]);
            let lines: Vec<&str> = script.lines().collect();
            assert_eq!(
                lines[..3],
                [
                    "export LD_LIBRARY_PATH=/usr/local/nvidia/lib64:$LD_LIBRARY_PATH",
                    "export PATH=$PATH:/usr/local/nvidia/bin:/usr/local/nvidia/lib64",
                    "/sbin/ldconfig",
                ],
                "{name} {worker}"
            );
            assert!(lines[3].starts_with(&format!("exec python3 -m dynamo.{name} ")), "{}", lines[3]);
            let ports = script.matches("--disaggregation-bootstrap-port").count();
            assert_eq!(ports, usize::from(name == "sglang"), "a flag that is repeated eats its neighbour");
        }
    }
    let vllm = object("gke/vllm/disagg.yaml", "vllm-disagg");
    let decode = &vllm["spec"]["services"]["VllmDecodeWorker"]["extraPodSpec"]["mainContainer"];
    assert_eq!(decode["startupProbe"]["initialDelaySeconds"], 180);
}

/// What a person pastes from a page is judged like a file.
#[test]
fn the_graph_of_a_page_is_accepted() {
    let page = read(&workspace().join("docs/guide/clouds/eks.md"));
    let (_, rest) = page.split_once("<<'GRAPH'\n").expect("a graph in the page");
    let (graph, _) = rest.split_once("\nGRAPH\n").expect("its end");
    let mut graph: Value = serde_yaml_ng::from_str(graph).expect("YAML");
    assert!(is_known::<DynamoGraphDeployment>(&graph), "unknown fields");
    graph["metadata"]["namespace"] = json!("dynamo-system");
    let typed: DynamoGraphDeployment = dynamo_api::decode(&graph).expect("a graph");
    let config = OperatorConfig::default();
    let verdict = typed.on_create(&Policy::stateless(&config));
    assert!(verdict.errors.0.is_empty(), "{}", verdict.errors);
}

#[test]
fn the_eks_cluster_has_the_node_groups_of_the_contract() {
    let cluster = object("eks/cluster.yaml", "dynamo");
    assert_eq!(cluster["metadata"]["version"], "1.32");
    assert_eq!(cluster["iam"]["withOIDC"], true);
    let groups = cluster["managedNodeGroups"].as_array().expect("node groups");
    let of = |name: &str| groups.iter().find(|group| group["name"] == name).expect("the node group");
    for (name, machine) in [("sys-ng", "c5.2xlarge"), ("efa-compute-ng", "g6e.48xlarge")] {
        let group = of(name);
        assert_eq!(group["instanceType"], machine);
        for size in ["minSize", "desiredCapacity", "maxSize"] {
            assert_eq!(group[size], 1, "{name} {size}");
        }
        // albIngress is the old name of awsLoadBalancerController; eksctl refuses both together.
        let policies =
            ["imageBuilder", "autoScaler", "ebs", "efs", "awsLoadBalancerController", "cloudWatch"];
        let expected: Value = policies.into_iter().map(|policy| (policy.to_owned(), json!(true))).collect();
        assert_eq!(group["iam"]["withAddonPolicies"], expected, "{name}");
    }
    let gpu = of("efa-compute-ng");
    assert_eq!(gpu["volumeSize"], 300);
    assert_eq!(gpu["efaEnabled"], true);
    assert_eq!(gpu["privateNetworking"], true);
    assert_eq!(gpu["availabilityZones"].as_array().map(Vec::len), Some(1), "EFA stays within a zone");
}

#[test]
fn storage_classes_and_caches_are_those_of_the_contract() {
    let efs = object("eks/storage.yaml", "efs-sc");
    assert_eq!(efs["provisioner"], "efs.csi.aws.com");
    assert_eq!(efs["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"], "true");
    assert_eq!(
        efs["parameters"],
        json!({
            "provisioningMode": "efs-ap", "fileSystemId": "FILE_SYSTEM_ID", "directoryPerms": "777",
            "uid": "1000", "gid": "1000",
        })
    );
    let lustre = object("aks/storage.yaml", "sc.azurelustre.csi.azure.com");
    assert_eq!(lustre["provisioner"], "azurelustre.csi.azure.com");
    let local = object("aks/storage.yaml", "local-ephemeral");
    assert_eq!(local["volumeBindingMode"], "WaitForFirstConsumer");
    for (file, name, mode, class, size) in [
        ("eks/caches.yaml", "model-cache", "ReadWriteMany", "efs-sc", "100Gi"),
        ("eks/caches.yaml", "compilation-cache", "ReadWriteMany", "efs-sc", "50Gi"),
        ("aks/caches.yaml", "model-cache", "ReadWriteMany", "sc.azurelustre.csi.azure.com", "100Gi"),
        ("aks/caches.yaml", "compilation-cache", "ReadWriteMany", "azurefile-csi", "50Gi"),
        ("aks/caches.yaml", "perf-cache", "ReadWriteOnce", "local-ephemeral", "50Gi"),
        ("gke/caches.yaml", "model-cache", "ReadWriteOnce", "premium-rwo", "100Gi"),
        ("gke/caches.yaml", "compilation-cache", "ReadWriteOnce", "premium-rwo", "50Gi"),
        ("gke/model-cache-readers.yaml", "model-cache-readers", "ReadOnlyMany", "premium-rwo", "100Gi"),
    ] {
        let claim = object(file, name);
        assert_eq!(claim["spec"]["accessModes"], json!([mode]), "{file} {name}");
        assert_eq!(claim["spec"]["storageClassName"], class, "{file} {name}");
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], size, "{file} {name}");
    }
}

const RUNTIME: &str = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.9.0";

fn task(name: &str) -> Value {
    let path = workspace().join("deploy/ecs").join(format!("task_definition_{name}.json"));
    serde_json::from_str(&read(&path)).expect("JSON")
}

/// Name, image, ports, variables of a container.
type Container = (&'static str, &'static str, &'static [u64], &'static [(&'static str, &'static str)]);

const ADDRESSES: [(&str, &str); 2] =
    [("ETCD_ENDPOINTS", "http://IP_ADDRESS:2379"), ("NATS_SERVER", "nats://IP_ADDRESS:4222")];

/// File, family, launch type, network, processor units, memory, containers.
#[allow(clippy::type_complexity, reason = "a table")]
fn tasks() -> Vec<(&'static str, [&'static str; 5], Vec<Container>)> {
    // Two workers on one machine share its ports: the second has others than the default.
    const PREFILL: [(&str, &str); 4] = [
        ADDRESSES[0],
        ADDRESSES[1],
        ("VLLM_NIXL_SIDE_CHANNEL_PORT", "20097"),
        ("DYN_VLLM_KV_EVENT_PORT", "20081"),
    ];
    vec![
        (
            "etcd_nats",
            ["Dynamo-tasks", "FARGATE", "awsvpc", "1024", "3072"],
            vec![
                ("etcd", "bitnamilegacy/etcd:3.6.1", &[2379, 2380], &[("ALLOW_NONE_AUTHENTICATION", "YES")]),
                ("nats", "nats:2.11.4", &[4222, 6222, 8222], &[]),
            ],
        ),
        (
            "frontend",
            ["Dynamo-frontend", "EC2", "host", "2048", "40960"],
            vec![("dynamo-vllm-frontend", RUNTIME, &[8000], &ADDRESSES)],
        ),
        (
            "prefillworker",
            ["Dynamo-backend", "EC2", "host", "2048", "40960"],
            vec![("dynamo-prefill", RUNTIME, &[], &PREFILL)],
        ),
    ]
}

fn pairs(list: &Value) -> Vec<(String, String)> {
    let list = list.as_array().into_iter().flatten();
    list.map(|pair| (text(&pair["name"]).to_owned(), text(&pair["value"]).to_owned())).collect()
}

fn check_container(found: &Value, expected: &Container, family: &str) {
    let (name, image, ports, variables) = expected;
    assert_eq!(found["name"], *name);
    assert_eq!(found["image"], *image);
    assert_eq!(found["essential"], true);
    let found_ports = found["portMappings"].as_array().into_iter().flatten();
    let found_ports: Vec<u64> = found_ports
        .map(|port| {
            assert_eq!(port["hostPort"], port["containerPort"], "{name}: host and awsvpc map no ports");
            port["containerPort"].as_u64().expect("a port")
        })
        .collect();
    assert_eq!(found_ports, *ports, "{name}");
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(pairs(&found["environment"]), variables, "{name}");
    assert_eq!(
        found["logConfiguration"],
        json!({"logDriver": "awslogs", "options": {
            "awslogs-group": format!("/ecs/{family}"), "awslogs-create-group": "true", "awslogs-region": "REGION",
            "awslogs-stream-prefix": "ecs", "mode": "non-blocking", "max-buffer-size": "25m",
        }}),
        "{name}"
    );
    if *image == RUNTIME {
        assert_eq!(found["resourceRequirements"], json!([{"type": "GPU", "value": "1"}]), "{name}");
        assert_eq!(
            found["repositoryCredentials"]["credentialsParameter"],
            "arn:aws:secretsmanager:REGION:ACCOUNT_ID:secret:ngc_nvcr_access-SECRET_SUFFIX"
        );
        assert_eq!(found["entryPoint"], json!(["sh", "-c"]), "{name}");
        assert_eq!(found["workingDirectory"], "/workspace/examples/backends/vllm", "{name}");
    }
}

#[test]
fn task_definitions_are_those_of_the_contract() {
    for (file, [family, launch, network, cpu, memory], containers) in tasks() {
        let task = task(file);
        assert_eq!(task["family"], family);
        assert_eq!(task["requiresCompatibilities"], json!([launch]), "{family}");
        assert_eq!(task["networkMode"], network, "{family}: peers must reach each other, so never bridge");
        assert_eq!((&task["cpu"], &task["memory"]), (&json!(cpu), &json!(memory)), "{family}");
        let platform = json!({"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"});
        assert_eq!(task["runtimePlatform"], platform, "{family}");
        for role in ["taskRoleArn", "executionRoleArn"] {
            assert_eq!(task[role], "arn:aws:iam::ACCOUNT_ID:role/ecsTaskExecutionRole", "{family}");
        }
        let found = task["containerDefinitions"].as_array().expect("containers");
        assert_eq!(found.len(), containers.len(), "{family}");
        for (found, expected) in found.iter().zip(&containers) {
            check_container(found, expected, family);
        }
    }
    let command =
        |file: &str, at: usize| strings(&task(file)["containerDefinitions"][at]["command"]).join(" ");
    assert_eq!(command("etcd_nats", 1), "-js --trace");
    let frontend = command("frontend", 0);
    assert!(frontend.starts_with("python -m dynamo.frontend --router-mode kv & "), "{frontend}");
    assert!(
        frontend.ends_with("python3 -m dynamo.vllm --model Qwen/Qwen3-0.6B --enforce-eager"),
        "{frontend}"
    );
    assert!(command("prefillworker", 0).ends_with(" --enforce-eager --is-prefill-worker"));
}

/// `register-task-definition` refuses what it does not know, and images that float change under a running task.
#[test]
fn task_definitions_have_known_fields_pinned_images_and_named_placeholders() {
    let task_fields: BTreeSet<&str> = [
        "family",
        "requiresCompatibilities",
        "networkMode",
        "runtimePlatform",
        "cpu",
        "memory",
        "taskRoleArn",
        "executionRoleArn",
        "containerDefinitions",
    ]
    .into();
    let container_fields: BTreeSet<&str> = [
        "name",
        "image",
        "repositoryCredentials",
        "essential",
        "workingDirectory",
        "entryPoint",
        "command",
        "portMappings",
        "environment",
        "resourceRequirements",
        "logConfiguration",
    ]
    .into();
    let unknown = |object: &Value, known: &BTreeSet<&str>| {
        let keys = object.as_object().expect("an object").keys();
        keys.filter(|key| !known.contains(key.as_str())).cloned().collect::<Vec<_>>()
    };
    let guide = read(&workspace().join("docs/guide/clouds/ecs.md"));
    for path in files(&workspace().join("deploy/ecs")) {
        let text_of_file = read(&path);
        let task: Value = serde_json::from_str(&text_of_file).expect("JSON");
        assert_eq!(unknown(&task, &task_fields), Vec::<String>::new(), "{}", path.display());
        for container in task["containerDefinitions"].as_array().expect("containers") {
            assert_eq!(unknown(container, &container_fields), Vec::<String>::new(), "{}", path.display());
            let tag = text(&container["image"]).rsplit_once(':').map(|(_, tag)| tag);
            assert!(tag.is_some_and(|tag| tag.starts_with(|c: char| c.is_ascii_digit())), "{container}");
        }
        for placeholder in ["ACCOUNT_ID", "REGION", "IP_ADDRESS", "SECRET_SUFFIX"] {
            let used = text_of_file.contains(placeholder);
            assert!(!used || guide.contains(placeholder), "ecs.md does not say what {placeholder} is");
        }
    }
}

fn pages() -> Vec<PathBuf> {
    let guide = workspace().join("docs/guide");
    let mut pages = files(&guide.join("clouds"));
    pages.extend([guide.join("scenarios.md"), guide.join("troubleshooting.md")]);
    pages
}

/// Words of a page that name a file of the checkout.
fn named_paths(page: &str) -> Vec<String> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let words = page.split(|c: char| !is_path(c)).map(|word| word.trim_start_matches("./"));
    let words =
        words.filter(|word| ["deploy/", "examples/", "docs/"].iter().any(|dir| word.starts_with(dir)));
    // A name that a variable of the shell completes is none.
    words
        .filter(|word| !word.ends_with('_'))
        .map(|word| word.trim_end_matches(['.', '/']).to_owned())
        .collect()
}

#[test]
fn every_path_and_link_of_the_pages_is_there() {
    let mut count = 0;
    for path in pages() {
        let page = read(&path);
        let dir = path.parent().expect("a folder");
        let links = page.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
        let links = links.filter(|link| !link.contains("://"));
        for link in links {
            let file = link.split('#').next().unwrap_or_default();
            assert!(file.is_empty() || dir.join(file).exists(), "{}: no {link}", path.display());
            count += 1;
        }
        for named in named_paths(&page) {
            assert!(workspace().join(&named).exists(), "{}: no {named}", path.display());
            count += 1;
        }
    }
    assert!(count > 50, "only {count} paths found");
}

#[test]
fn there_is_a_page_for_every_cloud_and_a_row_for_every_symptom() {
    let names: Vec<String> = files(&workspace().join("docs/guide/clouds"))
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["aks.md", "ecs.md", "eks.md", "gke.md", "minikube.md"]);
    let page = read(&workspace().join("docs/guide/troubleshooting.md"));
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    for symptom in [
        "pre-deployment check",
        "Found existing cluster-wide Dynamo operator",
        "custom leader election ID",
        "already exists",
        "unrecognized",
        "etcd or NATS",
        "broken object is accepted",
        "connection refused",
        "context deadline exceeded",
        "pod of a graph does not start",
        "Errors rise",
        "host does not answer",
        "JetStream",
        "x509",
        "hangs",
        "Terminating",
        "discoveryBackend must be",
        "401",
        "Metrics of the operator",
        "dashboard",
        "sees no GPU",
        "endpoint picker",
        "gateway",
        "GPU model or memory",
    ] {
        assert!(rows.iter().any(|row| row.contains(symptom)), "no row about {symptom:?}");
    }
}
