//! The syntax of Go's flag package: one or two dashes, `--x=v` or `--x v`, bare booleans, the last repeat wins,
//! parsing stops at the first word that is no flag. It knows kinds of values, not their meaning.

use std::{collections::BTreeMap, time::Duration};

use super::duration;

/// Kind of a flag's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Boolean,
    Duration,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Boolean => "",
            Self::Duration => "duration",
        }
    }
}

/// One flag that exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

impl Spec {
    pub(super) const fn text(name: &'static str) -> Self {
        Self { name, kind: Kind::Text }
    }

    pub(super) const fn boolean(name: &'static str) -> Self {
        Self { name, kind: Kind::Boolean }
    }

    pub(super) const fn duration(name: &'static str) -> Self {
        Self { name, kind: Kind::Duration }
    }
}

/// A parsed value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Flag {
    Text(String),
    Boolean(bool),
    Duration(Duration),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Error {
    #[error("help requested")]
    Help,
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    #[error("invalid value {value:?} for flag -{name}: {rule}")]
    Value { name: String, value: String, rule: &'static str },
}

/// The flags that were given, by name.
#[derive(Debug, Default)]
pub(super) struct Parsed(BTreeMap<&'static str, Flag>);

impl Parsed {
    pub(super) fn get(&self, name: &str) -> Option<&Flag> {
        self.0.get(name)
    }

    /// A text that was given and is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Flag::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        match self.0.get(name) {
            Some(Flag::Boolean(value)) => Some(*value),
            _ => None,
        }
    }
}

pub(super) fn parse(
    tables: &[&'static [Spec]],
    words: impl IntoIterator<Item = String>,
) -> Result<Parsed, Error> {
    let mut parsed = Parsed::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(body) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { break };
        if body.is_empty() {
            break;
        }
        if body.starts_with(['-', '=']) {
            return Err(Error::Syntax(word));
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let Some(spec) = tables.iter().flat_map(|table| table.iter()).find(|spec| spec.name == name) else {
            return Err(if matches!(name, "h" | "help") {
                Error::Help
            } else {
                Error::Unknown(name.to_owned())
            });
        };
        let value = match (spec.kind, value) {
            (_, Some(value)) => value,
            (Kind::Boolean, None) => "true".to_owned(),
            (_, None) => words.next().ok_or_else(|| Error::NoValue(name.to_owned()))?,
        };
        parsed.0.insert(spec.name, convert(spec, value)?);
    }
    Ok(parsed)
}

fn convert(spec: &Spec, value: String) -> Result<Flag, Error> {
    let bad = |value: String, rule| Error::Value { name: spec.name.to_owned(), value, rule };
    match spec.kind {
        Kind::Text => Ok(Flag::Text(value)),
        Kind::Boolean => match value.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Flag::Boolean(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Flag::Boolean(false)),
            _ => Err(bad(value, "must be true or false")),
        },
        Kind::Duration => match duration::parse(&value) {
            Some(duration) => Ok(Flag::Duration(duration)),
            None => Err(bad(value, "must be a duration such as 30s, 15m or 1h30m")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Spec] = &[Spec::text("natsAddr"), Spec::boolean("leader-elect"), Spec::duration("delay")];

    fn run(line: &str) -> Result<Parsed, Error> {
        parse(&[TABLE], line.split_whitespace().map(ToOwned::to_owned))
    }

    #[test]
    fn one_and_two_dashes_and_both_forms_of_a_value_are_equal() {
        for line in ["-natsAddr=a", "--natsAddr=a", "-natsAddr a", "--natsAddr a"] {
            assert_eq!(run(line).unwrap().text("natsAddr"), Some("a"), "{line}");
        }
    }

    #[test]
    fn the_last_repeat_wins_and_names_are_case_sensitive() {
        assert_eq!(run("--natsAddr=a --natsAddr=b").unwrap().text("natsAddr"), Some("b"));
        assert_eq!(run("--natsaddr=a").unwrap_err(), Error::Unknown("natsaddr".into()));
    }

    #[test]
    fn a_boolean_takes_a_value_only_with_an_equals_sign() {
        assert_eq!(run("--leader-elect=F").unwrap().boolean("leader-elect"), Some(false));
        let parsed = run("--leader-elect false --natsAddr=a").unwrap();
        assert_eq!((parsed.boolean("leader-elect"), parsed.text("natsAddr")), (Some(true), None));
        assert!(matches!(run("--leader-elect=yes"), Err(Error::Value { .. })));
    }

    #[test]
    fn what_cannot_be_parsed_says_why() {
        assert_eq!(run("--natsAddr").unwrap_err(), Error::NoValue("natsAddr".into()));
        assert!(matches!(run("--delay=5"), Err(Error::Value { .. })));
        assert_eq!(run("---x").unwrap_err(), Error::Syntax("---x".into()));
        assert_eq!(run("-h").unwrap_err(), Error::Help);
    }
}
