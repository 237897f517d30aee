//! What somebody may have meant by a name that is not there.
//! Pure; whether a name exists is known to the caller.

/// ` (did you mean "x"?)`, or the known names when none is near; empty when nothing is known.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const NEAR: f64 = 0.8;
    const SHOWN: usize = 10;
    let known: Vec<&str> = known.into_iter().collect();
    let distance = |name: &str| strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase());
    let nearest = known.iter().max_by(|a, b| distance(a).total_cmp(&distance(b)));
    match nearest {
        None => String::new(),
        Some(name) if distance(name) >= NEAR => format!(" (did you mean {name:?}?)"),
        Some(_) => {
            let more = if known.len() > SHOWN { ", ..." } else { "" };
            let shown: Vec<&str> = known.into_iter().take(SHOWN).collect();
            format!(" (there are: {}{more})", shown.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn the_nearest_name_is_offered_and_all_names_when_none_is_near() {
        assert_eq!(did_you_mean("worker", ["Frontend", "Worker"]), " (did you mean \"Worker\"?)");
        assert_eq!(did_you_mean("aggg", ["agg", "disagg"]), " (did you mean \"agg\"?)");
        assert_eq!(did_you_mean("xyz", ["agg", "other"]), " (there are: agg, other)");
        assert_eq!(did_you_mean("xyz", []), "");
    }
}
