//! An answer for people: one line for each document, and one for each finding, by which editors find its place.
//! Nothing is judged here.

use std::io::{self, Write};

use super::findings::{Answer, Finding, Level};
use crate::console::{BOLD, GREEN, RED, YELLOW};

/// What became of all documents.
#[derive(Debug, Default)]
pub(super) struct Count {
    judged: usize,
    pub(super) refused: usize,
    skipped: usize,
    warnings: usize,
}

impl Count {
    pub(super) fn add(&mut self, answer: Option<&Answer>) {
        let Some(answer) = answer else {
            self.skipped += 1;
            return;
        };
        self.judged += 1;
        self.refused += usize::from(!answer.accepted);
        self.warnings += answer.findings.iter().filter(|finding| finding.level == Level::Warning).count();
    }
}

pub(super) fn write(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    let Answer { source, document, kind, name, accepted, findings, .. } = answer;
    let (style, verdict) = if *accepted { (GREEN, "ok") } else { (RED, "refused") };
    let what = match (kind.as_str(), name.as_str()) {
        ("", _) => format!("document {document}"),
        (kind, "") => format!("{kind} without a name"),
        (kind, name) => format!("{kind} {name}"),
    };
    writeln!(out, "{source}: {what}: {style}{verdict}{style:#}")?;
    for finding in findings {
        let (style, level) = match finding.level {
            Level::Error => (RED, "error"),
            Level::Warning => (YELLOW, "warning"),
        };
        writeln!(out, "  {}: {style}{level}{style:#}: {}", place(source, finding), finding.message)?;
    }
    Ok(())
}

fn place(source: &str, finding: &Finding) -> String {
    match finding.place {
        Some(place) => format!("{source}:{}:{}", place.line, place.column),
        None => source.to_owned(),
    }
}

pub(super) fn write_count(count: &Count, out: &mut impl Write) -> io::Result<()> {
    let Count { judged, refused, skipped, warnings } = count;
    let of_warnings = match warnings {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        more => format!(", {more} warnings"),
    };
    writeln!(out, "{BOLD}{judged} judged, {refused} refused, {skipped} skipped{of_warnings}{BOLD:#}")
}
