//! Descriptions as they go into the chart: short for core types, harmless for Helm.
//! Must not change anything but descriptions.

use serde_json::{Map, Value};

use super::core_rules::PREFIX;

/// Our type that repeats the fields of a core type.
pub(super) const FLATTENED: &str = "ExtraPodSpec";

/// Keeps the first sentence of every description of a core type. With the whole text a definition is larger than
/// the 262144 bytes an annotation may have, and a plain `kubectl apply` of it fails.
pub(super) fn shorten_core(definitions: &mut Map<String, Value>) {
    for (name, definition) in definitions {
        if name.starts_with(PREFIX) || name == FLATTENED {
            each(definition, &|text| first_sentence(text).to_owned());
        }
    }
}

/// The CRD files are Helm templates: two opening braces in a description would start an action.
pub(super) fn make_helm_safe(schema: &mut Value) {
    each(schema, &|text| text.replace("{{", "{ {"));
}

fn each(schema: &mut Value, change: &impl Fn(&str) -> String) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "description" => *text = change(text),
                    value => each(value, change),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
        _ => {}
    }
}

fn first_sentence(text: &str) -> &str {
    let mut ends =
        text.match_indices(". ").map(|(at, _)| at).chain(text.match_indices(".\n").map(|(at, _)| at));
    let end = ends.find(|at| {
        let before = &text[..*at];
        !["e.g", "i.e", "etc", "vs"].iter().any(|abbreviation| before.ends_with(abbreviation))
    });
    end.map_or(text, |at| &text[..=at])
}

#[cfg(test)]
mod tests {
    use super::first_sentence;

    #[test]
    fn a_description_is_cut_after_its_first_sentence_but_not_after_an_abbreviation() {
        assert_eq!(first_sentence("One. Two."), "One.");
        assert_eq!(first_sentence("Some, e.g. this. Two."), "Some, e.g. this.");
        assert_eq!(first_sentence("No end"), "No end");
    }
}
