//! Manifests that are broken in one place each: `dynamoctl validate` names the place, by line, column and field, and the
//! fix. And the manifests that users have: they pass.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod cases;

use std::{fmt::Write as _, path::Path};

use cases::{Case, REFUSED, WARNED};
use serde_json::Value;

const GRAPH: &str = include_str!("graph.yaml");
const OTHERS: &str = include_str!("others.yaml");

/// The manifest with the mistake, and the place of the mark.
fn break_it(case: &Case) -> (String, Option<(usize, usize)>) {
    let base = [GRAPH, OTHERS].into_iter().find(|text| text.contains(case.0));
    let base = base.unwrap_or_else(|| panic!("no manifest holds {:?}", case.0));
    let marked = base.replacen(case.0, case.1, 1);
    let place = case.1.contains('@').then(|| {
        let before = marked.split('@').next().unwrap();
        let line = before.rsplit('\n').next().unwrap();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    });
    (marked.replacen('@', "", 1), place)
}

/// The answers of `dynamoctl validate -o json` on a text, which it is given as a file.
fn answers(text: &str, more: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.yaml");
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let mut out = Vec::new();
    let words = ["dynamoctl", "validate", "-o", "json"].into_iter().chain(more.iter().copied());
    dynamoctl::call(words.chain([file.as_str()]), &mut out);
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn findings<'a>(answers: &'a [Value], level: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = answers.iter().flat_map(|answer| answer["findings"].as_array().unwrap());
    all.filter(move |finding| finding["level"] == level)
}

/// What is wrong with what was found, if anything.
fn complaint(case: &Case, answers: &[Value], level: &str) -> Option<String> {
    let (_, place) = break_it(case);
    let found: Vec<&Value> = findings(answers, level).collect();
    // One mistake may lead to others, such as a name by which two services cannot be named either.
    if found.len() > 3 {
        return Some(format!("{} of level {level}: {found:#?}", found.len()));
    }
    let Some(finding) = found.iter().find(|finding| finding["field"] == case.2) else {
        return Some(format!("nothing about {}: {found:#?}", case.2));
    };
    let message = finding["message"].as_str().unwrap();
    let at = (finding["line"].as_u64().unwrap_or(0), finding["column"].as_u64().unwrap_or(0));
    let wanted = place.map(|(line, column)| (line as u64, column as u64));
    // Without what was taken away the mark stands where the next field begins: the line above is its parent's.
    let is_removed = case.1 == "@";
    if !is_removed && wanted.is_some_and(|wanted| wanted != at) {
        return Some(format!("place {at:?} instead of {wanted:?}: {message}"));
    }
    if is_removed && wanted.is_some_and(|wanted| at.0 == 0 || at.0 > wanted.0) {
        return Some(format!("place {at:?} is not above {wanted:?}: {message}"));
    }
    (!message.contains(case.3)).then(|| format!("no {:?} in {message}", case.3))
}

#[test]
fn the_good_manifests_pass_without_a_word() {
    for text in [GRAPH, OTHERS] {
        let answers = answers(text, &["--strict"]);
        assert!(answers.iter().all(|answer| answer["accepted"] == true), "{answers:#?}");
        assert_eq!(findings(&answers, "warning").count(), 0, "{answers:#?}");
    }
}

#[test]
fn sixty_manifests_broken_in_one_place_are_refused_with_the_place_and_the_fix() {
    assert!(REFUSED.len() >= 60, "{}", REFUSED.len());
    let mut wrong = String::new();
    for case in REFUSED {
        let (text, _) = break_it(case);
        if let Some(complaint) = complaint(case, &answers(&text, &["--strict"]), "error") {
            writeln!(wrong, "{:?}: {complaint}", case.1).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn traps_are_told_with_the_place_and_accepted() {
    let mut wrong = String::new();
    for case in WARNED {
        let (text, _) = break_it(case);
        let answers = answers(&text, &[]);
        assert!(answers.iter().all(|answer| answer["accepted"] == true), "{answers:#?}");
        if let Some(complaint) = complaint(case, &answers, "warning") {
            writeln!(wrong, "{:?}: {complaint}", case.1).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_unknown_field_is_a_warning_and_with_strict_an_error() {
    let case =
        Case("      replicas: 2\n", "      @replica: 2\n", "spec.services[Worker].replica", "\"replicas\"");
    let (text, _) = break_it(&case);
    let lenient = answers(&text, &[]);
    assert_eq!((&lenient[0]["accepted"], complaint(&case, &lenient, "warning")), (&Value::Bool(true), None));
    let strict = answers(&text, &["--strict"]);
    assert_eq!((&strict[0]["accepted"], complaint(&case, &strict, "error")), (&Value::Bool(false), None));
}

#[test]
fn all_mistakes_of_a_manifest_are_told_at_once_in_the_order_of_the_text() {
    let text = GRAPH
        .replace("backendFramework: vllm", "backendFramework: vlm")
        .replace("replicas: 2", "replicas: two")
        .replace("gpu: \"1\"", "gpu: 1")
        .replace("image: example.com/engine:1", "imag: example.com/engine:1");
    let answers = answers(&text, &["--strict"]);
    let told: Vec<&str> =
        findings(&answers, "error").map(|finding| finding["field"].as_str().unwrap()).collect();
    let worker = "spec.services[Worker]";
    let expected = [
        "spec.backendFramework".to_owned(),
        format!("{worker}.replicas"),
        format!("{worker}.resources.limits.gpu"),
        format!("{worker}.extraPodSpec.mainContainer.imag"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_public_manifests_pass_and_the_empty_sample_is_refused_with_what_it_lacks() {
    let Some(shared) = dynamo_testkit::shared::folder("validate on the public manifests") else { return };
    let empty = "deploy-operator-config-samples-nvidia-com-v1alpha1-dynamographdeployment.yaml";
    let mut passed = 0;
    for entry in std::fs::read_dir(shared.join("parity/input")).unwrap() {
        let path = entry.unwrap().path();
        let answers = answers(&std::fs::read_to_string(&path).unwrap(), &["--strict"]);
        let refused: Vec<&Value> = findings(&answers, "error").collect();
        if path.ends_with(Path::new(empty)) {
            assert_eq!(refused.len(), 1, "{refused:#?}");
            assert_eq!(refused[0]["message"], "spec.services must have at least one service");
            assert_eq!(refused[0]["line"], 8);
        } else {
            assert!(refused.is_empty(), "{}: {refused:#?}", path.display());
            passed += 1;
        }
    }
    assert_eq!(passed, 61);
}
