//! The variable `DYN_DEPLOYMENT_CONFIG` (`workload.md` section 4.1): a JSON map by which a graph configures its services,
//! read when its components are made. The pods get it, too.

use dynamo_api::v1alpha1::{ResourceItem, Resources, SharedSpec};
use k8s_openapi::api::core::v1::EnvVar;
use serde_json::{Map, Value};

use crate::component::{ComponentType, HTTP_PORT};

/// Name of the variable.
pub const VARIABLE: &str = "DYN_DEPLOYMENT_CONFIG";

/// What is wrong with the variable of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "is empty or comes from elsewhere: write the JSON of the configuration, or take the variable out"
    )]
    NoText,
    /// Without the text, which may hold a password.
    #[error("is no JSON object of services (line {line}, column {column}): write {{\"SERVICE\": {{…}}}}")]
    NoJson { line: usize, column: usize },
    #[error("{0}: write {1}")]
    Shape(&'static str, &'static str),
}

/// What the configuration says of one service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceConfig {
    /// The variable as the pods get it.
    pub text: String,
    pub workers: Option<i32>,
    pub resources: Option<ResourceItem>,
}

/// Reads what the merged variables of `service` say of it; `None` without the variable.
///
/// # Errors
/// When the variable is there and cannot be read.
pub fn read(
    service: &str,
    component_type: ComponentType,
    envs: &[EnvVar],
) -> Result<Option<ServiceConfig>, ConfigError> {
    let Some(variable) = envs.iter().rfind(|variable| variable.name == VARIABLE) else { return Ok(None) };
    let text = variable.value.as_deref().filter(|text| !text.is_empty()).ok_or(ConfigError::NoText)?;
    let mut all: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| ConfigError::NoJson { line: error.line(), column: error.column() })?;
    let mut config = ServiceConfig { text: text.to_owned(), ..ServiceConfig::default() };
    if let Some(own) = all.get_mut(service) {
        let own =
            own.as_object_mut().ok_or(ConfigError::Shape("the entry of the service is no object", "{…}"))?;
        if let Some(args) = find(own, "ServiceArgs") {
            let args = args.as_object().ok_or(ConfigError::Shape("ServiceArgs is no object", "{…}"))?;
            config.workers = workers(args)?;
            config.resources = resources(args)?;
        }
        if component_type == ComponentType::Frontend {
            own.insert("port".to_owned(), HTTP_PORT.into());
            config.text = Value::Object(all).to_string();
        }
    }
    Ok(Some(config))
}

/// Keys match whatever their case is.
fn find<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn workers(args: &Map<String, Value>) -> Result<Option<i32>, ConfigError> {
    let Some(value) = find(args, "workers").filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= 0);
    number.map(Some).ok_or(ConfigError::Shape("ServiceArgs.workers is no number of replicas", "0 or more"))
}

fn resources(args: &Map<String, Value>) -> Result<Option<ResourceItem>, ConfigError> {
    let Some(value) = find(args, "resources").filter(|value| !value.is_null()) else { return Ok(None) };
    let map = value.as_object().ok_or(ConfigError::Shape("ServiceArgs.resources is no object", "{…}"))?;
    let text = |key: &str| match find(map, key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(ConfigError::Shape("an amount of ServiceArgs.resources is no text", "\"1\"")),
    };
    let mut item = ResourceItem {
        cpu: text("cpu")?,
        memory: text("memory")?,
        gpu: text("gpu")?,
        ..ResourceItem::default()
    };
    if let Some(custom) = find(map, "custom").filter(|value| !value.is_null()) {
        let custom = custom
            .as_object()
            .ok_or(ConfigError::Shape("ServiceArgs.resources.custom is no object", "{…}"))?;
        for (key, value) in custom {
            let value = value
                .as_str()
                .ok_or(ConfigError::Shape("an amount of ServiceArgs.resources.custom is no text", "\"1\""))?;
            item.custom.insert(key.clone(), value.to_owned());
        }
    }
    Ok(Some(item))
}

impl ServiceConfig {
    /// Puts the configuration into the spec of its service: the text into the variable, replicas where the service
    /// says none, amounts as requests and as limits.
    pub fn apply(self, spec: &mut SharedSpec) {
        for variable in spec.envs.iter_mut().filter(|variable| variable.name == VARIABLE) {
            variable.value = Some(self.text.clone());
        }
        if spec.replicas.is_none() {
            spec.replicas = self.workers;
        }
        let Some(item) = self.resources else { return };
        let Resources { requests, limits, .. } = spec.resources.get_or_insert_default();
        for side in [requests, limits] {
            put(side.get_or_insert_default(), &item);
        }
    }
}

fn put(into: &mut ResourceItem, item: &ResourceItem) {
    for (own, given) in
        [(&mut into.cpu, &item.cpu), (&mut into.memory, &item.memory), (&mut into.gpu, &item.gpu)]
    {
        if given.is_some() {
            own.clone_from(given);
        }
    }
    into.custom.extend(item.custom.clone());
}
