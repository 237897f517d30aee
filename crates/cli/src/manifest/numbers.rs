//! Numbers of YAML 1.1, as kubectl reads them: `0644` is octal, `1_000` is a thousand. The parser follows YAML 1.2, to
//! which both are text.

use serde_json::Value;

use super::Marked;

/// Puts numbers in the place of texts that are one to kubectl: those without quotes.
pub(super) fn resolve(value: &mut Value, marks: &Marked) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(marks) = marks.get(name) {
                    resolve(value, marks);
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                if let Some(marks) = marks.item(at) {
                    resolve(item, marks);
                }
            }
        }
        Value::String(text) => {
            if marks.plain() == Some(text)
                && let Some(number) = number(text)
            {
                *value = number;
            }
        }
        _ => {}
    }
}

fn number(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = unsigned.replace('_', "");
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] if digits.bytes().all(|digit| matches!(digit, b'0'..=b'7')) => (8, &digits[1..]),
        _ if digits.bytes().all(|digit| digit.is_ascii_digit()) => (10, &digits[..]),
        _ => return None,
    };
    let magnitude = i64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))?;
    Some(if text.starts_with('-') { -magnitude } else { magnitude }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_yaml_1_1_are_read_as_kubectl_does() {
        for (text, expected) in [
            ("0644", 420),
            ("007", 7),
            ("1_000", 1000),
            ("-0o17", -15),
            ("0b101", 5),
            ("0x1_f", 31),
            ("089", 89),
        ] {
            assert_eq!(number(text), Some(expected.into()), "{text}");
        }
        for text in ["1.2.3", "10m", "64Gi", "_1", "0x", "0b2", "", "-", "1:30", "2026-11-29", "0x-1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
