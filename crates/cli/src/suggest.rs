//! What somebody may have meant by a word that is not known. Only likeness: which words are known is said by the caller.

/// How like two words must be, from 0 to 1, to be worth a question.
const LIKE: f64 = 0.7;

/// The known word that is most like `word`, unless none is.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // Letters that changed places, and beginnings that agree: the usual slips.
        let slip = strsim::normalized_damerau_levenshtein(&lower, &candidate);
        let begin = strsim::jaro_winkler(&lower, &candidate) - 0.1;
        slip.max(begin)
    };
    let mut best = None;
    for candidate in known {
        let likeness = likeness(candidate);
        if likeness >= LIKE && best.is_none_or(|(_, other)| likeness > other) {
            best = Some((candidate, likeness));
        }
    }
    best.map(|(candidate, _)| candidate)
}

/// `: did you mean "<word>"?`, or nothing.
pub fn question<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |meant| format!(": did you mean {meant:?}?"))
}

/// ` (did you mean "<word>"?)`, or the known words when none is like it; empty when nothing is known.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 10;
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!(" (did you mean {meant:?}?)"),
        None if known.is_empty() => String::new(),
        None => {
            let more = if known.len() > SHOWN { ", ..." } else { "" };
            let shown: Vec<&str> = known.into_iter().take(SHOWN).collect();
            format!(" (there are: {}{more})", shown.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["replicas", "resources", "envs", "envFromSecret", "extraPodSpec", "sharedMemory"];
        for (word, meant) in [
            ("replica", Some("replicas")),
            ("Replicas", Some("replicas")),
            ("resorces", Some("resources")),
            ("env", Some("envs")),
            ("extraPodspec", Some("extraPodSpec")),
            ("shareMemory", Some("sharedMemory")),
            ("tolerations", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_and_all_names_when_none_is_near() {
        assert_eq!(did_you_mean("worker", ["Frontend", "Worker"]), " (did you mean \"Worker\"?)");
        assert_eq!(did_you_mean("aggg", ["agg", "disagg"]), " (did you mean \"agg\"?)");
        assert_eq!(did_you_mean("xyz", ["agg", "other"]), " (there are: agg, other)");
        assert_eq!(did_you_mean("xyz", []), "");
    }
}
