//! Conditions as meta/v1 defines them: one entry per type, a transition time that moves only with the status.
//! Pure; the clock is handed in.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The longest message that the API accepts.
const LONGEST_MESSAGE: usize = 32_768;

/// A condition before it is merged into a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub type_: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    pub reason: &'static str,
    pub message: String,
}

/// Puts `wanted` into `conditions`: replaces the entry of its type or adds one. `lastTransitionTime` is `now` only
/// when the status value changes.
pub fn set(conditions: &mut Vec<Condition>, wanted: Wanted, generation: Option<i64>, now: Time) {
    let known = conditions.iter_mut().find(|condition| condition.type_ == wanted.type_);
    let since = match &known {
        Some(known) if known.status == wanted.status => known.last_transition_time.clone(),
        _ => now,
    };
    let condition = Condition {
        type_: wanted.type_.to_owned(),
        status: wanted.status.to_owned(),
        reason: wanted.reason.to_owned(),
        message: cut(wanted.message, LONGEST_MESSAGE),
        observed_generation: generation,
        last_transition_time: since,
    };
    match known {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

/// Shortens a text to at most `limit` bytes at a character boundary, ending in `…` when something was cut.
#[must_use]
pub fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mut end = limit.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    fn wanted(status: &'static str, message: &str) -> Wanted {
        Wanted { type_: "Ready", status, reason: "r", message: message.into() }
    }

    #[test]
    fn transition_time_moves_only_when_the_status_changes() {
        let mut conditions = Vec::new();
        set(&mut conditions, wanted("False", "a"), Some(1), at(1));
        set(&mut conditions, wanted("False", "b"), Some(2), at(2));
        assert_eq!((&conditions[0].last_transition_time, conditions[0].message.as_str()), (&at(1), "b"));
        assert_eq!(conditions[0].observed_generation, Some(2));
        set(&mut conditions, wanted("True", "c"), Some(2), at(3));
        assert_eq!(conditions[0].last_transition_time, at(3));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn long_messages_are_cut_at_a_character_boundary() {
        assert_eq!(cut("äöü".into(), 6), "äöü");
        assert_eq!(cut("äöüß".into(), 6), "ä…");
    }
}
