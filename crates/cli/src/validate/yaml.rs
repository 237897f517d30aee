//! What a text says otherwise than its writer meant: it breaks off, a key stands twice, a word without quotes is no text
//! to kubectl. Nothing about what fields mean.

use serde_json::Value;

use super::findings::{By, Finding, Findings, Level};
use crate::manifest::{Marked, Unreadable};

/// Words without quotes that kubectl reads as true or false, by YAML 1.1, and other readers as text.
const TRUTHS: [&str; 8] = ["y", "yes", "on", "n", "no", "off", "true", "false"];

/// Why a document cannot be read, and what to do.
pub(super) fn unreadable(error: &Unreadable) -> Vec<Finding> {
    let finding = |place, message| Finding {
        level: Level::Error,
        by: By::Yaml,
        rule: None,
        field: String::new(),
        place,
        message,
    };
    if error.reason.contains("duplicate entry") && !error.repeated.is_empty() {
        let told = error.repeated.iter().map(|it| {
            let text = format!(
                "the key {:?} stands here again, after line {}: of the two only one can count, take one out",
                it.key, it.first.line
            );
            finding(Some(it.again), text)
        });
        return told.collect();
    }
    let hint = hint(error).map_or_else(String::new, |hint| format!(": {hint}"));
    vec![finding(error.place, format!("is no YAML: {}{hint}", error.reason))]
}

fn hint(error: &Unreadable) -> Option<&'static str> {
    let indent: String = error.line.chars().take_while(|c| c.is_whitespace()).collect();
    let reason = error.reason.as_str();
    if indent.contains('\t') || reason.contains("found a tab") {
        return Some("indent with spaces: YAML does not allow tabs there");
    }
    let known = [
        (
            "mapping values are not allowed",
            "check the indentation of this line, and put a text that holds ': ' in quotes",
        ),
        (
            "did not find expected key",
            "check the indentation and the quotes of this line and of those above it",
        ),
        ("could not find expected ':'", "write key: value, with a space after the colon"),
        ("did not find expected '-' indicator", "give every item of the list the same indentation"),
        ("did not find expected ',' or", "close the bracket of the line above"),
        ("cannot start any token", "put a text that begins with this character in quotes"),
        ("while scanning a quoted scalar", "close the quotes"),
        ("unknown anchor", "write the anchor (&name) before the place that uses it (*name)"),
    ];
    known.iter().find(|(words, _)| reason.contains(words)).map(|(_, hint)| *hint)
}

/// Texts that kubectl would not read as text. `marks` are those of `object`, `schema` says where text belongs.
pub(super) fn truths(
    object: &Value,
    marks: &Marked,
    schema: &Value,
    path: &str,
    findings: &mut Findings<'_>,
) {
    match object {
        Value::Object(fields) => {
            for (name, value) in fields {
                let Some(inner) = marks.get(name) else { continue };
                let property = schema["properties"].get(name);
                let (schema, path) = match property {
                    Some(property) if path.is_empty() => (property, name.clone()),
                    Some(property) => (property, format!("{path}.{name}")),
                    None => (&schema["additionalProperties"], format!("{path}[{name}]")),
                };
                truths(value, inner, schema, &path, findings);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let Some(inner) = marks.item(at) else { continue };
                truths(item, inner, &schema["items"], &format!("{path}[{at}]"), findings);
            }
        }
        Value::String(text) if schema["type"] == "string" => {
            let is_truth = TRUTHS.iter().any(|word| text.eq_ignore_ascii_case(word));
            if is_truth && marks.plain() == Some(text) {
                let words = format!(
                    "{path}: {text}: kubectl reads this word as true or false, which is no text: put it in quotes, as \
                     \"{text}\""
                );
                findings.add(Level::Warning, By::Yaml, path, words);
            }
        }
        _ => {}
    }
}
