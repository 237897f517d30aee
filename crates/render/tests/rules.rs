//! Rules layer: every rule of the table accepts and refuses the cases on record, by its own words and no other rule.
//! The same files go through a real API server and webhook in the operator's tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::collections::BTreeSet;

use dynamo_render::{
    testing::{Case, cases},
    validate::{Enforced, Level, On, Rule, Verdict},
};

fn all_rules() -> impl Iterator<Item = Rule> {
    Rule::ALL.iter().copied()
}

fn contains_all(text: &str, parts: &[String]) -> bool {
    parts.iter().all(|part| text.contains(part.as_str()))
}

fn warnings(rule: Rule, verdict: &Verdict) -> Vec<&str> {
    let own = verdict.warnings.iter().filter(|warning| warning.rule == rule);
    own.map(|warning| warning.text.as_str()).collect()
}

#[test]
fn every_rule_has_cases_of_each_of_its_kinds_and_every_file_of_cases_has_a_rule() {
    for rule in all_rules() {
        let all = cases(rule);
        assert!(!all.accept.is_empty() && !all.reject.is_empty(), "{rule}: needs both");
        let kinds: BTreeSet<&str> =
            all.reject.iter().map(|case| case.object["kind"].as_str().unwrap()).collect();
        let listed: BTreeSet<&str> = rule.spec().kinds.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(kinds, listed, "{rule}: kinds of the cases that break it");
        assert!(listed.contains(all.kind.as_str()), "{rule}: kind {}", all.kind);
        let names: Vec<&str> = all.accept.iter().chain(&all.reject).map(|case| case.name.as_str()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{rule}: names of cases repeat");
        for case in &all.reject {
            assert!(!case.message.is_empty(), "{rule}: {}: message", case.name);
            let fits = match rule.spec().on {
                On::Both => true,
                On::Create => case.old.is_none(),
                On::Update => case.old.is_some(),
            };
            assert!(fits, "{rule}: {}: create or update", case.name);
        }
    }
    let folder = support::tests_folder().join("rules/cases");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let wanted: BTreeSet<String> = all_rules().map(|rule| format!("{rule}.yaml")).collect();
    assert_eq!(files, wanted);
}

#[test]
fn rules_have_kebab_case_names_of_their_own() {
    let ids: BTreeSet<&str> = all_rules().map(|rule| rule.spec().id).collect();
    assert_eq!(ids.len(), Rule::ALL.len());
    for id in ids {
        assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{id}");
    }
}

#[test]
fn a_rule_that_the_reference_does_not_judge_at_admission_is_ours_and_so_never_blocks_an_edit() {
    for rule in all_rules().filter(|rule| rule.spec().enforced == Enforced::Admission) {
        let spec = rule.spec();
        assert!(spec.is_ours() || spec.source.starts_with("operator-process 7"), "{rule}: {}", spec.source);
    }
}

#[test]
fn what_meets_a_rule_is_accepted() {
    let mut failures = Vec::new();
    for rule in all_rules() {
        for case in cases(rule).accept {
            let Some(verdict) = case.verdict() else { continue };
            let own = warnings(rule, &verdict);
            let warned = rule.spec().level == Level::Warning && !own.is_empty();
            if !verdict.errors.0.is_empty() || warned {
                failures.push(format!("{rule}: {}: {} {own:?}", case.name, verdict.errors));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_breaks_a_rule_breaks_that_rule_alone_and_is_told_in_its_words() {
    let mut failures = Vec::new();
    let mut judged = 0;
    for rule in all_rules().filter(|rule| rule.spec().enforced == Enforced::Admission) {
        for case in cases(rule).reject {
            judged += 1;
            if let Err(what) = judge(rule, &case) {
                failures.push(format!("{rule}: {}: {what}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(judged > 200, "only {judged} cases");
}

fn judge(rule: Rule, case: &Case) -> Result<(), String> {
    let verdict = case.verdict().ok_or("its kind is not judged")?;
    let own = warnings(rule, &verdict);
    let errors = &verdict.errors.0;
    if let Some(other) = errors.iter().find(|error| error.rule != rule) {
        return Err(format!("breaks {} too: {other}", other.rule));
    }
    if !case.warning.is_empty() && !own.iter().any(|text| contains_all(text, &case.warning)) {
        return Err(format!("no warning with {:?} in {own:?}", case.warning));
    }
    let text = match rule.spec().level {
        Level::Warning if errors.is_empty() => own.join("\n"),
        Level::Warning => return Err(format!("refused: {}", verdict.errors)),
        Level::Error => verdict.denial().ok_or_else(|| format!("accepted, warnings {own:?}"))?,
    };
    if !contains_all(&text, &case.message) {
        return Err(format!("{:?} is not all in: {text}", case.message));
    }
    // The words of the table, in their order.
    let mut rest = text.as_str();
    for part in rule.spec().words.split('…') {
        rest = match rest.split_once(part) {
            Some((_, rest)) => rest,
            None => return Err(format!("{part:?} of the rule's words is not in: {text}")),
        };
    }
    for error in errors {
        if !error.text.contains(&error.field) {
            return Err(format!("does not name its field {}: {error}", error.field));
        }
    }
    Ok(())
}

#[test]
fn messages_of_cases_agree_with_the_words_of_rules_that_the_schema_enforces() {
    for rule in all_rules().filter(|rule| rule.spec().enforced == Enforced::Schema) {
        for case in cases(rule).reject {
            let text = case.message.join("…");
            let mut rest = text.as_str();
            for part in rule.spec().words.split('…') {
                let found = rest.split_once(part);
                rest = found.unwrap_or_else(|| panic!("{rule}: {}: {part:?} not in {text}", case.name)).1;
            }
        }
    }
}
