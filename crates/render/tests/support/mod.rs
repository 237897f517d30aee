//! What the test layers share: rendering a graph the way the operator does, and objects as sorted YAML.
//! Must not judge anything: comparing is the business of each layer.
#![allow(dead_code, reason = "each layer uses a part of it")]

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_render::{
    Facts, GraphFacts, OperatorConfig, Policy,
    claims::Claim,
    component::{self, ComponentObjects},
    config::DiscoveryBackend,
    graph::{self, GraphObjects},
    picker::PickerObjects,
    validate,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Serialize;
use serde_json::{Map, Value};

/// The NATS address that the chart of the platform gives, and the one of every recorded graph.
pub const NATS: &str = "nats://dynamo-platform-nats.dynamo-system.svc.cluster.local:4222";

/// Everything a graph becomes: the objects it owns or needs, and the objects of each component.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    pub graph: GraphObjects,
    /// In the order of the graph's components.
    pub components: Vec<ComponentObjects>,
}

/// The configuration of an installation by chart defaults: NATS, Kubernetes discovery, nothing else.
pub fn platform() -> OperatorConfig {
    OperatorConfig {
        nats_address: Some(NATS.to_owned()),
        discovery_backend: DiscoveryBackend::Kubernetes,
        ..OperatorConfig::default()
    }
}

/// [`render_with`] in a namespace in which nothing was found, for a graph of which nothing exists.
///
/// # Errors
/// The text that the operator would put into a condition.
pub fn render(dgd: &DynamoGraphDeployment, config: &OperatorConfig) -> Result<Rendered, String> {
    render_with(dgd, config, &GraphFacts::default(), &Facts::default())
}

/// Graph to component deployments to objects; each component deployment is owned by the graph, as in a cluster.
///
/// # Errors
/// The text that the operator would put into a condition.
pub fn render_with(
    dgd: &DynamoGraphDeployment,
    config: &OperatorConfig,
    graph_facts: &GraphFacts,
    facts: &Facts,
) -> Result<Rendered, String> {
    let valid = validate::graph(dgd, &Policy::stateless(config)).map_err(|errors| errors.to_string())?;
    let objects = graph::build_objects(&valid, config, graph_facts);
    let mut components = Vec::new();
    for dcd in &objects.components {
        let mut owned = dcd.clone();
        owned.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "nvidia.com/v1alpha1".to_owned(),
            kind: "DynamoGraphDeployment".to_owned(),
            name: valid.name.to_owned(),
            uid: "00000000-0000-0000-0000-000000000000".to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]);
        let valid =
            validate::component(&owned, &Policy::stateless(config)).map_err(|errors| errors.to_string())?;
        let built = component::build_objects(&valid, config, facts).map_err(|error| error.to_string())?;
        components.push(built);
    }
    Ok(Rendered { graph: objects, components })
}

impl Rendered {
    /// All objects with `apiVersion` and `kind`, sorted by kind and name.
    pub fn objects(&self) -> Vec<Value> {
        fn json(object: &impl Serialize) -> Value {
            serde_json::to_value(object).expect("a rendered object serialises")
        }
        // Taken apart so that a new kind of object cannot be left out.
        let GraphObjects {
            claims,
            checkpoints,
            adapters,
            discovery,
            picker,
            components,
            restart: _,
            checkpoint_uses: _,
        } = &self.graph;
        let mut all = Vec::new();
        all.extend(claims.iter().filter_map(|claim| match claim {
            Claim::Made(claim) => Some(json(claim)),
            Claim::Expected(_) => None,
        }));
        all.extend(checkpoints.iter().map(json));
        all.extend(adapters.iter().map(json));
        if let Some(discovery) = discovery {
            all.extend([json(&discovery.account), json(&discovery.role), json(&discovery.binding)]);
        }
        if let Some(PickerObjects { config, pool }) = picker {
            all.extend(config.iter().map(json));
            all.push(json(pool));
        }
        all.extend(components.iter().map(json));
        for built in &self.components {
            let ComponentObjects {
                deployment,
                debug_deployment,
                services,
                model_service,
                ingress,
                virtual_service,
            } = built;
            all.extend([deployment].into_iter().chain(debug_deployment).map(json));
            all.extend(services.iter().chain(model_service).map(json));
            all.extend(ingress.iter().map(json));
            all.extend(virtual_service.iter().map(json));
        }
        // A model Service is rendered by each of the components that share it.
        all.sort_by_key(id);
        all.dedup_by_key(|object| id(object));
        all
    }
}

/// A further owner of a model's Service.
pub fn sharer(name: String) -> OwnerReference {
    OwnerReference {
        api_version: "nvidia.com/v1alpha1".to_owned(),
        kind: "DynamoComponentDeployment".to_owned(),
        name,
        uid: "00000000-0000-0000-0000-000000000001".to_owned(),
        ..OwnerReference::default()
    }
}

/// Kind and name of an object.
pub fn id(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Objects as a multi-document YAML whose keys are sorted, whatever the map type of the JSON library is.
pub fn to_yaml(objects: &[Value]) -> String {
    let documents: Vec<String> =
        objects.iter().map(|object| serde_yaml_ng::to_string(&sorted(object)).expect("YAML")).collect();
    documents.join("---\n")
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            Value::Object(
                keys.into_iter().map(|key| (key.clone(), sorted(&fields[key]))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}

/// Reads every document of a YAML file.
pub fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| {
            serde::Deserialize::deserialize(document)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

/// Reads one graph. A graph without a namespace gets `namespace`, as the API server would do.
pub fn graph(path: &Path, namespace: &str) -> DynamoGraphDeployment {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut dgd: DynamoGraphDeployment =
        serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    dgd.metadata.namespace.get_or_insert_with(|| namespace.to_owned());
    dgd
}

/// Folder of this crate's tests.
pub fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Folder of the recorded public manifests and of what the reference made of them.
pub fn parity() -> PathBuf {
    let shared = std::env::var_os("DYNAMO_SHARED");
    shared.map_or_else(|| workspace().join("../shared"), PathBuf::from).join("parity")
}

/// The public manifests, sorted; `None`, and a line that says so, where they are not at hand.
pub fn parity_inputs() -> Option<Vec<PathBuf>> {
    let folder = parity().join("input");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs DYNAMO_SHARED with parity/input");
        // Written past the capture of test output: a skip must be seen.
        let line = format!("SKIPPED parity: no {}; set DYNAMO_SHARED\n", folder.display());
        std::io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
        return None;
    };
    let mut inputs: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder is readable").path()).collect();
    inputs.sort();
    Some(inputs)
}
