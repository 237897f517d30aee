//! The syntax of Go's flag package: one or two dashes, `--x=v` or `--x v`, bare booleans, the last repeat wins,
//! parsing stops at the first word that is no flag. It knows kinds of values, not their meaning.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;

use super::{
    duration,
    table::{Flag, Group},
};

/// Kind of a flag's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Boolean,
    Duration,
    /// A whole number that is not negative.
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text that may be given several times; every one counts.
    List,
}

impl Kind {
    /// The word for the value in a usage text.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Text | Self::Word(_) => "string",
            Self::Boolean => "bool",
            Self::Duration => "duration",
            Self::Number => "int",
            Self::List => "string, repeatable",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Boolean(bool),
    Duration(SignedDuration),
    Number(u32),
    List(Vec<String>),
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
    Value { name: String, value: String, rule: String },
}

/// The value of every flag of a table: as given, else its default.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) table: &'static [Group],
    values: BTreeMap<&'static str, Value>,
}

impl Parsed {
    fn get(&self, name: &str) -> Option<&Value> {
        let value = self.values.get(name);
        debug_assert!(value.is_some(), "{name} is not in the table of flags");
        value
    }

    /// The text, which may be empty.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The text, if it is not empty.
    pub(super) fn filled(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    }

    pub(super) fn boolean(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Boolean(true)))
    }

    pub(super) fn signed(&self, name: &str) -> SignedDuration {
        match self.get(name) {
            Some(Value::Duration(duration)) => *duration,
            _ => SignedDuration::ZERO,
        }
    }

    /// The duration, if it is above zero.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        Duration::try_from(self.signed(name)).ok().filter(|duration| !duration.is_zero())
    }

    pub(super) fn number(&self, name: &str) -> u32 {
        match self.get(name) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    pub(super) fn list(&self, name: &str) -> &[String] {
        match self.get(name) {
            Some(Value::List(values)) => values,
            _ => &[],
        }
    }
}

/// Parses `words` against a table of flags.
pub(super) fn parse(
    table: &'static [Group],
    words: impl IntoIterator<Item = String>,
) -> Result<Parsed, Error> {
    let mut parsed = Parsed { table, values: BTreeMap::new() };
    for flag in table.iter().flat_map(|group| group.flags) {
        let value = match flag.kind {
            Kind::List => Value::List(Vec::new()),
            _ => convert(flag, flag.default.to_owned())?,
        };
        parsed.values.insert(flag.name, value);
    }
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
        let Some(flag) = table.iter().flat_map(|group| group.flags).find(|flag| flag.name == name) else {
            return Err(match name {
                "h" | "help" => Error::Help,
                _ => Error::Unknown(name.to_owned()),
            });
        };
        let value = match (flag.kind, value) {
            (_, Some(value)) => value,
            (Kind::Boolean, None) => "true".to_owned(),
            (_, None) => words.next().ok_or_else(|| Error::NoValue(name.to_owned()))?,
        };
        let value = convert(flag, value)?;
        match (parsed.values.get_mut(flag.name), value) {
            (Some(Value::List(all)), Value::List(more)) => all.extend(more),
            (_, value) => drop(parsed.values.insert(flag.name, value)),
        }
    }
    Ok(parsed)
}

/// Reads a bool as Go does; `None` when it is none.
#[must_use]
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn convert(flag: &Flag, text: String) -> Result<Value, Error> {
    let converted = match flag.kind {
        Kind::Text => Ok(Value::Text(text.clone())),
        Kind::List => Ok(Value::List(vec![text.clone()])),
        Kind::Boolean => go_bool(&text).map(Value::Boolean).ok_or_else(|| "must be true or false".to_owned()),
        Kind::Duration => match duration::parse(&text) {
            Some(duration) => Ok(Value::Duration(duration)),
            None => Err("must be a duration such as 30s, 15m or 1h30m".to_owned()),
        },
        Kind::Number => match text.parse() {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) => Err("must be a whole number of 0 or more".to_owned()),
        },
        // The empty default of a word means that other flags decide.
        Kind::Word(words) if words.contains(&text.as_str()) || text == flag.default => {
            Ok(Value::Text(text.clone()))
        }
        Kind::Word(words) => Err(format!("must be one of {}", words.join(", "))),
    };
    converted.map_err(|rule| Error::Value { name: flag.name.to_owned(), value: text, rule })
}

#[cfg(test)]
mod tests {
    use super::{
        super::table::{ETCD_AUTH, GROUPS},
        *,
    };

    fn run(line: &str) -> Result<Parsed, Error> {
        parse(GROUPS, line.split_whitespace().map(ToOwned::to_owned))
    }

    #[test]
    fn every_default_in_the_tables_parses() {
        run("").unwrap();
        parse(ETCD_AUTH, []).unwrap();
    }

    #[test]
    fn one_and_two_dashes_and_both_forms_of_a_value_are_equal() {
        for line in ["-natsAddr=a", "--natsAddr=a", "-natsAddr a", "--natsAddr a"] {
            assert_eq!(run(line).unwrap().text("natsAddr"), "a", "{line}");
        }
        assert_eq!(run("--natsAddr=a=b").unwrap().text("natsAddr"), "a=b");
        assert_eq!(run("--natsAddr -x").unwrap().text("natsAddr"), "-x");
    }

    #[test]
    fn the_last_repeat_wins_and_names_are_case_sensitive() {
        assert_eq!(run("--natsAddr=a --natsAddr=b").unwrap().text("natsAddr"), "b");
        assert!(!run("--leader-elect --leader-elect=false").unwrap().boolean("leader-elect"));
        assert_eq!(run("--natsaddr=a").unwrap_err(), Error::Unknown("natsaddr".into()));
    }

    #[test]
    fn every_repeat_of_a_list_counts() {
        let parsed = run("--trusted-service-account a/b --trusted-service-account=c/d").unwrap();
        assert_eq!(parsed.list("trusted-service-account"), ["a/b", "c/d"]);
        assert!(run("").unwrap().list("trusted-service-account").is_empty());
    }

    #[test]
    fn a_boolean_takes_a_value_only_with_an_equals_sign() {
        for yes in ["", "=1", "=t", "=T", "=true", "=TRUE", "=True"] {
            assert!(run(&format!("--leader-elect{yes}")).unwrap().boolean("leader-elect"), "{yes}");
        }
        for no in ["=0", "=f", "=F", "=false", "=FALSE", "=False"] {
            assert!(!run(&format!("--zap-devel{no}")).unwrap().boolean("zap-devel"), "{no}");
        }
        for bad in ["=yes", "=", "=tRUE"] {
            assert!(matches!(run(&format!("--leader-elect{bad}")), Err(Error::Value { .. })), "{bad}");
        }
        let parsed = run("--leader-elect false --natsAddr=a").unwrap();
        assert_eq!((parsed.boolean("leader-elect"), parsed.text("natsAddr")), (true, ""));
    }

    #[test]
    fn parsing_stops_at_the_first_word_that_is_no_flag_and_ignores_the_rest() {
        for stop in ["word", "-", "--"] {
            let parsed = run(&format!("--natsAddr=a {stop} --natsAddr=b --no-such-flag")).unwrap();
            assert_eq!(parsed.text("natsAddr"), "a", "{stop}");
        }
    }

    #[test]
    fn what_cannot_be_parsed_says_why() {
        assert_eq!(run("--natsAddr").unwrap_err(), Error::NoValue("natsAddr".into()));
        for (line, rule) in [
            ("--grove-termination-delay=5", "duration"),
            ("--reconcile-concurrency=-1", "whole number"),
            ("--zap-encoder=xml", "json, console"),
        ] {
            assert!(matches!(run(line), Err(Error::Value { rule: r, .. }) if r.contains(rule)), "{line}");
        }
        assert_eq!(run("---x").unwrap_err(), Error::Syntax("---x".into()));
        assert_eq!(run("-=x").unwrap_err(), Error::Syntax("-=x".into()));
        for help in ["-h", "--help", "-help", "--h"] {
            assert_eq!(run(help).unwrap_err(), Error::Help);
        }
    }

    #[test]
    fn a_negative_duration_parses_and_counts_as_none() {
        let parsed = run("--grove-termination-delay=-5m").unwrap();
        assert_eq!(parsed.duration("grove-termination-delay"), None);
        assert_eq!(parsed.signed("grove-termination-delay"), SignedDuration::from_mins(-5));
    }
}
