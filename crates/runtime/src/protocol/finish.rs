//! Why a generation ended, in its mixed JSON form: a word, or an object for errors (runtime.md 4.5).
//! It must not refuse words it does not know.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a generation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    Eos,
    Length,
    Stop,
    Cancelled,
    ContentFilter,
    Error(String),
}

#[derive(Serialize, Deserialize)]
struct ErrorForm {
    error: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Word(String),
    Error(ErrorForm),
}

impl Serialize for FinishReason {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let word = match self {
            Self::Eos => "eos",
            Self::Length => "length",
            Self::Stop => "stop",
            Self::Cancelled => "cancelled",
            Self::ContentFilter => "content_filter",
            Self::Error(error) => return ErrorForm { error: error.clone() }.serialize(output),
        };
        output.serialize_str(word)
    }
}

impl<'de> Deserialize<'de> for FinishReason {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(match Form::deserialize(input)? {
            Form::Error(form) => Self::Error(form.error),
            Form::Word(word) => match word.as_str() {
                "eos" => Self::Eos,
                "length" => Self::Length,
                "stop" => Self::Stop,
                "cancelled" | "abort" => Self::Cancelled,
                "content_filter" => Self::ContentFilter,
                other => Self::Error(other.strip_prefix("error: ").unwrap_or(other).to_owned()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_the_spelling_of_the_contract() {
        let cases = [
            (FinishReason::Eos, r#""eos""#),
            (FinishReason::Length, r#""length""#),
            (FinishReason::Stop, r#""stop""#),
            (FinishReason::Cancelled, r#""cancelled""#),
            (FinishReason::ContentFilter, r#""content_filter""#),
            (FinishReason::Error("x".to_owned()), r#"{"error":"x"}"#),
        ];
        for (reason, text) in cases {
            assert_eq!(serde_json::to_string(&reason).unwrap(), text);
            assert_eq!(serde_json::from_str::<FinishReason>(text).unwrap(), reason);
        }
    }

    #[test]
    fn an_unknown_word_is_reported_instead_of_refused() {
        let reason: FinishReason = serde_json::from_str(r#""exploded""#).unwrap();
        assert_eq!(reason, FinishReason::Error("exploded".to_owned()));
    }
}
