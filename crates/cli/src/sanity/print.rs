//! The tree for people and the JSON for programs (`tools.md` section 2.2).
//! Nothing is judged here.

use std::{collections::BTreeMap, io, io::Write};

use serde::{Deserialize, Serialize};

use super::node::{Node, Status};
use crate::console::RED;

/// A node as JSON: keys sorted, plain text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plain {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Plain>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub install_recommendation: Vec<String>,
    pub label: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

const MARKS: [&str; 6] = ["✅", "❌", "⚠️", "⚠", "❓", "🤖"];

/// `text` without a symbol at its start or a warning mark at its end.
fn bare(text: &str) -> String {
    let mut text = text.trim();
    while let Some(rest) = MARKS.iter().find_map(|mark| text.strip_prefix(mark)) {
        text = rest.trim_start();
    }
    text.trim_end_matches('\u{fe0f}').trim_end_matches('⚠').trim_end().to_owned()
}

fn word(status: Status) -> Option<String> {
    let word = match status {
        Status::Ok => "ok",
        Status::Error => "error",
        Status::Warning => "warn",
        Status::Info => "info",
        Status::Unknown => "unknown",
        Status::None => return None,
    };
    Some(word.to_owned())
}

impl Plain {
    pub fn of(node: &Node) -> Self {
        Self {
            label: bare(&node.label),
            desc: node.desc.as_deref().map(bare),
            status: word(node.status),
            meta: node.meta.iter().map(|(key, value)| (key.clone(), bare(value))).collect(),
            children: node.children.iter().map(Self::of).collect(),
            install_recommendation: Vec::new(),
        }
    }
}

/// The text of a node without connector.
fn text(node: &Node) -> String {
    let mut text = String::new();
    if let Some(symbol) = node.status.symbol() {
        text.push_str(symbol);
        text.push(' ');
    }
    text.push_str(&node.label);
    if let Some(desc) = &node.desc {
        text.push_str(": ");
        text.push_str(desc);
    }
    for (key, value) in &node.meta {
        text.push_str(&format!(", {key}={value}"));
    }
    text
}

/// Writes the tree with its connectors; errors in red.
///
/// # Errors
/// The output cannot be written.
pub fn tree(root: &Node, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", text(root))?;
    below(root, "", out)
}

fn below(node: &Node, prefix: &str, out: &mut impl Write) -> io::Result<()> {
    let count = node.children.len();
    for (at, child) in node.children.iter().enumerate() {
        let last = at + 1 == count;
        let (connector, deeper) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let text = text(child);
        if child.status == Status::Error {
            writeln!(out, "{prefix}{connector}{RED}{text}{RED:#}")?;
        } else {
            writeln!(out, "{prefix}{connector}{text}")?;
        }
        below(child, &format!("{prefix}{deeper}"), out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connectors_tell_the_depth_and_the_last_one() {
        let root = Node::new("root")
            .child(Node::new("a").child(Node::of("b", "x").ok().meta("k", "v")))
            .child(Node::new("c").error().child(Node::new("d")));
        let mut out = Vec::new();
        tree(&root, &mut anstream::StripStream::new(&mut out)).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        root
        ├─ a
        │  └─ ✅ b: x, k=v
        └─ ❌ c
           └─ d
        ");
    }

    #[test]
    fn json_is_plain_text_with_sorted_keys() {
        let root = Node::of("🤖Framework", "⚠️ root=user").warning().meta("b", "9 MiB ⚠️").meta("a", "é");
        let text = serde_json::to_string(&Plain::of(&root)).unwrap();
        assert_eq!(
            text,
            r#"{"desc":"root=user","label":"Framework","meta":{"a":"é","b":"9 MiB"},"status":"warn"}"#
        );
    }
}
