//! Differences for people: each object as a unified diff, then what happens to pods, in one plain line each.
//! Nothing is compared here but texts.

use std::io::{self, Write};

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{
    Answer, Difference,
    changes::{Action, Change, Fate, Field, Pods},
};
use crate::console::{BLUE, BOLD, GREEN, RED, YELLOW};

/// Lines around a change.
const CONTEXT: usize = 3;
/// Reasons that are told of one Deployment, and characters of a value.
const REASONS: usize = 5;
const SHOWN: usize = 60;

pub(super) fn write(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    for object in &answer.objects {
        write_object(object, out)?;
    }
    Ok(())
}

fn write_object(object: &Difference, out: &mut impl Write) -> io::Result<()> {
    let Difference { kind, namespace, name, changes, pods, stop, notes } = object;
    for change in changes {
        write_change(change, out)?;
    }
    writeln!(out, "{BOLD}{kind} {namespace}/{name}:{BOLD:#} {}", summary(changes))?;
    for pods in pods {
        write_pods(pods, out)?;
    }
    if !changes.is_empty() && !pods.iter().any(|pods| pods.fate == Fate::Restart) {
        writeln!(out, "  {GREEN}no pod that runs restarts{GREEN:#}")?;
    }
    if let Some(stop) = stop {
        writeln!(out, "  {RED}the operator stops before the end:{RED:#} {stop}")?;
    }
    for note in notes {
        writeln!(out, "  {YELLOW}note:{YELLOW:#} {note}")?;
    }
    Ok(())
}

fn summary(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "no difference, an apply changes nothing".to_owned();
    }
    let count = |action: Action, word: &str| {
        let number = changes.iter().filter(|change| change.action == action).count();
        (number > 0).then(|| format!("{number} {word}"))
    };
    let parts =
        [count(Action::Added, "added"), count(Action::Changed, "changed"), count(Action::Removed, "removed")];
    format!("objects: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn write_change(change: &Change, out: &mut impl Write) -> io::Result<()> {
    let Change { kind, name, action, before, after, .. } = change;
    let word = match action {
        Action::Added => "added",
        Action::Changed => "changed",
        Action::Removed => "removed",
    };
    writeln!(out, "{BOLD}{kind} {name}: {word}{BOLD:#}")?;
    let text = |object: &Option<Value>| {
        object
            .as_ref()
            .map_or_else(String::new, |object| serde_yaml_ng::to_string(object).unwrap_or_default())
    };
    let (before, after) = (text(before), text(after));
    let diff = TextDiff::from_lines(&before, &after);
    writeln!(out, "{RED}--- live{RED:#}\n{GREEN}+++ applied{GREEN:#}")?;
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        writeln!(out, "{BLUE}{}{BLUE:#}", hunk.header())?;
        for line in hunk.iter_changes() {
            let text = line.value().trim_end_matches('\n');
            match line.tag() {
                ChangeTag::Delete => writeln!(out, "{RED}-{text}{RED:#}")?,
                ChangeTag::Insert => writeln!(out, "{GREEN}+{text}{GREEN:#}")?,
                ChangeTag::Equal => writeln!(out, " {text}")?,
            }
        }
    }
    Ok(())
}

fn write_pods(pods: &Pods, out: &mut impl Write) -> io::Result<()> {
    let Pods { service, deployment, fate, before, after, why } = pods;
    let what = if service.is_empty() { String::new() } else { format!("service {service}, ") };
    let line = match fate {
        Fate::Start => count(*after, "start"),
        Fate::End => count(*before, "end"),
        Fate::Scale => format!("scaled from {before} to {after} pods; those that stay do not restart"),
        Fate::Restart if before == after => format!("{YELLOW}{}{YELLOW:#}", count(*before, "restart")),
        Fate::Restart => {
            format!("{YELLOW}{}{YELLOW:#}, then there are {after}", count(*before, "restart"))
        }
    };
    writeln!(out, "  {what}Deployment {deployment}: {line}")?;
    if *fate == Fate::Restart {
        for field in why.iter().take(REASONS) {
            writeln!(out, "    because of {}", reason(field))?;
        }
        if why.len() > REASONS {
            writeln!(out, "    and {} more fields", why.len() - REASONS)?;
        }
    }
    Ok(())
}

fn count(number: i64, verb: &str) -> String {
    if number == 1 { format!("1 pod {verb}s") } else { format!("{number} pods {verb}") }
}

fn reason(field: &Field) -> String {
    let show = |value: &Option<Value>| {
        let Some(value) = value else { return "not set".to_owned() };
        let mut text = value.to_string();
        if let Some((end, _)) = text.char_indices().nth(SHOWN) {
            text.truncate(end);
            text.push_str("...");
        }
        text
    };
    format!("{}: {} -> {}", field.path, show(&field.before), show(&field.after))
}
