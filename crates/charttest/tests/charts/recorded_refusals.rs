//! Compares refusals with the recorded ones: the same values are refused with the same words, but for what is listed here.
//! Must list every difference with its row of `docs/design/deviations.md`; one that is none any more is a failure.

use crate::helm::{Helm, recorded, strings};
use crate::or_skip;
use crate::recorded::sets;

/// Refused by the reference, rendered here.
const RENDERED: &[(&str, &str)] = &[
    ("registry-existing-no-cluster", "D-120"),
    ("registry-existing-no-server", "D-120"),
    ("lookup-registry-existing-dockerio-alias", "D-120"),
    ("lookup-own-role-release-contains-name", "D-123"),
    ("lookup-forbidden-restricted", "D-123"),
    ("operator-chart-alone", "D-127"),
    ("operator-chart-alone-backend", "D-127"),
];

/// Rendered by the reference, refused here, and the word that says why.
const REFUSED: &[(&str, &str, &str)] = &[
    // The API server would refuse it afterwards.
    ("webhook-policy-unknown", "D-110", "failurePolicy"),
    ("lookup-same-release-name", "D-123", "namespace 'elsewhere'"),
];

pub fn is_refused(set: &str) -> bool {
    REFUSED.iter().any(|(name, ..)| *name == set)
}

#[test]
fn every_recorded_refusal_is_refused_with_its_words_or_has_a_deviation() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let sets = sets(&dir);
    let (mut refused, mut unused) = (0, RENDERED.to_vec());
    for set in sets.iter().filter(|set| set.data.get("error").is_some()) {
        let output = set.template(&helm, &set.data["values"]);
        if let Some(index) = unused.iter().position(|(name, _)| *name == set.name) {
            let (_, deviation) = unused.swap_remove(index);
            assert!(output.ok, "{} must render ({deviation}): {}", set.name, output.stderr);
            continue;
        }
        refused += 1;
        assert!(!output.ok, "{} must not render", set.name);
        for word in strings(&set.data["error"]["keywords"]) {
            assert!(output.stderr.contains(&word), "{}: {word:?} is missing in {}", set.name, output.stderr);
        }
    }
    assert!(refused >= 15, "only {refused} sets found");
    assert_eq!(unused, [], "no recorded refusal has these names");
}

#[test]
fn what_the_reference_renders_and_this_chart_refuses_is_refused_for_its_reason() {
    let helm = or_skip!(Helm::find(), "helm");
    let dir = or_skip!(recorded(), "recorded renders (DYNAMO_SHARED)");
    let sets = sets(&dir);
    for (name, deviation, word) in REFUSED {
        let set = sets.iter().find(|set| set.name == *name).expect("a recorded set");
        assert!(set.data.get("error").is_none(), "{name} is refused by the reference, too");
        let output = set.template(&helm, &set.data["values"]);
        assert!(!output.ok && output.stderr.contains(word), "{name} ({deviation}): {}", output.stderr);
    }
}
