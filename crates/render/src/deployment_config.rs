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
    if let Some(own) = all.get_mut(service).filter(|own| !own.is_null()) {
        let own =
            own.as_object_mut().ok_or(ConfigError::Shape("the entry of the service is no object", "{…}"))?;
        if let Some(args) = find(own, "ServiceArgs") {
            let args = args.as_object().ok_or(ConfigError::Shape("ServiceArgs is no object", "{…}"))?;
            config.workers = workers(args)?;
            config.resources = resources(args)?;
        }
        if component_type == ComponentType::Frontend {
            own.insert("port".to_owned(), HTTP_PORT.into());
            config.text = to_text(all);
        }
    }
    Ok(Some(config))
}

/// JSON as the reference writes it, which escapes these for HTML: pods that run keep their variable to the byte. None
/// of them stands outside of a text.
fn to_text(all: Map<String, Value>) -> String {
    let text = Value::Object(all).to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Keys match whatever their case is; null is as good as nothing.
fn find<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let (_, value) = map.iter().find(|(known, _)| known.eq_ignore_ascii_case(key))?;
    (!value.is_null()).then_some(value)
}

fn workers(args: &Map<String, Value>) -> Result<Option<i32>, ConfigError> {
    let Some(value) = find(args, "workers") else { return Ok(None) };
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= 0);
    number.map(Some).ok_or(ConfigError::Shape("ServiceArgs.workers is no number of replicas", "0 or more"))
}

fn resources(args: &Map<String, Value>) -> Result<Option<ResourceItem>, ConfigError> {
    let Some(value) = find(args, "resources") else { return Ok(None) };
    let map = value.as_object().ok_or(ConfigError::Shape("ServiceArgs.resources is no object", "{…}"))?;
    let own = |key: &str| find(map, key).map_or(Ok(None), amount);
    let mut item = ResourceItem {
        cpu: own("cpu")?,
        memory: own("memory")?,
        gpu: own("gpu")?,
        ..ResourceItem::default()
    };
    if let Some(custom) = find(map, "custom") {
        let custom = custom
            .as_object()
            .ok_or(ConfigError::Shape("ServiceArgs.resources.custom is no object", "{…}"))?;
        for (key, value) in custom {
            item.custom.extend(amount(value)?.map(|text| (key.clone(), text)));
        }
    }
    Ok(Some(item))
}

/// A text or a number; an empty one says nothing.
fn amount(value: &Value) -> Result<Option<String>, ConfigError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(ConfigError::Shape("an amount of ServiceArgs.resources is no text", "\"1\"")),
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variable(value: Option<&str>) -> Vec<EnvVar> {
        let other = EnvVar { name: "A".to_owned(), value: Some("1".to_owned()), value_from: None };
        let own = EnvVar { name: VARIABLE.to_owned(), value: value.map(ToOwned::to_owned), value_from: None };
        vec![other.clone(), own, other]
    }

    fn read_as(component_type: ComponentType, text: &str) -> Result<Option<ServiceConfig>, ConfigError> {
        read("Part", component_type, &variable(Some(text)))
    }

    /// What the configuration makes of a spec.
    fn applied(component_type: ComponentType, text: &str, spec: Value) -> Value {
        let mut spec: SharedSpec = serde_json::from_value(spec).unwrap();
        spec.envs = variable(Some(text));
        read_as(component_type, text).unwrap().unwrap().apply(&mut spec);
        let mut spec = serde_json::to_value(spec).unwrap();
        let envs = spec.as_object_mut().unwrap().remove("envs").unwrap();
        assert_eq!(
            (&envs[0]["value"], &envs[2]["value"]),
            (&json!("1"), &json!("1")),
            "other variables stay"
        );
        spec["text"] = envs[1]["value"].clone();
        spec
    }

    #[test]
    fn a_service_without_the_variable_has_no_configuration() {
        let other = [EnvVar { name: "A".to_owned(), ..EnvVar::default() }];
        assert_eq!(read("Part", ComponentType::Worker, &other), Ok(None));
    }

    #[test]
    fn an_entry_that_says_nothing_changes_nothing() {
        for text in [
            "{}",
            r#"{"part": {"ServiceArgs": {"workers": 3}}}"#,
            r#"{"Other": 1}"#,
            r#"{"Part": null}"#,
            r#"{"Part": {}}"#,
            r#"{"Part": {"ServiceArgs": null}}"#,
            r#"{"Part": {"ServiceArgs": {"workers": null, "resources": null}}}"#,
        ] {
            assert_eq!(applied(ComponentType::Worker, text, json!({})), json!({"text": text}), "{text}");
        }
        for text in ["{}", r#"{ "Other" : {} }"#, r#"{"Part": null}"#] {
            assert_eq!(applied(ComponentType::Frontend, text, json!({})), json!({"text": text}), "{text}");
        }
    }

    #[test]
    fn amounts_are_requests_and_limits_and_the_others_stay() {
        let text = r#"{"Part": {"serviceargs": {"Workers": 3, "RESOURCES":
            {"CPU": "2", "memory": "", "Gpu": 1, "custom": {"rdma/ib": "1", "a/b": 2, "c/d": null}}}}}"#;
        let of_user = json!({"resources": {"claims": [{"name": "c"}],
            "requests": {"cpu": "9", "memory": "9Gi"}, "limits": {"custom": {"rdma/ib": "9", "e/f": "9"}, "gpuType": "x/y"}}});
        let both = json!({"rdma/ib": "1", "a/b": "2"});
        assert_eq!(
            applied(ComponentType::Worker, text, of_user),
            json!({"text": text, "replicas": 3, "resources": {"claims": [{"name": "c"}],
                "requests": {"cpu": "2", "memory": "9Gi", "gpu": "1", "custom": both},
                "limits": {"cpu": "2", "gpu": "1", "gpuType": "x/y", "custom": {"rdma/ib": "1", "a/b": "2", "e/f": "9"}}}})
        );
    }

    #[test]
    fn replicas_of_the_spec_win_even_if_there_are_none_of_them() {
        let text = r#"{"Part": {"ServiceArgs": {"workers": 3}}}"#;
        for (spec, replicas) in [(json!({}), 3), (json!({"replicas": 0}), 0), (json!({"replicas": 2}), 2)] {
            assert_eq!(applied(ComponentType::Worker, text, spec)["replicas"], replicas);
        }
    }

    #[test]
    fn the_entry_of_a_frontend_gets_its_port_and_the_text_is_written_anew() {
        let text =
            r#"{ "z": [1.5, "<a&b>"], "Part": {"x": 1, "port": 1, "ServiceArgs": {"workers": 2}}, "A": {} }"#;
        assert_eq!(
            applied(ComponentType::Frontend, text, json!({})),
            json!({"replicas": 2,
                "text": r#"{"A":{},"Part":{"ServiceArgs":{"workers":2},"port":8000,"x":1},"z":[1.5,"\u003ca\u0026b\u003e"]}"#})
        );
        assert_eq!(applied(ComponentType::Worker, text, json!({}))["text"], text, "as written");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_does_not_quote_it() {
        assert_eq!(read("Part", ComponentType::Worker, &variable(None)), Err(ConfigError::NoText));
        assert_eq!(read_as(ComponentType::Worker, ""), Err(ConfigError::NoText));
        for text in [
            "s3cret",
            "{",
            "null",
            "1",
            r#"["s3cret"]"#,
            r#"{"Part": "s3cret"}"#,
            r#"{"Part": {"ServiceArgs": ["s3cret"]}}"#,
            r#"{"Part": {"ServiceArgs": {"workers": "s3cret"}}}"#,
            r#"{"Part": {"ServiceArgs": {"workers": -1}}}"#,
            r#"{"Part": {"ServiceArgs": {"workers": 1.5}}}"#,
            r#"{"Part": {"ServiceArgs": {"workers": 4294967296}}}"#,
            r#"{"Part": {"ServiceArgs": {"resources": "s3cret"}}}"#,
            r#"{"Part": {"ServiceArgs": {"resources": {"cpu": ["s3cret"]}}}}"#,
            r#"{"Part": {"ServiceArgs": {"resources": {"custom": ["s3cret"]}}}}"#,
            r#"{"Part": {"ServiceArgs": {"resources": {"custom": {"s3cret": true}}}}}"#,
        ] {
            let error = read_as(ComponentType::Worker, text).expect_err(text).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
