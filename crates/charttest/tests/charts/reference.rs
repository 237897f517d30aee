//! The reference page of all values, made of the value files themselves: key, default, comment.
//! Must not explain anything on its own: what a reader misses belongs into a comment of a value file.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::helm::{platform, workspace, yaml};

const PAGE: &str = "docs/reference/values.md";
const UPDATE: &str = "UPDATE_REFERENCE";

/// Sections of the page: title, keys of the platform's values, and the chart whose own values explain the rest.
const SECTIONS: [(&str, &[&str], Option<&str>); 4] = [
    ("Operator", &["dynamo-operator"], None),
    ("NATS", &["nats"], Some("charts/nats")),
    ("etcd", &["etcd"], Some("charts/etcd")),
    ("Grove, KAI and alerts", &["grove", "kai-scheduler", "alerts"], None),
];

/// A key with its comment.
struct Row {
    path: Vec<String>,
    comment: String,
}

/// Every key that has a comment, in the order of the file.
fn rows(text: &str) -> Vec<Row> {
    let mut found = Vec::new();
    let mut parents: Vec<(usize, String)> = Vec::new();
    let mut comment = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if let Some(words) = content.strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        let key = content
            .split_once(':')
            .map(|(key, _)| key.trim_matches('"'))
            .filter(|_| !content.starts_with('-'));
        if let Some(key) = key {
            parents.retain(|(parent, _)| *parent < indent);
            parents.push((indent, key.to_owned()));
            if !comment.is_empty() {
                let path = parents.iter().map(|(_, key)| key.clone()).collect();
                found.push(Row { path, comment: comment.join(" ") });
            }
        }
        comment.clear();
    }
    found
}

/// The rows of one section, with keys as the platform has them: its own, then those that only the chart explains.
fn section(keys: &[&str], chart: Option<&str>) -> Vec<Row> {
    let read = |file: PathBuf| rows(&std::fs::read_to_string(file).expect("a value file"));
    let mut found = read(platform().join("values.yaml"));
    found.retain(|row| keys.contains(&row.path[0].as_str()));
    if let Some(chart) = chart {
        for mut row in read(platform().join(chart).join("values.yaml")) {
            row.path.insert(0, keys[0].to_owned());
            if !found.iter().any(|known| known.path == row.path) {
                found.push(row);
            }
        }
    }
    found
}

/// What holds where a user says nothing: the platform's word before that of the chart.
fn default_of(path: &[String], platform: &Value, chart: &Value) -> Value {
    let at = |values: &Value, path: &[String]| {
        path.iter().try_fold(values.clone(), |value, key| value.get(key.as_str()).cloned())
    };
    at(platform, path).or_else(|| at(chart, &path[1..])).unwrap_or_default()
}

fn page() -> String {
    let mut page = "# Values of the charts\n\n\
        Made from the value files of the charts; `UPDATE_REFERENCE=1 cargo test -p dynamo-charttest --test charts \
        reference` writes it anew. Keys and defaults are those of the platform's chart.\n"
        .to_owned();
    let own = yaml(&platform().join("values.yaml"));
    for (title, keys, chart) in SECTIONS {
        let of_chart =
            chart.map(|chart| yaml(&platform().join(chart).join("values.yaml"))).unwrap_or_default();
        write!(page, "\n## {title}\n\n| Value | Default | Meaning |\n|---|---|---|\n").expect("a string");
        let rows = section(keys, chart);
        for row in &rows {
            let is_parent =
                |other: &Row| other.path.len() > row.path.len() && other.path.starts_with(&row.path);
            let default = match default_of(&row.path, &own, &of_chart) {
                // That of a map whose keys have rows of their own is theirs.
                Value::Object(_) if rows.iter().any(is_parent) => String::new(),
                value => format!("`{value}`"),
            };
            let cell = |text: &str| text.replace('|', "\\|");
            let (default, comment) = (cell(&default), cell(&row.comment));
            writeln!(page, "| `{}` | {default} | {comment} |", row.path.join(".")).expect("a string");
        }
    }
    page
}

#[test]
fn the_reference_page_has_every_value_with_its_default_and_meaning() {
    let (file, made) = (workspace().join(PAGE), page());
    assert!(made.matches("\n| `").count() > 250, "too few values:\n{made}");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, &made).expect("the page is written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == made, "{PAGE} is not what the value files say: run this test with {UPDATE}=1");
}

#[test]
fn keys_and_comments_of_a_value_file_are_told_apart() {
    let text = "# About the file.\n\n# A.\na:\n  # B, in\n  # two lines.\n  b: 1\n  c:\n    # E.\n    - d: 2\n  \"f/g\": {} # rest\n# H.\nh: null\n";
    let found: Vec<(String, String)> =
        rows(text).into_iter().map(|row| (row.path.join("."), row.comment)).collect();
    let expected = [("a", "A."), ("a.b", "B, in two lines."), ("h", "H.")];
    assert_eq!(found, expected.map(|(path, comment)| (path.to_owned(), comment.to_owned())));
}
