//! From JSON to a type of this API, with the path of the field that does not fit.
//! Only decoding; whether a value is allowed is judged elsewhere.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Above this many values in an object its fault is not located: each try decodes the object once more.
const LOCATED: usize = 20_000;

/// An object that does not fit its type.
#[derive(Debug)]
pub struct DecodeError {
    /// Path of the field, such as `spec.services.Worker.replicas`; empty when it is not one field alone.
    pub path: String,
    /// Why.
    pub source: serde_json::Error,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            write!(f, "cannot be read: {}", self.source)
        } else {
            write!(f, "{} cannot be read: {}", self.path, self.source)
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Decodes `object`. The types of core/v1 are large: they are compiled for one kind of reader only, the one that
/// watches use, which knows no paths. A fault is found by leaving out one field after the other.
///
/// # Errors
/// The object does not fit the type.
pub fn decode<T: DeserializeOwned>(object: &Value) -> Result<T, DecodeError> {
    T::deserialize(object).map_err(|source| {
        let fits = |object: &Value| T::deserialize(object).is_ok();
        let path = if count(object) <= LOCATED { locate(object, fits) } else { String::new() };
        DecodeError { path, source }
    })
}

/// Decodes the JSON `text` of an object without a tree in between, which would take many times its size.
///
/// # Errors
/// The text is no JSON or does not fit the type.
pub fn decode_text<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    serde_json::from_str(text).or_else(|source| match serde_json::from_str::<Value>(text) {
        Ok(object) => decode(&object),
        Err(_) => Err(DecodeError { path: String::new(), source }),
    })
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// The deepest field without which the object fits.
fn locate(object: &Value, fits: impl Fn(&Value) -> bool) -> String {
    let mut pointer = String::new();
    let mut path = String::new();
    loop {
        let children: Vec<String> = match object.pointer(&pointer) {
            Some(Value::Object(fields)) => fields.keys().cloned().collect(),
            Some(Value::Array(items)) => (0..items.len()).map(|at| at.to_string()).collect(),
            _ => return path,
        };
        let culprit = children.into_iter().find(|child| {
            let mut without = object.clone();
            match without.pointer_mut(&pointer) {
                Some(Value::Object(fields)) => drop(fields.remove(child)),
                Some(Value::Array(items)) => drop(child.parse().map(|at: usize| items.remove(at))),
                _ => {}
            }
            fits(&without)
        });
        let Some(child) = culprit else { return path };
        if object.pointer(&pointer).is_some_and(Value::is_array) {
            path.push_str(&format!("[{child}]"));
        } else {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(&child);
        }
        pointer.push('/');
        pointer.push_str(&child.replace('~', "~0").replace('/', "~1"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::v1alpha1::DynamoGraphDeployment;

    fn graph(replicas: &Value, port: &Value) -> Value {
        json!({"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment", "metadata": {"name": "g"},
            "spec": {"services": {"Worker": {"replicas": replicas, "extraPodSpec": {"mainContainer": {
                "ports": [{"containerPort": 1}, {"containerPort": port}]}}}}}})
    }

    #[test]
    fn the_field_that_does_not_fit_is_named() {
        let error = decode::<DynamoGraphDeployment>(&graph(&json!("two"), &json!(2))).unwrap_err();
        assert_eq!(error.path, "spec.services.Worker.replicas");
        let error = decode::<DynamoGraphDeployment>(&graph(&json!(1), &json!("x"))).unwrap_err();
        assert_eq!(error.path, "spec.services.Worker.extraPodSpec.mainContainer.ports[1].containerPort");
        assert!(error.to_string().contains("cannot be read: "), "{error}");
    }

    #[test]
    fn two_faults_and_no_object_are_told_without_a_path() {
        let error = decode::<DynamoGraphDeployment>(&graph(&json!("two"), &json!("x"))).unwrap_err();
        assert_eq!(error.path, "spec.services.Worker");
        assert_eq!(decode::<DynamoGraphDeployment>(&json!([1])).unwrap_err().path, "");
    }

    #[test]
    fn what_fits_is_decoded() {
        let graph: DynamoGraphDeployment = decode(&graph(&json!(3), &json!(2))).unwrap();
        assert_eq!(graph.spec.services["Worker"].replicas, Some(3));
    }
}
