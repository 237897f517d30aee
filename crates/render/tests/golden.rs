//! Golden layer: every case folder, and every example of the workspace, renders to exactly the objects on record.
//! A change of what is rendered shows as a diff to review; it must not pass unseen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use dynamo_render::{
    Facts, GraphFacts, OperatorConfig,
    config::{
        CheckpointConfig, CheckpointStorage, DEFAULT_DEBUGGER, DiscoveryBackend, IngressDefaults,
        RouteDefaults,
    },
    credentials::{Credentials, Purpose, SecretKeys},
    facts::{FoundCheckpoint, LiveComponent, Origin},
};
use serde::Deserialize;
use serde_json::{Value, json};
use similar::TextDiff;
use support::Rendered;

const UPDATE: &str = "UPDATE_GOLDEN=1 cargo test -p dynamo-render --test golden";

/// What `operator.yaml` of a case may say over the chart's defaults. An empty address means: not injected.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct OperatorFile {
    nats_address: Option<String>,
    etcd_address: Option<String>,
    model_express_url: Option<String>,
    prometheus_endpoint: Option<String>,
    discovery_backend: Option<String>,
    ingress_class_name: Option<String>,
    ingress_tls_secret_name: Option<String>,
    ingress_host_suffix: Option<String>,
    virtual_service_gateway: Option<String>,
    ingress_annotations: BTreeMap<String, String>,
    virtual_service_supports_https: bool,
    route: RouteFile,
    restricted_security: bool,
    debugger_image: Option<String>,
    checkpoint: Option<CheckpointFile>,
}

/// Times in milliseconds.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct RouteFile {
    timeout: Option<u64>,
    retry_attempts: Option<u32>,
    retry_per_try_timeout: Option<u64>,
    retry_on: Option<String>,
}

/// Checkpoints are on, with the flags' defaults where nothing is said.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct CheckpointFile {
    storage: Option<String>,
    pvc_name: Option<String>,
    s3_uri: String,
    s3_credentials_secret: String,
    oci_uri: String,
    oci_credentials_secret: String,
}

impl CheckpointFile {
    fn config(self) -> CheckpointConfig {
        CheckpointConfig {
            storage: match self.storage.as_deref() {
                None | Some("pvc") => CheckpointStorage::Pvc,
                Some("s3") => CheckpointStorage::S3,
                Some("oci") => CheckpointStorage::Oci,
                Some(other) => panic!("storage {other:?}: pvc, s3 or oci"),
            },
            signal_host_path: "/var/lib/chrek/signals".to_owned(),
            pvc_name: self.pvc_name.unwrap_or_else(|| "chrek-pvc".to_owned()),
            pvc_base_path: "/checkpoints".to_owned(),
            s3_uri: self.s3_uri,
            s3_credentials_secret: self.s3_credentials_secret,
            oci_uri: self.oci_uri,
            oci_credentials_secret: self.oci_credentials_secret,
            init_container_image: "busybox:latest".to_owned(),
            ready_file: "/tmp/ready-for-checkpoint".to_owned(),
            restore_marker_file: "/tmp/dynamo-restored".to_owned(),
        }
    }
}

impl OperatorFile {
    fn config(self) -> OperatorConfig {
        OperatorConfig {
            nats_address: Some(self.nats_address.unwrap_or_else(|| support::NATS.to_owned()))
                .filter(|address| !address.is_empty()),
            etcd_address: self.etcd_address,
            model_express_url: self.model_express_url,
            prometheus_endpoint: self.prometheus_endpoint,
            discovery_backend: match self.discovery_backend.as_deref() {
                None | Some("kubernetes") => DiscoveryBackend::Kubernetes,
                Some("etcd") => DiscoveryBackend::Etcd,
                Some(other) => panic!("discoveryBackend {other:?}: kubernetes or etcd"),
            },
            ingress: IngressDefaults {
                class_name: self.ingress_class_name,
                tls_secret_name: self.ingress_tls_secret_name,
                host_suffix: self.ingress_host_suffix,
                virtual_service_gateway: self.virtual_service_gateway,
                annotations: self.ingress_annotations,
                virtual_service_supports_https: self.virtual_service_supports_https,
                route: RouteDefaults {
                    timeout: self.route.timeout.map(Duration::from_millis),
                    retry_attempts: self.route.retry_attempts,
                    retry_per_try_timeout: self.route.retry_per_try_timeout.map(Duration::from_millis),
                    retry_on: self.route.retry_on,
                },
            },
            checkpoint: self.checkpoint.map(CheckpointFile::config),
            restricted_security: self.restricted_security,
            debugger_image: self.debugger_image.unwrap_or_else(|| DEFAULT_DEBUGGER.to_owned()),
        }
    }
}

/// What `facts.yaml` of a case says of the namespace; without the file nothing was found there.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct FactsFile {
    pull_secrets: BTreeMap<String, Vec<String>>,
    component_account: Option<String>,
    /// Names of the other components that serve the same model.
    model_sharers: Vec<String>,
    /// What the components say of the graph's origin; nothing is said where this is absent.
    origin: Option<String>,
    /// By service: what its component has, and whether it is ready.
    components: BTreeMap<String, ComponentFile>,
    /// By service.
    adapter_replicas: BTreeMap<String, i32>,
    /// By service; every component is told of it.
    checkpoints: BTreeMap<String, CheckpointFactFile>,
    credentials: CredentialsFile,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct CredentialsFile {
    nats_auth: Option<SecretFile>,
    nats_ca: Option<SecretFile>,
    etcd_auth: Option<SecretFile>,
    etcd_ca: Option<SecretFile>,
}

/// Name and keys of a Secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretFile {
    name: String,
    keys: Vec<String>,
}

impl CredentialsFile {
    fn credentials(self) -> Credentials {
        let all = [
            (Purpose::NatsAuth, self.nats_auth),
            (Purpose::NatsCa, self.nats_ca),
            (Purpose::EtcdAuth, self.etcd_auth),
            (Purpose::EtcdCa, self.etcd_ca),
        ];
        let digest = |key: String| (key.clone(), format!("digest of {key}"));
        let secret =
            |SecretFile { name, keys }| SecretKeys { name, digests: keys.into_iter().map(digest).collect() };
        all.into_iter().filter_map(|(purpose, file)| Some((purpose, secret(file?)))).collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct ComponentFile {
    restarted_at: Option<String>,
    ready: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct CheckpointFactFile {
    name: String,
    hash: String,
    ready: bool,
}

impl FactsFile {
    fn facts(self) -> (GraphFacts, Facts) {
        let components = self.components.into_iter();
        let components = components.map(|(service, file)| {
            (service, LiveComponent { restarted_at: file.restarted_at, ready: file.ready })
        });
        let checkpoints: BTreeMap<_, _> = self
            .checkpoints
            .into_iter()
            .map(|(service, file)| {
                (service, FoundCheckpoint { name: file.name, hash: file.hash, ready: file.ready })
            })
            .collect();
        let facts = Facts {
            pull_secrets: self.pull_secrets,
            component_account: self.component_account,
            model_sharers: self.model_sharers.into_iter().map(support::sharer).collect(),
            checkpoint: checkpoints.values().next().cloned(),
            credentials: self.credentials.credentials(),
        };
        let graph_facts = GraphFacts {
            origin: self.origin.map(|version| Origin(Some(version))),
            components: components.collect(),
            adapter_replicas: self.adapter_replicas,
            checkpoints,
            pull_secrets: facts.pull_secrets.clone(),
            component_account: facts.component_account.clone(),
            credentials: facts.credentials.clone(),
        };
        (graph_facts, facts)
    }
}

#[test]
fn every_case_renders_to_its_recorded_objects_or_errors() {
    let cases = entries(&support::tests_folder().join("golden"), |path| path.join("graph.yaml").is_file());
    assert!(cases.len() >= 120, "only {} cases found: is a folder lost?", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(|case| judge_case(case).err()).collect();
    report(&failures);
}

#[test]
fn every_example_renders_to_its_recorded_objects() {
    let examples = entries(&support::workspace().join("examples"), |path| {
        path.extension().is_some_and(|end| end == "yaml")
    });
    assert!(!examples.is_empty(), "no examples found");
    let records = support::tests_folder().join("golden/examples");
    let mut failures = Vec::new();
    let mut known = Vec::new();
    for example in &examples {
        let name = example.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let record = records.join(format!("{name}.objects.yaml"));
        match support::render(&support::graph(example, "demo"), &support::platform()) {
            Ok(rendered) => {
                failures.extend(compare(&record, &support::to_yaml(&rendered.objects())).err());
            }
            Err(errors) => failures.push(format!("examples/{name}.yaml is invalid: {errors}")),
        }
        known.push(record);
    }
    for stray in entries(&records, |path| !known.contains(path)) {
        failures.push(format!("{} belongs to no example: delete it", stray.display()));
    }
    report(&failures);
}

fn judge_case(case: &Path) -> Result<(), String> {
    let config = optional::<OperatorFile>(&case.join("operator.yaml"))?
        .map_or_else(support::platform, OperatorFile::config);
    let facts = optional::<FactsFile>(&case.join("facts.yaml"))?.unwrap_or_default();
    let (graph_facts, facts) = facts.facts();
    let (objects, errors) = (case.join("objects.yaml"), case.join("errors.txt"));
    let (record, other, text) = match support::render_with(
        &support::graph(&case.join("graph.yaml"), "demo"),
        &config,
        &graph_facts,
        &facts,
    ) {
        Ok(rendered) => (objects, errors, record_of(&rendered)),
        Err(message) => (errors, objects, format!("{message}\n")),
    };
    if other.is_file() {
        if !updating() {
            return Err(format!("{} is on record, but the outcome is now:\n{text}", other.display()));
        }
        fs::remove_file(&other).expect("the outdated record can be removed");
    }
    compare(&record, &text)
}

/// The objects, and what the graph's status says of a restart if it says something.
fn record_of(rendered: &Rendered) -> String {
    let restart = rendered.graph.restart.iter().map(|restart| json!({"status": {"restart": restart}}));
    let documents: Vec<Value> = rendered.objects().into_iter().chain(restart).collect();
    support::to_yaml(&documents)
}

/// The content of a file that a case may have.
fn optional<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).expect("the file is readable");
    serde_yaml_ng::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", path.display()))
}

fn compare(record: &Path, now: &str) -> Result<(), String> {
    if updating() {
        fs::write(record, now).expect("the record can be written");
        return Ok(());
    }
    let name = record.strip_prefix(support::tests_folder()).unwrap_or(record).display().to_string();
    let Ok(then) = fs::read_to_string(record) else {
        return Err(format!("{name} is missing"));
    };
    if then == now {
        return Ok(());
    }
    let diff = TextDiff::from_lines(then.as_str(), now);
    Err(diff.unified_diff().context_radius(4).header(&name, "rendered now").to_string())
}

fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

fn report(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} differ; when the change is meant, run and review the diff of\n  {UPDATE}\n\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Entries of a folder that are wanted, sorted.
fn entries(folder: &Path, wanted: impl Fn(&PathBuf) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut all: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder is readable").path()).filter(wanted).collect();
    all.sort();
    all
}
