//! Values that must not leave the machine with a report.
//! By the name, and in URLs by the place: what else a value looks like tells nothing.

const WORDS: [&str; 5] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"];

/// `value` of the variable `name`, or that it is set.
pub fn value(name: &str, value: &str) -> String {
    let name = name.to_ascii_uppercase();
    if WORDS.iter().any(|word| name.contains(word)) {
        return "<redacted>".to_owned();
    }
    // The password of an address, as in nats://user:password@host.
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    // Up to the last one: a password may hold any character, a slash, too.
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://<redacted>@{host}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn names_that_speak_of_secrets_and_addresses_with_a_password_are_hidden() {
        for name in ["DYN_API_KEY", "DYN_token", "DYN_SECRET_X", "DYN_PASSWORD"] {
            assert_eq!(value(name, "abc"), "<redacted>", "{name}");
        }
        assert_eq!(value("DYN_LOG", "info"), "info");
        assert_eq!(value("DYN_NATS", "nats://u:p@h:4222/x"), "nats://<redacted>@h:4222/x");
        assert_eq!(value("DYN_NATS", "nats://u:p/w@h:4222"), "nats://<redacted>@h:4222");
        assert_eq!(value("DYN_NATS", "nats://h:4222"), "nats://h:4222");
    }
}
