//! What a model can do and what it takes, in the text forms of the card (runtime.md 6).
//! It must not refuse words it does not know.

use std::fmt;
use std::ops::BitOr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Set of the interfaces a model offers; text form: names joined with ` | `.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelType(u8);

impl ModelType {
    pub const CHAT: Self = Self(1);
    pub const COMPLETIONS: Self = Self(2);
    pub const EMBEDDING: Self = Self(4);
    pub const TENSOR_BASED: Self = Self(8);
    pub const PREFILL: Self = Self(16);
    pub const IMAGES: Self = Self(32);

    const NAMES: [(Self, &'static str); 6] = [
        (Self::CHAT, "Chat"),
        (Self::COMPLETIONS, "Completions"),
        (Self::EMBEDDING, "Embedding"),
        (Self::TENSOR_BASED, "TensorBased"),
        (Self::PREFILL, "Prefill"),
        (Self::IMAGES, "Images"),
    ];

    /// Whether every flag of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Chat, completions or prefill over tokens, the types that generate text.
    pub fn supports_chat(self) -> bool {
        self.contains(Self::CHAT)
    }

    pub fn supports_completions(self) -> bool {
        self.contains(Self::COMPLETIONS)
    }

    pub fn supports_prefill(self) -> bool {
        self.contains(Self::PREFILL)
    }

    /// Reads the text form; unknown names are skipped.
    pub fn parse(text: &str) -> Self {
        text.split('|').map(str::trim).fold(Self::default(), |flags, word| {
            let known = Self::NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(word));
            known.map_or(flags, |(flag, _)| flags | *flag)
        })
    }
}

impl BitOr for ModelType {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for ModelType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| *name).collect();
        out.write_str(&names.join(" | "))
    }
}

impl fmt::Debug for ModelType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ModelType({self})")
    }
}

impl Serialize for ModelType {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TypeForm {
    Text(String),
    Bits(u8),
}

impl<'de> Deserialize<'de> for ModelType {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(match TypeForm::deserialize(input)? {
            TypeForm::Text(text) => Self::parse(&text),
            TypeForm::Bits(bits) => Self(bits),
        })
    }
}

/// What a worker takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ModelInput {
    Text,
    #[default]
    Tokens,
    Tensor,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_written_as_joined_names_and_read_back() {
        let flags = ModelType::CHAT | ModelType::COMPLETIONS;
        assert_eq!(serde_json::to_string(&flags).unwrap(), r#""Chat | Completions""#);
        assert_eq!(serde_json::from_str::<ModelType>(r#""Chat | Completions | Later""#).unwrap(), flags);
        assert_eq!(serde_json::from_str::<ModelType>("16").unwrap(), ModelType::PREFILL);
        assert!(ModelType::parse("").is_empty());
    }
}
