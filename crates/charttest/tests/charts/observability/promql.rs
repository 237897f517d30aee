//! Names of metrics in a PromQL expression.
//! Must not decide whether an expression is legal: promtool does.

use std::collections::BTreeSet;

const WORDS: [&str; 22] = [
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "sum",
    "min",
    "max",
    "count",
    "avg",
    "stddev",
    "topk",
    "bottomk",
    "quantile",
    "inf",
    "nan",
];
/// What follows these in parentheses are labels.
const LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The metrics that `expression` selects; a pattern for the name gives every name it stands for.
pub fn metrics(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            rest = after(&rest[1..], '"');
        } else if first == '[' {
            rest = after(rest, ']');
        } else if first == '{' {
            let selector = &rest[..rest.len() - after(rest, '}').len()];
            found.extend(by_pattern(selector));
            rest = after(rest, '}');
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if first.is_ascii_alphabetic() || first == '_' {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let (word, more) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
            rest = more.trim_start();
            if LABELS.contains(&word) && rest.starts_with('(') {
                rest = after(rest, ')');
            } else if !WORDS.contains(&word) && !rest.starts_with('(') {
                found.insert(word.to_owned());
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
        rest = rest.trim_start();
    }
    found
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// The names that `__name__` stands for in a selector.
fn by_pattern(selector: &str) -> Vec<String> {
    let Some((_, rest)) = selector.split_once("__name__") else { return Vec::new() };
    let pattern = rest.trim_start_matches(['=', '~']).trim_start_matches('"');
    expand(pattern.split('"').next().unwrap_or_default())
}

/// Alternatives, in one pair of parentheses or outside of them.
fn expand(pattern: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let top = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == '|' && depth == 0
    };
    let alternatives: Vec<&str> = pattern.split(top).collect();
    let one = |alternative: &str| match alternative.split_once('(') {
        Some((before, rest)) => {
            let (inside, behind) = rest.split_once(')').expect("a closed group");
            inside.split('|').map(|part| format!("{before}{part}{behind}")).collect()
        }
        None => vec![alternative.to_owned()],
    };
    alternatives.into_iter().flat_map(one).collect()
}

#[test]
fn names_are_told_from_functions_labels_numbers_and_text() {
    let expression = r#"100 * sum by (le, a) (rate(m_bucket{x=~"y_z", n!=""}[5m])) / ignoring(b) group_left(c) p:q > bool 7e3
        or absent(other) unless {__name__=~"(k|l)_mem|vllm:use", w="u"} offset 1h and on () label_replace(n2, "d", "$1", "s", "(.+)")"#;
    let found: Vec<String> = metrics(expression).into_iter().collect();
    assert_eq!(found, ["k_mem", "l_mem", "m_bucket", "n2", "other", "p:q", "vllm:use"]);
}
