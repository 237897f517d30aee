//! How much of a URL must be right: what Go's `url.Parse` insists on, which is little.
//! It checks the form and never resolves or opens anything.

/// Why `text` is no URL, or `None` when it may pass for one. A bare path or word passes.
pub(super) fn problem(text: &str) -> Option<&'static str> {
    if text.chars().any(|c| c.is_ascii_control()) {
        return Some("a URL has no control characters");
    }
    let (scheme, rest) = match scheme_end(text) {
        Some(0) => return Some("the scheme before the first colon is missing"),
        Some(end) => (Some(&text[..end]), &text[end + 1..]),
        None => (None, text),
    };
    let first = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if scheme.is_none() && first.contains(':') {
        return Some("what stands before the first colon is no scheme");
    }
    if let Some(problem) = rest.strip_prefix("//").and_then(authority) {
        return Some(problem);
    }
    let path = rest.split('?').next().unwrap_or_default();
    has_broken_escape(path).then_some("% must be followed by two hexadecimal digits")
}

/// The place of the colon after a scheme; 0 when nothing stands before it.
fn scheme_end(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))?;
    let starts_well = end == 0 || text.starts_with(|c: char| c.is_ascii_alphabetic());
    (starts_well && text[end..].starts_with(':')).then_some(end)
}

fn authority(rest: &str) -> Option<&'static str> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.chars().any(|c| c == ' ' || "<>\"\\^`{|}".contains(c)) {
        return Some("the host has a character that no host name has");
    }
    let port = if host.starts_with('[') {
        let Some(end) = host.rfind(']') else { return Some("the bracket of the IPv6 address is not closed") };
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |colon| &host[colon..])
    };
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    (!is_port).then_some("the port must be a number")
}

fn has_broken_escape(text: &str) -> bool {
    text.match_indices('%').any(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_everything_passes_for_a_url() {
        for text in [
            "http://model-express.dynamo:8001",
            "model-express:8001",
            "model-express",
            "/path",
            "http://",
            "http://u:p@[::1]:80/x?q=%zz",
            "http://host:/",
            "a%20b",
            "http://ünï.example",
        ] {
            assert_eq!(problem(text), None, "{text}");
        }
    }

    #[test]
    fn what_no_lenient_parser_takes_is_refused_with_a_reason() {
        for (text, reason) in [
            (":8001", "scheme"),
            ("10.0.0.1:8001", "scheme"),
            ("http://host:port", "port"),
            ("http://[::1", "bracket"),
            ("http://a b", "host"),
            ("http://host/%zz", "%"),
            ("100%", "%"),
            ("http://host\n", "control"),
        ] {
            assert!(problem(text).is_some_and(|p| p.contains(reason)), "{text}: {:?}", problem(text));
        }
    }
}
