//! The words of what a schema refuses: the value, what is allowed, how to put it right. Nothing is judged here.

use serde_json::{Map, Value};

use crate::suggest;

/// Characters of a value that is shown.
const SHOWN: usize = 80;
/// Fields that are listed when none is like the one that was written.
const LISTED: usize = 12;

pub(super) const EMPTY: &str = " has no value: kubectl apply --server-side and most GitOps tools have it refused, others have it \
                               dropped: take the field out";

pub(super) fn wrong_type(expected: &str, value: &Value) -> String {
    let shown = show(value);
    match (expected, value) {
        ("string", Value::Number(_) | Value::Bool(_)) => {
            format!(": {shown}: must be text: put it in quotes, as \"{shown}\"")
        }
        ("string", _) => format!(": must be text, not {}", describe(value)),
        ("integer", Value::String(text)) if text.parse::<i64>().is_ok() => {
            format!(": {shown}: must be a whole number: take the quotes away")
        }
        ("integer", _) => format!(": {shown}: must be a whole number, such as 2"),
        ("number", _) => format!(": {shown}: must be a number, such as 0.5"),
        ("boolean", _) => format!(": {shown}: must be true or false, without quotes"),
        ("array", _) => ": must be a list: begin each item with \"- \"".to_owned(),
        ("object", _) => {
            format!(": must be fields (lines of key: value), not {}", describe(value))
        }
        _ => format!(": {shown}: must be a whole number or a text such as \"500m\" or \"64Gi\""),
    }
}

pub(super) fn not_among(value: &Value, allowed: &[Value]) -> String {
    let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
    let question = suggest::question(value.as_str().unwrap_or_default(), names.iter().copied());
    format!(": {}: must be one of {}{question}", show(value), names.join(", "))
}

pub(super) fn not_matching(text: &str, pattern: &str) -> String {
    let text = show(&Value::from(text));
    if pattern.contains("numkMGTPE") {
        return format!(
            ": {text}: is not a quantity: write a number with an optional suffix, such as \"2\", \"500m\" or \"64Gi\""
        );
    }
    format!(": {text}: must match {pattern}")
}

pub(super) fn required(property: Option<&Value>) -> String {
    let description = property.and_then(|property| property["description"].as_str()).unwrap_or_default();
    let first = description.split(['\n']).next().unwrap_or_default().split(". ").next().unwrap_or_default();
    match first.trim_end_matches('.') {
        "" => " is required".to_owned(),
        first => format!(" is required: {first}"),
    }
}

pub(super) fn unknown(name: &str, known: &Map<String, Value>) -> String {
    let question = suggest::question(name, known.keys().map(String::as_str));
    if !question.is_empty() || known.is_empty() {
        return format!(": no such field{question}");
    }
    if known.len() > LISTED {
        return ": no such field: see `dynamoctl explain` for those that are there".to_owned();
    }
    let listed: Vec<&str> = known.keys().map(String::as_str).collect();
    format!(": no such field: there are {}", listed.join(", "))
}

pub(super) fn repeated(keys: &[&str], values: &[Value], first: &str) -> String {
    let named: Vec<String> = match keys {
        [] => values.iter().map(show).collect(),
        keys => keys.iter().zip(values).map(|(key, value)| format!("{key} {}", show(value))).collect(),
    };
    format!(": {} is already that of {first}: give each item its own", named.join(", "))
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "fields",
    }
}

fn show(value: &Value) -> String {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}
