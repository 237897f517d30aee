//! JSON as YAML in the style of the Go library behind `kubectl`: keys sorted, two spaces, list items not indented.
//! A ConfigMap keeps its bytes when our operator takes it over. Long lines are not folded, which that library does.

use serde_json::{Map, Number, Value};

/// One document with a newline at its end.
#[must_use]
pub fn to_text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => write_fields(fields, 0, &mut out),
        Value::Array(items) if !items.is_empty() => write_items(items, 0, &mut out),
        scalar => {
            write_scalar(scalar, 2, &mut out);
            out.push('\n');
        }
    }
    out
}

/// Lines of a map whose first one is already indented.
fn write_fields(fields: &Map<String, Value>, indent: usize, out: &mut String) {
    let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    for (at, (key, value)) in sorted.into_iter().enumerate() {
        if at > 0 {
            write_indent(indent, out);
        }
        // A key is one line.
        out.push_str(&in_one_line(key));
        out.push(':');
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                out.push('\n');
                write_indent(indent + 2, out);
                write_fields(fields, indent + 2, out);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                write_indent(indent, out);
                write_items(items, indent, out);
            }
            scalar => {
                out.push(' ');
                write_scalar(scalar, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

/// Lines of a list whose first one is already indented.
fn write_items(items: &[Value], indent: usize, out: &mut String) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            write_indent(indent, out);
        }
        out.push_str("- ");
        match item {
            Value::Object(fields) if !fields.is_empty() => write_fields(fields, indent + 2, out),
            Value::Array(items) if !items.is_empty() => write_items(items, indent + 2, out),
            scalar => {
                write_scalar(scalar, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn write_indent(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn write_scalar(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) if is_literal(text) => write_literal(text, indent, out),
        Value::String(text) => out.push_str(&in_one_line(text)),
        // The others are written by lines.
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// A whole number has no fraction, however it was spelled.
fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        _ => number.to_string(),
    }
}

fn in_one_line(text: &str) -> String {
    if !text.chars().all(is_printable) || reads_as_something_else(text) {
        in_double_quotes(text)
    } else if is_plain(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Printable by the measure of the Go library, in one line.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

/// Whether a text can stand without quotes.
fn is_plain(text: &str) -> bool {
    let inside = |bad: &str| text.contains(bad);
    let starts_as_something = match text.as_bytes() {
        [] => true,
        [b'-' | b'?' | b':'] | [b'-' | b'?' | b':', b' ', ..] => true,
        [first, ..] => b"#,[]{}&*!|>'\"%@`".contains(first),
    };
    let is_padded = text.trim_matches(' ') != text;
    let is_mark = text.starts_with("---") || text.starts_with("...");
    !starts_as_something && !is_padded && !is_mark && !inside(": ") && !inside(" #") && !text.ends_with(':')
}

/// Texts that a reader of YAML 1.1 or 1.2 takes for another type when they have no quotes.
fn reads_as_something_else(text: &str) -> bool {
    const WORDS: [&str; 12] = ["", "~", "null", "true", "false", "y", "n", "yes", "no", "on", "off", "<<"];
    const NUMBERS: [&str; 2] = [".nan", ".inf"];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
        || NUMBERS.iter().any(|word| word.eq_ignore_ascii_case(unsigned))
        || is_number(unsigned)
        || is_time(unsigned)
}

fn is_number(unsigned: &str) -> bool {
    let digits = unsigned.replace('_', "");
    let with_radix = |prefix: &str, radix: u32| {
        let rest = digits.strip_prefix(prefix);
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    let starts_as_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let radix = with_radix("0x", 16) || with_radix("0o", 8) || with_radix("0b", 2);
    starts_as_number && (radix || digits.parse::<f64>().is_ok())
}

/// Dates, times and numbers to the base of 60. More than the Go library quotes, which reads the same.
fn is_time(unsigned: &str) -> bool {
    unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.contains([':', '-'])
        && unsigned.chars().all(|c| c.is_ascii_digit() || "_:.-+ TtZz".contains(c))
}

fn in_double_quotes(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&match u32::from(c) {
                code @ 0..=0xff => format!("\\x{code:02X}"),
                code @ 0..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            }),
        }
    }
    out.push('"');
    out
}

/// Whether a text of several lines can be written as they are.
fn is_literal(text: &str) -> bool {
    text.contains('\n')
        && text.chars().all(|c| c == '\n' || is_printable(c))
        && !text.contains(" \n")
        && !text.ends_with(' ')
        // Its first line would say how far the others are indented.
        && !text.starts_with([' ', '\n'])
}

fn write_literal(text: &str, indent: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    out.push('|');
    match text.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            write_indent(indent, out);
            out.push_str(line);
        }
    }
    // The caller ends the last line.
    out.extend(text[body.len()..].chars().skip(1));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_not_indented_and_keys_are_sorted() {
        let value =
            json!({"b": [{"z": null, "a": [[1, 2], []]}, "x", {}], "a": {"c": true, "b": {}}, "c": []});
        assert_eq!(
            to_text(&value),
            "a:\n  b: {}\n  c: true\nb:\n- a:\n  - - 1\n    - 2\n  - []\n  z: null\n- x\n- {}\nc: []\n"
        );
        assert_eq!(to_text(&json!({})), "{}\n");
    }

    #[test]
    fn numbers_are_written_as_the_reference_writes_them() {
        for (number, text) in [(json!(1), "1"), (json!(-3), "-3"), (json!(0.8), "0.8"), (json!(2.0), "2")] {
            assert_eq!(to_text(&number), format!("{text}\n"));
        }
    }

    #[test]
    fn what_reads_as_another_type_is_quoted() {
        for text in [
            "",
            "~",
            "null",
            "Null",
            "true",
            "False",
            "yes",
            "NO",
            "on",
            "Off",
            "y",
            "n",
            "1",
            "-1",
            "+1",
            "1_000",
            "0x1F",
            "0o17",
            "0b11",
            "1.5",
            ".5",
            "1.",
            "1e3",
            "-.inf",
            ".NaN",
            "<<",
            "12:30",
            "2026-01-02",
            "2026-01-02T03:04:05Z",
        ] {
            assert_eq!(to_text(&json!(text)), format!("\"{text}\"\n"));
        }
        for text in
            ["0s", "200ms", "1m0s", "0.9.0", "2xlarge", "nullable", "infinity", "a-b", "a:b", "-a", "/x", "é"]
        {
            assert_eq!(to_text(&json!(text)), format!("{text}\n"));
        }
    }

    #[test]
    fn what_yaml_reads_as_syntax_is_quoted() {
        for text in [
            "*a", "&a", "!a", "#a", "[a]", "{a}", "%a", "@a", "`a", "|", ">", ",", "- a", "? a", ": a",
            "a: b", "a #b", "a:", " a", "a ", "---", "\"a\"", "-",
        ] {
            assert_eq!(to_text(&json!(text)), format!("'{text}'\n"));
        }
        assert_eq!(to_text(&json!("'a'")), "'''a'''\n");
        assert_eq!(to_text(&json!("a\tb\u{1}\u{feff}\u{1f600}\"")), "\"a\\tb\\x01\\uFEFF\\U0001F600\\\"\"\n");
    }

    #[test]
    fn several_lines_are_written_as_lines() {
        assert_eq!(to_text(&json!({"a": "x\n\n  y\n"})), "a: |\n  x\n\n    y\n");
        assert_eq!(to_text(&json!({"a": ["x\ny"]})), "a:\n- |-\n  x\n  y\n");
        assert_eq!(to_text(&json!({"a": "x\n\n", "b": 1})), "a: |+\n  x\n\nb: 1\n");
        assert_eq!(to_text(&json!({"a": " x\ny"})), "a: \" x\\ny\"\n");
        assert_eq!(to_text(&json!({"a\nb": 1})), "\"a\\nb\": 1\n");
    }

    /// Texts of the characters that matter to YAML, and any others.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~\n\t]{0,12}",
            "[-+.:0-9eExXoOTtZz_ ]{0,10}",
            "(y|n|yes|no|on|off|true|false|null|~|<<|---|\\.\\.\\.|\\.inf|\\.nan)[ :#\n]{0,2}",
            "[ab\n :#'\"-]{0,12}",
            any::<String>(),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(|number: f64| Value::from(number)),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text(), inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_reads_back_as_the_same_value(value in value()) {
            let text = to_text(&value);
            let read: Value = serde_yaml_ng::from_str(&text).map_err(|error| {
                TestCaseError::fail(format!("{error}\n{text}"))
            })?;
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
