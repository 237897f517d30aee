//! Fields of the API by their paths, such as `dgd.spec.services.*.resources`. Only the way to a schema: what is told of
//! it is elsewhere.

use serde_json::Value;

use super::{DEFINITIONS, Definition};
use crate::suggest;

/// A field that was found.
#[derive(Debug)]
pub struct Found {
    pub kind: &'static str,
    /// The field as it is written: `spec.services.<name>.envs[]`; empty for the object itself.
    pub path: String,
    pub schema: Value,
    pub is_required: bool,
}

/// A path that leads nowhere; the text names the part, and what may be meant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct NotFound(String);

/// What stands for a key or an item that the user chooses.
fn is_placeholder(part: &str) -> bool {
    part == "*" || part == "[]" || (part.starts_with('<') && part.ends_with('>'))
}

/// The field of a path; the first part is a kind in any spelling that kubectl knows.
///
/// # Errors
/// A part of the path does not exist.
pub fn find(path: &str) -> Result<Found, NotFound> {
    let mut parts = split(path).into_iter();
    let definition = kind(&parts.next().unwrap_or_default())?;
    let mut found =
        Found { kind: definition.kind, path: String::new(), schema: definition.schema(), is_required: false };
    for part in parts {
        found = step(found, &part)?;
    }
    Ok(found)
}

/// Splits at dots and brackets; keys in brackets may hold dots.
fn split(path: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut is_inside = false;
    for c in path.chars() {
        match c {
            '[' if !is_inside => {
                parts.extend((!part.is_empty()).then(|| std::mem::take(&mut part)));
                is_inside = true;
            }
            ']' if is_inside => {
                is_inside = false;
                let inside = std::mem::take(&mut part);
                parts.push(if inside.is_empty() { "[]".to_owned() } else { inside });
            }
            '.' if !is_inside => parts.extend((!part.is_empty()).then(|| std::mem::take(&mut part))),
            c => part.push(c),
        }
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts
}

fn kind(word: &str) -> Result<&'static Definition, NotFound> {
    let lower = word.to_lowercase();
    let is = |definition: &&Definition| {
        let kind = definition.kind.to_lowercase();
        lower == kind || lower == definition.plural || definition.short_names.contains(&lower.as_str())
    };
    DEFINITIONS.iter().find(is).ok_or_else(|| {
        let known = DEFINITIONS.iter().flat_map(|it| it.short_names.iter().copied().chain([it.kind]));
        let question = suggest::question(word, known);
        let listed: Vec<String> = DEFINITIONS
            .iter()
            .map(|it| match it.short_names.first() {
                Some(short) => format!("{} ({short})", it.kind),
                None => it.kind.to_owned(),
            })
            .collect();
        NotFound(format!(
            "{word:?} is no kind of nvidia.com/v1alpha1{question}; there are {}",
            listed.join(", ")
        ))
    })
}

fn step(from: Found, part: &str) -> Result<Found, NotFound> {
    let Found { kind, path, schema, .. } = from;
    if let Some(property) = schema["properties"].get(part) {
        let required = schema["required"].as_array();
        let is_required = required.is_some_and(|names| names.iter().any(|name| name == part));
        let path = if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
        return Ok(Found { kind, path, schema: property.clone(), is_required });
    }
    // A list is passed through: who asks for envs.name means that of its items.
    if schema["items"].is_object() {
        let items =
            Found { kind, path: format!("{path}[]"), schema: schema["items"].clone(), is_required: false };
        let is_item = is_placeholder(part) || part.parse::<usize>().is_ok();
        return if is_item { Ok(items) } else { step(items, part) };
    }
    if schema["additionalProperties"].is_object() {
        let schema = schema["additionalProperties"].clone();
        let is_field = !is_placeholder(part) && schema["properties"].get(part).is_some();
        let value = Found { kind, path: format!("{path}.<name>"), schema, is_required: false };
        // The name may be left out: who asks for services.replicas means that of a service.
        return if is_field { step(value, part) } else { Ok(value) };
    }
    let at = if path.is_empty() { kind.to_owned() } else { format!("{kind}.{path}") };
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return Err(NotFound(format!("{at} takes any content: the API describes no fields inside it")));
    }
    let Some(properties) = schema["properties"].as_object() else {
        return Err(NotFound(format!(
            "{at} has no fields: it is a {}",
            schema["type"].as_str().unwrap_or("value")
        )));
    };
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    let question = suggest::question(part, names.iter().copied());
    Err(NotFound(format!("{at} has no field {part:?}{question}; its fields are {}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_through_maps_and_lists_by_any_name_of_their_kind() {
        for (path, kind, found) in [
            ("dgd", "DynamoGraphDeployment", ""),
            (
                "DynamoGraphDeployment.spec.services.replicas",
                "DynamoGraphDeployment",
                "spec.services.<name>.replicas",
            ),
            ("dgd.spec.services.*.replicas", "DynamoGraphDeployment", "spec.services.<name>.replicas"),
            (
                "dynamographdeployments.spec.services[my.worker].envs.name",
                "DynamoGraphDeployment",
                "spec.services.<name>.envs[].name",
            ),
            ("DCD.spec.envs[0].value", "DynamoComponentDeployment", "spec.envs[].value"),
            ("dm.metadata.labels", "DynamoModel", "metadata.labels"),
        ] {
            let it = find(path).unwrap();
            assert_eq!((it.kind, it.path.as_str()), (kind, found), "{path}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_with_what_may_be_meant() {
        for (path, words) in [
            ("dgb.spec", "did you mean \"dgd\"?"),
            ("dgd.spc", "did you mean \"spec\"?"),
            ("dgd.spec.services.*.replica", "has no field \"replica\": did you mean \"replicas\"?"),
            ("dgd.spec.services.*.replicas.x", "has no fields: it is a integer"),
            ("dgdr.spec.profilingConfig.config.x", "takes any content"),
        ] {
            let error = find(path).unwrap_err().to_string();
            assert!(error.contains(words), "{path}: {error}");
        }
    }
}
