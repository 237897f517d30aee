//! Stop strings: ends the text at the first match and holds back what may become one.
//! Must not drop text: what is held is released by `flush` when the generation ends otherwise.

/// Watches one choice's text for stop strings.
#[derive(Debug, Clone, Default)]
pub struct StopFilter {
    stops: Vec<String>,
    include: bool,
    held: String,
}

/// Text that may be shown, and the stop string that was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    pub text: String,
    pub matched: Option<String>,
}

impl StopFilter {
    /// `include` keeps the matched stop string in the text.
    #[must_use]
    pub fn new(stops: Vec<String>, include: bool) -> Self {
        Self {
            stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(),
            include,
            held: String::new(),
        }
    }

    /// Takes more text. After a match nothing more must be pushed.
    pub fn push(&mut self, text: &str) -> Passed {
        if self.stops.is_empty() {
            return Passed { text: text.to_owned(), matched: None };
        }
        self.held.push_str(text);
        let first = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()).map(|at| (at, stop)))
            .min_by_key(|(at, stop)| (*at, std::cmp::Reverse(stop.len())));
        if let Some((at, stop)) = first {
            let end = if self.include { at + stop.len() } else { at };
            let matched = Some(stop.clone());
            let mut text = std::mem::take(&mut self.held);
            text.truncate(end);
            return Passed { text, matched };
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        Passed { text: std::mem::replace(&mut self.held, rest), matched: None }
    }

    /// The text that was held back.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length in bytes of the longest end of `text` that is a proper beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(at, _)| at)
        .skip(1)
        .chain(std::iter::once(stop.len()))
        .filter(|length| *length < stop.len() && text.ends_with(&stop[..*length]))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], include: bool, pieces: &[&str]) -> (String, Option<String>) {
        let mut filter = StopFilter::new(stops.iter().map(|stop| (*stop).to_owned()).collect(), include);
        let mut shown = String::new();
        for piece in pieces {
            let passed = filter.push(piece);
            shown.push_str(&passed.text);
            if passed.matched.is_some() {
                return (shown, passed.matched);
            }
        }
        shown.push_str(&filter.flush());
        (shown, None)
    }

    #[test]
    fn a_stop_string_over_several_pieces_ends_the_text_before_it() {
        assert_eq!(run(&["END"], false, &["one E", "N", "D two"]), ("one ".into(), Some("END".into())));
        assert_eq!(run(&["END"], true, &["one E", "N", "D two"]), ("one END".into(), Some("END".into())));
    }

    #[test]
    fn the_earliest_of_several_stop_strings_wins() {
        assert_eq!(run(&["yy", "x"], false, &["axbyy"]), ("a".into(), Some("x".into())));
        assert_eq!(
            run(&["é!", "日本"], false, &["caf", "é", "日", "本"]),
            ("café".into(), Some("日本".into()))
        );
    }

    #[test]
    fn text_that_only_looked_like_a_stop_string_is_released() {
        assert_eq!(run(&["END"], false, &["E", "N", "x EN"]), ("ENx EN".into(), None));
        assert_eq!(run(&["aab"], false, &["a", "a", "a", "b", "z"]), ("a".into(), Some("aab".into())));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_text_up_to_the_first_stop(
            text in "[abé]{0,24}", cuts in proptest::collection::vec(0usize..25, 0..6), stop in "[abé]{1,3}",
        ) {
            let mut marks: Vec<usize> = cuts;
            marks.push(0);
            marks.push(usize::MAX);
            marks.sort_unstable();
            let chars: Vec<char> = text.chars().collect();
            let pieces: Vec<String> = marks
                .windows(2)
                .map(|pair| chars[pair[0].min(chars.len())..pair[1].min(chars.len())].iter().collect())
                .collect();
            let borrowed: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (shown, matched) = run(&[&stop], false, &borrowed);
            match text.find(&stop) {
                Some(at) => prop_assert_eq!((shown.as_str(), matched), (&text[..at], Some(stop))),
                None => prop_assert_eq!((shown, matched), (text, None)),
            }
        }
    }
}
