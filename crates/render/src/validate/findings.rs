//! What the rules found in one object, collected in the order in which they look.
//! The level of a rule comes from its table, so that no rule is an error here and a warning there.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{FieldError, FieldErrors, Level, Rule};

/// Findings that are kept with their text; of what comes after, only the number is known. A manifest of the size that
/// an API server takes could otherwise break rules until memory is full.
const ERRORS: usize = 100;
const WARNINGS: usize = 50;
/// Characters of a value, a path and a whole message.
const VALUE: usize = 200;
const FIELD: usize = 500;
const TEXT: usize = 1_000;

/// Something the user should hear about an object that is accepted all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub rule: Rule,
    /// Path of the field, as in [`FieldError`].
    pub field: String,
    pub text: String,
}

/// The outcome for one object. Errors refuse it; warnings are told in either case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    pub errors: FieldErrors,
    pub warnings: Vec<Warning>,
    /// How many warnings there are beside those in `warnings`, which has at most 50.
    pub more_warnings: usize,
    past: Past,
}

/// What a verdict knows of the object before a change: each error as a hash of its rule, its path and its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Past {
    #[default]
    Unknown,
    /// This is the verdict on the object before.
    Recorded(HashSet<u64>),
    /// An error of a rule of ours that is among these is a warning.
    Forgiven(HashSet<u64>),
}

impl Verdict {
    /// A verdict on the object before a change.
    pub(super) fn recording() -> Self {
        Self { past: Past::Recorded(HashSet::new()), ..Self::default() }
    }

    /// An empty verdict that forgives the errors that `self` has recorded.
    pub(super) fn forgiving(self) -> Self {
        let past = match self.past {
            Past::Recorded(known) => Past::Forgiven(known),
            other => other,
        };
        Self { past, ..Self::default() }
    }

    /// Forgives nothing more, and remembers nothing.
    pub(super) fn forget(&mut self) {
        self.past = Past::Unknown;
    }

    /// The message of a refusal, one line for each broken rule, and one that counts those that are left out; `None`
    /// when the object is accepted. The first words are those by which every refusal can be recognised
    /// (`operator-process.md` section 7).
    #[must_use]
    pub fn denial(&self) -> Option<String> {
        let FieldErrors(errors, more) = &self.errors;
        let mut lines: Vec<&str> = errors.iter().map(|error| error.text.as_str()).collect();
        let more = (*more > 0).then(|| FieldErrors::say_more(*more));
        lines.extend(more.as_deref());
        (!lines.is_empty()).then(|| format!("validation failed: {}", lines.join("\n")))
    }

    /// A field that should be there or should be otherwise, without its value: `<field> <words>`.
    pub(super) fn missing(&mut self, rule: Rule, field: impl Into<String>, words: &str) {
        let field = field.into();
        let text = format!("{field} {words}");
        self.add(FieldError { rule, field, value: None, text });
    }

    /// A value that is not allowed: `<field>: "<value>": <words>`.
    pub(super) fn invalid(&mut self, rule: Rule, field: impl Into<String>, value: &str, words: &str) {
        let field = field.into();
        let text = format!("{field}: {:?}: {words}", cut(value.to_owned(), VALUE));
        self.add(FieldError { rule, field, value: Some(value.to_owned()), text });
    }

    /// A message in the words of the contract, which do not follow the field.
    pub(super) fn say(&mut self, rule: Rule, field: impl Into<String>, value: Option<String>, text: String) {
        self.add(FieldError { rule, field: field.into(), value, text });
    }

    /// A warning beside an error of the same rule, or one of a rule that is an error only sometimes.
    pub(super) fn warn(&mut self, rule: Rule, field: impl Into<String>, text: String) {
        if self.warnings.len() < WARNINGS {
            let field = cut(on_one_line(field.into()), FIELD);
            self.warnings.push(Warning { rule, field, text: cut(on_one_line(text), TEXT) });
        } else {
            self.more_warnings += 1;
        }
    }

    /// Takes the errors of `other` as warnings.
    pub(super) fn warn_of_errors(&mut self, other: Self) {
        let FieldErrors(errors, more) = other.errors;
        for error in errors {
            self.warn(error.rule, error.field, error.text);
        }
        self.more_warnings += more;
    }

    fn add(&mut self, error: FieldError) {
        if error.rule.spec().level == Level::Warning || self.is_forgiven(&error) {
            self.warn(error.rule, error.field, error.text);
            return;
        }
        let FieldErrors(errors, more) = &mut self.errors;
        if errors.len() == ERRORS {
            *more += 1;
            return;
        }
        errors.push(FieldError {
            rule: error.rule,
            field: cut(on_one_line(error.field), FIELD),
            value: error.value.map(|value| cut(value, VALUE)),
            text: cut(on_one_line(error.text), TEXT),
        });
    }

    fn is_forgiven(&mut self, error: &FieldError) -> bool {
        let hash = |error: &FieldError| {
            let mut hasher = DefaultHasher::new();
            (error.rule.spec().id, &error.field, &error.value).hash(&mut hasher);
            hasher.finish()
        };
        match &mut self.past {
            Past::Unknown => false,
            Past::Recorded(known) => {
                known.insert(hash(error));
                false
            }
            Past::Forgiven(known) => error.rule.spec().is_ours() && known.contains(&hash(error)),
        }
    }

    /// The value when no rule is broken.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, FieldErrors> {
        if self.errors.0.is_empty() { Ok(value) } else { Err(self.errors) }
    }
}

/// The beginning of a text in at most `limit` characters, with a mark where it was cut.
pub(super) fn cut(mut text: String, limit: usize) -> String {
    const MARK: &str = "...";
    if text.len() > limit && text.chars().nth(limit).is_some() {
        let end = text.char_indices().nth(limit.saturating_sub(MARK.len())).map_or(0, |(at, _)| at);
        text.truncate(end);
        text.push_str(MARK);
    }
    text
}

/// Keys of a manifest are part of paths, and may hold anything: a line break in one must not look like a message of its
/// own, nor reach the header of a warning.
fn on_one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars()
        .flat_map(|c| {
            let (escaped, kept) =
                if c.is_control() { (Some(c.escape_default()), None) } else { (None, Some(c)) };
            escaped.into_iter().flatten().chain(kept)
        })
        .collect()
}
