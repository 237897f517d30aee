//! Versions as the reference reads them: a `v` in front and missing parts are accepted (`operator-process.md` 1, 7).
//! Parsing only; what to do with a text that is none is the caller's decision.

use semver::Version;

/// Reads a version leniently: `v1.2`, `1`, `1.2-dev`, `01.2.3` pass. `None` for what is no version.
#[must_use]
pub fn parse(text: &str) -> Option<Version> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let (core, rest) = bare.split_at(bare.find(['-', '+']).unwrap_or(bare.len()));
    let parts: Vec<&str> = core.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(is_number) {
        return None;
    }
    let number = |at: usize| match parts.get(at).map_or("", |part| part.trim_start_matches('0')) {
        "" => "0",
        digits => digits,
    };
    Version::parse(&format!("{}.{}.{}{rest}", number(0), number(1), number(2))).ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_leading_v_and_missing_parts_are_accepted() {
        for (text, full) in [
            ("0.9.0", "0.9.0"),
            ("v1.2", "1.2.0"),
            ("1", "1.0.0"),
            ("1.2-dev", "1.2.0-dev"),
            ("1.0.0-dev+abc", "1.0.0-dev+abc"),
            ("01.02.03", "1.2.3"),
            ("0.0.0-unknown", "0.0.0-unknown"),
        ] {
            assert_eq!(parse(text).map(|version| version.to_string()).as_deref(), Some(full), "{text}");
        }
        for text in ["", "v", "latest", "1.2.3.4", "1..2", "1.x", "-1", "1.0.0-", "vv1", " 1.0.0"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
