//! A report for people: the graph as a tree, its events, the first cause and what to do.
//! Writes only what the report says; lines are cut and paragraphs wrapped where the terminal ends.

use std::io::{self, Write};

use anstyle::Style;
use k8s_openapi::jiff::Timestamp;
use unicode_width::UnicodeWidthStr;

use super::report::{ConditionView, PodView, Reason, Report, Service};
use crate::{
    console::{BOLD, Console, GREEN, RED, YELLOW},
    layout,
};

/// Other causes that are shown; the rest is counted.
const OTHERS: usize = 5;

/// Writes the report as of `now`.
///
/// # Errors
/// The output cannot be written.
pub fn write(report: &Report, now: Timestamp, console: &mut Console<'_>) -> io::Result<()> {
    let width = console.width();
    let mut lines = Lines { console, width };
    let graph = &report.graph;
    lines.row("", &mark(graph.ready, false), &format!("DynamoGraphDeployment {}", graph.name), &{
        let mut facts = vec![format!("namespace {}", graph.namespace), format!("state {}", graph.state)];
        facts.extend(graph.backend_framework.clone());
        facts.extend(graph.created.map(|created| format!("age {}", layout::age(created, now))));
        facts.extend(graph.restart.as_ref().map(|restart| format!("restart {restart}")));
        facts.join(", ")
    })?;
    for condition in &graph.conditions {
        lines.row("│  ", &Mark::NONE, "", &said(condition, graph.generation))?;
    }
    for (at, service) in report.services.iter().enumerate() {
        lines.service(service, at + 1 == report.services.len(), now)?;
    }
    lines.events(report, now)?;
    lines.causes(report)?;
    for unread in &report.unread {
        lines.paragraph("Note: ", "  ", unread)?;
    }
    Ok(())
}

/// Writes the causes alone.
///
/// # Errors
/// The output cannot be written.
pub fn write_causes(report: &Report, console: &mut Console<'_>) -> io::Result<()> {
    let width = console.width();
    Lines { console, width }.causes(report)
}

fn said(condition: &ConditionView, generation: i64) -> String {
    let stale = match condition.observed_generation {
        Some(observed) if observed < generation => format!(" (of generation {observed}, not {generation})"),
        _ => String::new(),
    };
    let ConditionView { r#type, status, reason, message, .. } = condition;
    format!("{type}={status} {reason}{stale}: {message}")
}

/// The sign before a line.
struct Mark {
    text: &'static str,
    style: Style,
}

impl Mark {
    const NONE: Self = Self { text: "", style: Style::new() };
}

fn mark(is_ready: bool, may_pass: bool) -> Mark {
    match (is_ready, may_pass) {
        (true, _) => Mark { text: "✓ ", style: GREEN },
        (false, true) => Mark { text: "… ", style: YELLOW },
        (false, false) => Mark { text: "✗ ", style: RED },
    }
}

struct Lines<'a, 'b> {
    console: &'a mut Console<'b>,
    width: Option<usize>,
}

impl Lines<'_, '_> {
    /// One line of the tree: branch, sign, bold name, facts.
    fn row(&mut self, branch: &str, mark: &Mark, name: &str, facts: &str) -> io::Result<()> {
        let taken = branch.width() + mark.text.width();
        let left = self.width.map(|width| width.saturating_sub(taken));
        let name = layout::cut(name, left);
        let gap = if name.is_empty() || facts.is_empty() { "" } else { "  " };
        let left = left.map(|left| left.saturating_sub(name.width() + gap.len()));
        let facts = match left {
            // Nothing sensible fits.
            Some(0..4) => String::new(),
            _ => layout::cut(facts, left),
        };
        let style = mark.style;
        let line = format!("{branch}{style}{}{style:#}{BOLD}{name}{BOLD:#}{gap}{facts}", mark.text);
        writeln!(self.console, "{}", line.trim_end())
    }

    fn paragraph(&mut self, first: &str, rest: &str, text: &str) -> io::Result<()> {
        layout::paragraph(self.console, self.width, first, rest, text)
    }

    fn service(&mut self, service: &Service, is_last: bool, now: Timestamp) -> io::Result<()> {
        let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let state = service.component.as_ref().map(|component| component.state.as_str());
        let is_ready = state == Some("ready");
        let mut facts = format!("{}/{} ready", service.ready, service.wanted);
        if let Some(role) = &service.component_type {
            facts.push_str(&format!(", {role}"));
        }
        self.row(branch, &mark(is_ready, service.component.is_some()), &service.name, &facts)?;
        let Some(component) = &service.component else {
            return self.row(&format!("{below}└─ "), &Mark::NONE, "", "not made yet");
        };
        let inner = format!("{below}   ");
        let unmet = component.conditions.iter().find(|one| one.status == "False");
        let facts = unmet.map_or_else(|| component.state.clone(), |one| said(one, 0));
        let name = format!("DynamoComponentDeployment {}", component.name);
        self.row(&format!("{below}└─ "), &Mark::NONE, &name, &facts)?;
        let Some(deployment) = &service.deployment else {
            return Ok(());
        };
        let facts = format!(
            "{}/{} available, {} updated",
            deployment.available, deployment.wanted, deployment.updated
        );
        self.row(&format!("{inner}└─ "), &Mark::NONE, &format!("Deployment {}", deployment.name), &facts)?;
        let inner = format!("{inner}   ");
        for (at, pod) in service.pods.iter().enumerate() {
            let branch = if at + 1 == service.pods.len() { "└─ " } else { "├─ " };
            self.pod(&format!("{inner}{branch}"), pod, now)?;
        }
        Ok(())
    }

    fn pod(&mut self, branch: &str, pod: &PodView, now: Timestamp) -> io::Result<()> {
        let mut facts = vec![pod.phase.clone()];
        facts.extend(pod.created.map(|created| layout::age(created, now)));
        if pod.restarts > 0 {
            facts.push(format!("{} restarts", pod.restarts));
        }
        facts.extend(pod.node.as_ref().map(|node| format!("on {node}")));
        let mut facts = facts.join(", ");
        if let Some(trouble) = &pod.trouble {
            facts.push_str(&format!("; {trouble}"));
        }
        let sign = mark(pod.ready, pod.trouble.is_none());
        self.row(branch, &sign, &format!("Pod {}", pod.name), &facts)
    }

    fn events(&mut self, report: &Report, now: Timestamp) -> io::Result<()> {
        if report.events.is_empty() {
            return Ok(());
        }
        writeln!(self.console, "\n{BOLD}Recent events{BOLD:#}")?;
        for event in &report.events {
            let age = event.last_seen.map(|seen| layout::age(seen, now)).unwrap_or_default();
            let times = if event.count > 1 { format!(" (x{})", event.count) } else { String::new() };
            let text = format!("{age:>4}  {} {}{times}  {}: ", event.r#type, event.reason, event.object)
                + &event.message;
            // A leading space would be lost.
            let line = layout::cut(text.trim_start(), self.width.map(|width| width.saturating_sub(2)));
            writeln!(self.console, "  {line}")?;
        }
        Ok(())
    }

    fn causes(&mut self, report: &Report) -> io::Result<()> {
        let Some(first) = &report.first_cause else {
            return match report.graph.ready {
                true => writeln!(self.console, "\n{GREEN}The graph is ready.{GREEN:#}"),
                false => writeln!(self.console, "\nThe graph is not ready; nothing says why."),
            };
        };
        writeln!(self.console, "\n{RED}First cause: {}{RED:#}", first.title)?;
        self.paragraph("  ", "  ", &place(first))?;
        self.paragraph("  ", "    ", &first.message)?;
        writeln!(self.console, "{BOLD}Next{BOLD:#}")?;
        for step in &first.next {
            self.paragraph("  - ", "    ", step)?;
        }
        if !report.other_causes.is_empty() {
            writeln!(self.console, "{BOLD}Also{BOLD:#}")?;
        }
        for other in report.other_causes.iter().take(OTHERS) {
            self.paragraph("  - ", "    ", &format!("{}: {}", place(other), other.title))?;
        }
        match report.other_causes.len().saturating_sub(OTHERS) {
            0 => Ok(()),
            more => writeln!(self.console, "  and {more} more"),
        }
    }
}

/// Where a cause was found.
fn place(reason: &Reason) -> String {
    let mut text = reason.service.as_ref().map(|name| format!("service {name}, ")).unwrap_or_default();
    text.push_str(&reason.object);
    if let Some(container) = &reason.container {
        text.push_str(&format!(", {container}"));
    }
    match reason.other_pods {
        0 => {}
        1 => text.push_str(" (and 1 more pod)"),
        more => text.push_str(&format!(" (and {more} more pods)")),
    }
    text
}
