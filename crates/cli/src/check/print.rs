//! The layout of the report for people (`tools.md` sections 1.1 and 1.3).
//! Nothing is judged here.

use std::io::{self, Write};

use anstyle::Style;

use super::report::{Outcome, Report, Tone};
use crate::console::{BLUE, GREEN, RED, YELLOW};

const RULE: &str = "========================================";

fn line(out: &mut impl Write, style: Style, text: &str) -> io::Result<()> {
    writeln!(out, "{style}{text}{style:#}")
}

fn title(out: &mut impl Write, text: &str) -> io::Result<()> {
    writeln!(out)?;
    line(out, BLUE, &format!("--- {text} ---"))
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => GREEN,
        Tone::Bad => RED,
        Tone::Caution => YELLOW,
    }
}

/// Writes the whole report.
///
/// # Errors
/// The output cannot be written.
pub fn text(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(out)?;
    for text in [RULE, "  Dynamo Pre-Deployment Check Script  ", RULE] {
        line(out, BLUE, text)?;
    }
    writeln!(out)?;
    for checked in &report.0 {
        title(out, checked.title)?;
        for said in &checked.verdict.lines {
            line(out, style(said.tone), &said.text)?;
        }
        if let Some(fix) = &checked.verdict.fix {
            line(out, YELLOW, &format!("Fix: {fix}"))?;
        }
    }
    summary(report, out)
}

fn summary(report: &Report, out: &mut impl Write) -> io::Result<()> {
    title(out, "Pre-Deployment Check Summary")?;
    for checked in &report.0 {
        let (style, sign, word) = match checked.verdict.outcome {
            Outcome::Passed => (GREEN, "✅", "PASSED"),
            Outcome::Failed => (RED, "❌", "FAILED"),
            Outcome::Error => (RED, "❌", "ERROR"),
            Outcome::Skipped => (YELLOW, "⚠️ ", "SKIPPED"),
        };
        line(out, style, &format!("{sign} {}: {word}", checked.name))?;
    }
    let [passed, failed, errors, skipped] =
        [Outcome::Passed, Outcome::Failed, Outcome::Error, Outcome::Skipped]
            .map(|outcome| report.count(outcome));
    writeln!(out)?;
    write!(out, "Summary: {passed} passed, {failed} failed")?;
    for (count, word) in [(errors, "without an answer"), (skipped, "skipped")] {
        if count > 0 {
            write!(out, ", {count} {word}")?;
        }
    }
    writeln!(out)?;
    if report.is_ready() {
        line(out, GREEN, "🎉 All pre-deployment checks passed!")?;
        return line(out, GREEN, "Your cluster is ready for Dynamo deployment.");
    }
    if failed > 0 {
        line(out, RED, &format!("❌ {failed} pre-deployment check(s) failed."))?;
    }
    if errors > 0 {
        line(out, RED, &format!("❌ {errors} pre-deployment check(s) got no answer."))?;
    }
    line(out, RED, "Please address the issues above before proceeding with deployment.")
}
