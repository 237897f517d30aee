//! The Grafana dashboards of `deploy/observability/grafana` and what they ask their data sources.
//! Must not judge them: the tests of the charts and those on a real cluster do.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The window that takes the place of Grafana's own.
const WINDOW: &str = "5m";

/// Folder of the dashboards.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/observability/grafana")
}

/// One dashboard: its file below [`folder`] and its content.
#[derive(Debug, Clone)]
pub struct Dashboard {
    pub file: String,
    pub json: Value,
}

/// One query of a panel as a server can answer it: variables of the dashboard match everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub dashboard: String,
    pub panel: String,
    /// `prometheus` or `loki`.
    pub source: String,
    pub expression: String,
}

/// Every dashboard, sorted by file.
///
/// # Errors
/// A file that cannot be read or is no JSON; the message names it.
pub fn all() -> io::Result<Vec<Dashboard>> {
    let mut dashboards = Vec::new();
    for part in ["dashboards", "kubernetes"] {
        for entry in std::fs::read_dir(folder().join(part))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let json = serde_json::from_slice(&std::fs::read(&path)?)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
            dashboards.push(Dashboard { file: format!("{part}/{name}"), json });
        }
    }
    dashboards.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(dashboards)
}

impl Dashboard {
    /// Its panels without the headings of rows.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().into_iter().flatten().filter(|panel| panel["type"] != "row")
    }

    /// What its panels ask, in their order.
    #[must_use]
    pub fn queries(&self) -> Vec<Query> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of_panel = |panel: &Value| {
            let (title, source) = (text(&panel["title"]), text(&panel["datasource"]["type"]));
            let targets = panel["targets"].as_array().cloned().unwrap_or_default();
            targets.into_iter().map(move |target| Query {
                dashboard: self.file.clone(),
                panel: title.clone(),
                source: source.clone(),
                expression: without_variables(&text(&target["expr"])),
            })
        };
        self.panels().flat_map(of_panel).collect()
    }
}

/// Every query of every dashboard.
///
/// # Errors
/// Those of [`all`].
pub fn queries() -> io::Result<Vec<Query>> {
    Ok(all()?.iter().flat_map(Dashboard::queries).collect())
}

/// Names of the variables in `text`, Grafana's own (`__rate_interval`) too. `$1` is a group of `label_replace`.
#[must_use]
pub fn variables(text: &str) -> Vec<String> {
    parts(text)
        .filter_map(|part| if let Part::Variable(name) = part { Some(name.to_owned()) } else { None })
        .collect()
}

fn without_variables(text: &str) -> String {
    let replaced = |part| match part {
        Part::Text(text) => text,
        Part::Variable(name) if name.starts_with("__") => WINDOW,
        Part::Variable(_) => ".*",
    };
    parts(text).map(replaced).collect()
}

enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(after) = rest.strip_prefix('$')
            && after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '{')
        {
            let braced = after.strip_prefix('{');
            let name = braced.unwrap_or(after);
            let (name, after) = name.split_at(name.find(|c| !is_name(c)).unwrap_or(name.len()));
            rest = if braced.is_some() { after.strip_prefix('}').unwrap_or(after) } else { after };
            return Some(Part::Variable(name));
        }
        let end = rest.char_indices().skip(1).find(|(_, c)| *c == '$').map_or(rest.len(), |(at, _)| at);
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Part::Text(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_match_everything_and_groups_of_a_replacement_stay() {
        let text =
            r#"label_replace(rate(m{a=~"$one", b=~"${two}"}[$__rate_interval]), "a", "$1", "b", "(.+)")"#;
        assert_eq!(variables(text), ["one", "two", "__rate_interval"]);
        assert_eq!(
            without_variables(text),
            r#"label_replace(rate(m{a=~".*", b=~".*"}[5m]), "a", "$1", "b", "(.+)")"#
        );
    }

    #[test]
    fn every_panel_of_every_dashboard_asks_something() {
        for dashboard in all().expect("dashboards") {
            assert!(dashboard.panels().count() > 0, "{}", dashboard.file);
            let queries = dashboard.queries();
            for panel in dashboard.panels() {
                let title = panel["title"].as_str().unwrap_or_default();
                let asked = queries.iter().any(|query| query.panel == title && !query.expression.is_empty());
                assert!(asked, "{}: {title:?} asks nothing", dashboard.file);
            }
        }
    }
}
