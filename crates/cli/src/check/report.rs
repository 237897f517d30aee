//! The outcome of a check and of all of them: what the judges write and the printer reads.
//! No reading of the cluster, no layout.

use serde::Serialize;

use crate::cluster;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Passed,
    Failed,
    /// The cluster gave no answer to judge.
    Error,
    /// Not looked at: asked so, or there is no cluster to ask.
    Skipped,
}

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Caution,
}

/// One line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub tone: Tone,
    pub text: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub lines: Vec<Line>,
    pub warnings: Vec<String>,
    pub fix: Option<String>,
}

impl Verdict {
    pub fn passed(first: impl Into<String>) -> Self {
        Self::of(Outcome::Passed, Tone::Good, format!("✅ {}", first.into()))
    }

    /// `fix` says what to do, in the words of whoever runs the cluster.
    pub fn failed(first: impl Into<String>, fix: impl Into<String>) -> Self {
        let mut verdict = Self::of(Outcome::Failed, Tone::Bad, format!("❌ {}", first.into()));
        verdict.fix = Some(fix.into());
        verdict
    }

    pub fn error(error: &cluster::Error) -> Self {
        Self::of(Outcome::Error, Tone::Bad, format!("❌ {error}"))
    }

    pub fn skipped(reason: &str) -> Self {
        Self::of(Outcome::Skipped, Tone::Caution, format!("skipped: {reason}"))
    }

    fn of(outcome: Outcome, tone: Tone, text: String) -> Self {
        Self { outcome, lines: vec![Line { tone, text }], warnings: Vec::new(), fix: None }
    }

    pub fn line(mut self, text: impl Into<String>) -> Self {
        self.lines.push(Line { tone: Tone::Plain, text: text.into() });
        self
    }

    pub fn lines(self, texts: impl IntoIterator<Item = String>) -> Self {
        texts.into_iter().fold(self, Self::line)
    }

    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.lines.push(Line { tone: Tone::Caution, text: text.into() });
        self
    }

    pub fn good(mut self, text: impl Into<String>) -> Self {
        self.lines.push(Line { tone: Tone::Good, text: format!("✅ {}", text.into()) });
        self
    }

    pub fn warn(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.lines.push(Line { tone: Tone::Caution, text: format!("⚠️  Warning: {text}") });
        self.warnings.push(text);
        self
    }

    /// Passed, with a warning as the first line.
    pub fn caution_first(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut verdict = Self::of(Outcome::Passed, Tone::Caution, format!("⚠️  {text}"));
        verdict.warnings.push(text);
        verdict
    }
}

/// A check by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// As `--skip` takes it.
    pub id: &'static str,
    pub title: &'static str,
    pub name: &'static str,
    pub verdict: Verdict,
}

/// All checks in their order.
#[derive(Debug)]
pub struct Report(pub Vec<Checked>);

/// The answer for programs.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    ready: bool,
    passed: usize,
    failed: usize,
    errors: usize,
    skipped: usize,
    checks: Vec<Entry<'a>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    id: &'a str,
    name: &'a str,
    outcome: Outcome,
    warnings: &'a [String],
    fix: Option<&'a str>,
    lines: Vec<&'a str>,
}

impl Report {
    pub fn count(&self, outcome: Outcome) -> usize {
        self.0.iter().filter(|checked| checked.verdict.outcome == outcome).count()
    }

    /// Nothing failed, and everything that was asked for was answered.
    pub fn is_ready(&self) -> bool {
        self.count(Outcome::Failed) + self.count(Outcome::Error) == 0
    }

    pub fn document(&self) -> Document<'_> {
        Document {
            ready: self.is_ready(),
            passed: self.count(Outcome::Passed),
            failed: self.count(Outcome::Failed),
            errors: self.count(Outcome::Error),
            skipped: self.count(Outcome::Skipped),
            checks: self.0.iter().map(Entry::of).collect(),
        }
    }
}

impl<'a> Entry<'a> {
    fn of(checked: &'a Checked) -> Self {
        let Verdict { outcome, lines, warnings, fix } = &checked.verdict;
        Self {
            id: checked.id,
            name: checked.name,
            outcome: *outcome,
            warnings,
            fix: fix.as_deref(),
            lines: lines.iter().map(|line| line.text.as_str()).collect(),
        }
    }
}
