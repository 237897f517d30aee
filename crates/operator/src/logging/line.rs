//! One line of the log, as zap writes it: JSON, or text separated by tabs with the fields as JSON at its end.
//! Pure: time, level and fields come in, bytes go out.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::Value;
use tracing::{
    Level,
    field::{Field, Visit},
};

use crate::flags::{LogFlags, TimeEncoding};

/// Names and values in the order in which they came; a name comes once.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    message: String,
    /// Where a record of the `log` crate came from.
    origin: Option<String>,
    values: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Takes over the fields of an enclosing span, not its message.
    pub(super) fn extend(&mut self, outer: &Self) {
        for (name, value) in &outer.values {
            self.set(name, value.clone());
        }
    }

    fn set(&mut self, name: &'static str, value: Value) {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.values.push((name, value)),
        }
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("log.target", Value::String(text)) => self.origin = Some(text),
            (bridge, _) if bridge.starts_with("log.") => {}
            (name, value) => self.set(name, value),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, dynamo_kubekit::client::chain(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}

#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) level: Level,
    pub(super) time: Timestamp,
    pub(super) target: &'a str,
    pub(super) fields: Fields,
}

impl Line<'_> {
    /// The line with its end.
    pub(super) fn text(&self, flags: &LogFlags) -> String {
        let logger = logger(self.fields.origin.as_deref().unwrap_or(self.target));
        let time = self.time(flags.time);
        if flags.json { self.json(&logger, &time) } else { self.console(&logger, &time) }
    }

    fn json(&self, logger: &str, time: &Value) -> String {
        let mut text = format!(
            "{{\"level\":\"{}\",\"ts\":{time},\"logger\":{},\"msg\":{}",
            self.level_word(),
            Value::from(logger),
            Value::from(self.fields.message.as_str())
        );
        for (name, value) in &self.fields.values {
            // Writing to a String cannot fail.
            let _ = write!(text, ",{}:{value}", Value::from(*name));
        }
        text.push_str("}\n");
        text
    }

    fn console(&self, logger: &str, time: &Value) -> String {
        let time = time.as_str().map_or_else(|| time.to_string(), ToOwned::to_owned);
        // A message that holds line breaks must not pass for several lines.
        let message = one_line(&self.fields.message);
        let mut text = format!("{time}\t{}\t{logger}\t{message}", self.level_word().to_uppercase());
        for (index, (name, value)) in self.fields.values.iter().enumerate() {
            let _ = write!(text, "{}{}: {value}", if index == 0 { "\t{" } else { ", " }, Value::from(*name));
        }
        if !self.fields.values.is_empty() {
            text.push('}');
        }
        text.push('\n');
        text
    }

    /// zap has nothing below debug.
    fn level_word(&self) -> &'static str {
        match self.level {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => "debug",
        }
    }

    /// Always in UTC.
    fn time(&self, encoding: TimeEncoding) -> Value {
        let nanoseconds = self.time.as_nanosecond();
        match encoding {
            TimeEncoding::Epoch => (nanoseconds as f64 / 1e9).into(),
            TimeEncoding::Millis => (nanoseconds as f64 / 1e6).into(),
            TimeEncoding::Nano => i64::try_from(nanoseconds).unwrap_or(i64::MAX).into(),
            TimeEncoding::Iso8601 => self.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into(),
            TimeEncoding::Rfc3339 => self.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
            TimeEncoding::Rfc3339Nano => self.time.to_string().into(),
        }
    }
}

/// Control characters as escapes, everything else as it is.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// A short dotted name of where a line comes from.
fn logger(target: &str) -> String {
    let own = target.strip_prefix("dynamo_operator::").or_else(|| target.strip_prefix("dynamo_"));
    own.unwrap_or(target).replace("::", ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str, values: Vec<(&'static str, Value)>) -> Line<'static> {
        Line {
            level: Level::INFO,
            time: "2026-01-02T03:04:05.600000789Z".parse().unwrap(),
            target: "dynamo_operator::graph::apply",
            fields: Fields { message: message.to_owned(), origin: None, values },
        }
    }

    fn flags(json: bool, time: TimeEncoding) -> LogFlags {
        LogFlags { json, level: Level::DEBUG, time }
    }

    #[test]
    fn a_json_line_has_level_time_logger_message_and_fields_in_this_order() {
        let line = line("say \"hi\"", vec![("kind", "Role".into()), ("count", 2.into())]);
        assert_eq!(
            line.text(&flags(true, TimeEncoding::Rfc3339)),
            "{\"level\":\"info\",\"ts\":\"2026-01-02T03:04:05Z\",\"logger\":\"graph.apply\",\"msg\":\"say \\\"hi\\\"\",\
             \"kind\":\"Role\",\"count\":2}\n"
        );
    }

    #[test]
    fn a_console_line_is_separated_by_tabs_and_ends_with_the_fields() {
        let with = line("say \"hi\"\nthere", vec![("kind", "Role".into()), ("count", 2.into())]);
        assert_eq!(
            with.text(&flags(false, TimeEncoding::Rfc3339)),
            "2026-01-02T03:04:05Z\tINFO\tgraph.apply\tsay \"hi\"\\nthere\t{\"kind\": \"Role\", \"count\": 2}\n"
        );
        assert_eq!(
            line("quiet", Vec::new()).text(&flags(false, TimeEncoding::Rfc3339)),
            "2026-01-02T03:04:05Z\tINFO\tgraph.apply\tquiet\n"
        );
    }

    #[test]
    fn every_encoding_of_time_is_that_of_zap() {
        for (encoding, want) in [
            (TimeEncoding::Epoch, "1767323045.6000009"),
            (TimeEncoding::Millis, "1767323045600.0007"),
            (TimeEncoding::Nano, "1767323045600000789"),
            (TimeEncoding::Iso8601, "\"2026-01-02T03:04:05.600Z\""),
            (TimeEncoding::Rfc3339, "\"2026-01-02T03:04:05Z\""),
            (TimeEncoding::Rfc3339Nano, "\"2026-01-02T03:04:05.600000789Z\""),
        ] {
            let json = line("x", Vec::new()).text(&flags(true, encoding));
            assert!(json.contains(&format!("\"ts\":{want},")), "{encoding:?}: {json}");
            let console = line("x", Vec::new()).text(&flags(false, encoding));
            assert!(console.starts_with(&format!("{}\t", want.trim_matches('"'))), "{encoding:?}: {console}");
        }
    }

    #[test]
    fn levels_are_the_words_of_zap() {
        for (level, json, console) in [
            (Level::TRACE, "debug", "DEBUG"),
            (Level::DEBUG, "debug", "DEBUG"),
            (Level::WARN, "warn", "WARN"),
            (Level::ERROR, "error", "ERROR"),
        ] {
            let line = Line { level, ..line("x", Vec::new()) };
            assert!(
                line.text(&flags(true, TimeEncoding::Nano)).starts_with(&format!("{{\"level\":\"{json}\""))
            );
            assert!(line.text(&flags(false, TimeEncoding::Nano)).contains(&format!("\t{console}\t")));
        }
    }

    #[test]
    fn a_logger_is_named_by_its_module() {
        for (target, name) in [
            ("dynamo_operator::process", "process"),
            ("dynamo_kubekit::apply", "kubekit.apply"),
            ("dynamo_operator", "operator"),
            ("kube_runtime::watcher", "kube_runtime.watcher"),
        ] {
            assert_eq!(logger(target), name);
        }
    }
}
