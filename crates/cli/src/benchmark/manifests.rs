//! The manifests of the set-up: those of the program, or of a folder. Only `${NAMESPACE}` is replaced in them.
//! Nothing is sent here.

use std::path::Path;

use serde_json::Value;

use crate::{
    error::Error,
    manifest::{self, Document},
};

const CLAIM: &str = include_str!("../../../../deploy/utils/manifests/pvc.yaml");
/// A user makes it when they need it.
const NOT_APPLIED: &str = "pvc-access-pod.yaml";
const PLACE: &str = "${NAMESPACE}";

/// Objects for `namespace`, in the order of their files.
///
/// # Errors
/// A folder that cannot be read, has no manifest, or has one that is no YAML.
pub fn read(folder: Option<&Path>, namespace: &str) -> Result<Vec<Value>, Error> {
    let Some(folder) = folder else {
        let mut claim: Value = serde_yaml_ng::from_str(CLAIM)
            .map_err(|error| Error::Usage(format!("the claim of this program is no YAML: {error}")))?;
        substitute(&mut claim, namespace);
        return Ok(vec![claim]);
    };
    let mut documents = manifest::read(&[folder.to_owned()])?;
    documents
        .retain(|document| Path::new(&document.source).file_name().is_none_or(|name| name != NOT_APPLIED));
    if documents.is_empty() {
        let folder = folder.display();
        return Err(Error::Usage(format!("--manifests {folder}: there is no manifest in this folder")));
    }
    documents.into_iter().map(|document| object(document, namespace)).collect()
}

fn object(document: Document, namespace: &str) -> Result<Value, Error> {
    let Document { source, number, object, .. } = document;
    let mut object = object
        .map_err(|error| Error::Usage(format!("{source}: document {number} is no YAML: {}", error.reason)))?;
    substitute(&mut object, namespace);
    Ok(object)
}

fn substitute(value: &mut Value, namespace: &str) {
    match value {
        Value::String(text) if text.contains(PLACE) => *text = text.replace(PLACE, namespace),
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, namespace)),
        Value::Object(fields) => fields.values_mut().for_each(|field| substitute(field, namespace)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_namespace_is_replaced() {
        let mut value =
            serde_json::json!({"a": ["${NAMESPACE}", "$HOME ${USER}"], "b": {"c": "x-${NAMESPACE}"}});
        substitute(&mut value, "team");
        assert_eq!(value, serde_json::json!({"a": ["team", "$HOME ${USER}"], "b": {"c": "x-team"}}));
    }

    #[test]
    fn the_manifest_of_the_program_is_the_claim() {
        let objects = read(None, "team").unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0]["metadata"], serde_json::json!({"name": "dynamo-pvc", "namespace": "team"}));
    }
}
