//! Errors as one line: libraries put the telling part into the cause.
//! It must not add advice; whoever knows the setting does.

use std::error::Error;

/// An error with what it was caused by.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    join(error.to_string(), error.source())
}

/// A text with the causes from `cause` on, without those that it already tells.
pub(crate) fn join(mut text: String, mut cause: Option<&dyn Error>) -> String {
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_once() {
        let inner = std::io::Error::other("refused");
        let error = crate::transport::CallError::Connect { address: "a:1".to_owned(), source: inner };
        assert_eq!(with_causes(&error), "worker a:1 cannot be reached: refused");
        assert_eq!(join("no answer".to_owned(), Some(&error)), format!("no answer: {error}"));
    }
}
