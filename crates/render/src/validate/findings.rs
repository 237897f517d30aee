//! What the rules found in one object, collected in the order in which they look.
//! The level of a rule comes from its table, so that no rule is an error here and a warning there.

use super::{FieldError, FieldErrors, Level, Rule};

/// Something the user should hear about an object that is accepted all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub rule: Rule,
    pub text: String,
}

/// The outcome for one object. Errors refuse it; warnings are told in either case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    pub errors: FieldErrors,
    pub warnings: Vec<Warning>,
}

impl Verdict {
    /// The message of a refusal, one line for each broken rule; `None` when the object is accepted. The first words
    /// are those by which every refusal can be recognised (`operator-process.md` section 7).
    #[must_use]
    pub fn denial(&self) -> Option<String> {
        let texts: Vec<&str> = self.errors.0.iter().map(|error| error.text.as_str()).collect();
        (!texts.is_empty()).then(|| format!("validation failed: {}", texts.join("\n")))
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
        let text = format!("{field}: {value:?}: {words}");
        self.add(FieldError { rule, field, value: Some(value.to_owned()), text });
    }

    /// A message in the words of the contract, which do not follow the field.
    pub(super) fn say(&mut self, rule: Rule, field: impl Into<String>, value: Option<String>, text: String) {
        self.add(FieldError { rule, field: field.into(), value, text });
    }

    /// A warning beside an error of the same rule, or one of a rule that is an error only sometimes.
    pub(super) fn warn(&mut self, rule: Rule, text: String) {
        self.warnings.push(Warning { rule, text: on_one_line(text) });
    }

    fn add(&mut self, mut error: FieldError) {
        error.field = on_one_line(error.field);
        error.text = on_one_line(error.text);
        match error.rule.spec().level {
            Level::Error => self.errors.0.push(error),
            Level::Warning => self.warn(error.rule, error.text),
        }
    }

    /// The value when no rule is broken.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, FieldErrors> {
        if self.errors.0.is_empty() { Ok(value) } else { Err(self.errors) }
    }
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
