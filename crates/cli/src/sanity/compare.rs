//! What changed between a saved report and this one: nodes that came, went, or say something else.
//! Pure. Figures that move by themselves, such as used memory, are left out; the sizes they are measured by are not.

use std::io::{self, Write};

use super::print::Plain;
use crate::console::{GREEN, RED, YELLOW};

/// One difference, by the labels that lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Came { path: String, now: String },
    Went { path: String, before: String },
    Differs { path: String, before: String, now: String },
}

/// Every difference, in the order of the new report, what went last of its parent.
pub fn changes(before: &Plain, now: &Plain) -> Vec<Change> {
    let mut found = Vec::new();
    if before.label != now.label {
        let (before, now) = (before.label.clone(), now.label.clone());
        found.push(Change::Differs { path: "machine".to_owned(), before, now });
    }
    differ(before, now, "", &mut found);
    found
}

fn differ(before: &Plain, now: &Plain, path: &str, found: &mut Vec<Change>) {
    let (old, new) = (said(before), said(now));
    if old != new {
        found.push(Change::Differs { path: path.to_owned(), before: old, now: new });
    }
    let under = |label: &str| if path.is_empty() { label.to_owned() } else { format!("{path} / {label}") };
    let mut left: Vec<Option<&Plain>> = before.children.iter().map(Some).collect();
    for child in &now.children {
        let below = under(&child.label);
        let same = left.iter_mut().find(|it| it.is_some_and(|it| it.label == child.label));
        match same.and_then(Option::take) {
            Some(old) => differ(old, child, &below, found),
            None => found.push(Change::Came { path: below, now: said(child) }),
        }
    }
    let went = |child: &Plain| Change::Went { path: under(&child.label), before: said(child) };
    found.extend(left.into_iter().flatten().map(went));
}

/// Status, text and values of one node in one line, without figures that move by themselves.
fn said(node: &Plain) -> String {
    let mut parts: Vec<String> = node.status.iter().map(|status| format!("[{status}]")).collect();
    let is_memory = node.label.starts_with("Shared memory");
    parts.extend(node.desc.as_deref().filter(|desc| !desc.is_empty()).map(|desc| {
        match desc.split_once(" used (") {
            Some((figures, _)) if is_memory => total(figures).to_owned(),
            _ => desc.to_owned(),
        }
    }));
    let steady = node.meta.iter().filter(|(key, _)| !matches!(key.as_str(), "Power" | "Stats"));
    parts.extend(steady.map(|(key, value)| {
        format!("{key}={}", if key == "Memory" { total(value) } else { value.as_str() })
    }));
    parts.join(" ")
}

/// The second of `used/total`.
fn total(figures: &str) -> &str {
    figures.rsplit('/').next().unwrap_or(figures)
}

/// Writes the differences, or that there are none.
///
/// # Errors
/// The output cannot be written.
pub fn write(changes: &[Change], out: &mut impl Write) -> io::Result<()> {
    if changes.is_empty() {
        return writeln!(out, "nothing changed");
    }
    for change in changes {
        match change {
            Change::Came { path, now } => writeln!(out, "{GREEN}+ {path}: {now}{GREEN:#}")?,
            Change::Went { path, before } => writeln!(out, "{RED}- {path}: {before}{RED:#}")?,
            Change::Differs { path, before, now } => {
                writeln!(out, "{YELLOW}~ {path}: {before} -> {now}{YELLOW:#}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(label: &str, desc: &str, children: Vec<Plain>) -> Plain {
        let desc = (!desc.is_empty()).then(|| desc.to_owned());
        Plain { label: label.to_owned(), desc, children, ..Plain::default() }
    }

    #[test]
    fn only_what_changed_is_told_and_equal_labels_are_matched_in_their_order() {
        let before =
            node("root", "", vec![node("a", "1", vec![]), node("x", "1", vec![]), node("x", "2", vec![])]);
        let now =
            node("root", "", vec![node("b", "1", vec![]), node("x", "1", vec![]), node("x", "3", vec![])]);
        let mut out = Vec::new();
        write(&changes(&before, &now), &mut anstream::StripStream::new(&mut out)).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        + b: 1
        ~ x: 2 -> 3
        - a: 1
        ");
        assert_eq!(changes(&now, &now), []);
        let other = node("other", "", now.children.clone());
        assert!(matches!(&changes(&now, &other)[..], [Change::Differs { path, .. }] if path == "machine"));
    }
}
