//! The document of the rules, `docs/reference/admission-rules.md`, is what the table says.
//! Written by this test when asked to; otherwise it only compares.
#![allow(clippy::expect_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod support;

use std::fmt::Write;

use dynamo_render::validate::{Enforced, Kind, Level, On, Rule};
use similar::TextDiff;

const UPDATE: &str = "UPDATE_GOLDEN=1 cargo test -p dynamo-render --test rules_document";

const HEAD: &str = "# Admission rules

<!-- Generated from the table of rules in crates/render/src/validate/rules/table.rs by
     UPDATE_GOLDEN=1 cargo test -p dynamo-render --test rules_document -->

Every rule by which an object of `nvidia.com/v1alpha1` is refused or its user warned. The webhooks, the controllers and
the command line judge with the same code. A denial begins with `validation failed: ` and names every broken rule, one a
line: the path of the field, its value, what is allowed, and how to put it right.

- **When**: at creation and at each update, or at updates only. Any change of an object that is being deleted is
  allowed.
- **Level**: an *error* refuses the object, a *warning* is shown and the object accepted.
- **Reason**: the label `reason` of the metric of denials.
- **Words**: what clients may look for in the message; `…` stands for any text.
- **Source**: the part of the contract, or `ours` and why. A rule of ours that the object broke in the same way before
  an update is a warning there: what was taken over from another operator can be edited.
- Cases that meet and break each rule: `crates/render/tests/rules/cases/<rule>.yaml`.
";

fn document() -> String {
    let mut text = HEAD.to_owned();
    let parts = [
        ("Judged at admission, by controllers and by the command line", Enforced::Admission),
        ("Enforced by the schema of the API server, always", Enforced::Schema),
    ];
    for (title, enforced) in parts {
        let rules: Vec<Rule> =
            Rule::ALL.iter().copied().filter(|rule| rule.spec().enforced == enforced).collect();
        write!(text, "\n## {title}\n\n{} rules.\n\n", rules.len()).expect("a String takes text");
        text.push_str(
            "| Rule | Kinds | When | Level | Reason | Words | Source |\n|---|---|---|---|---|---|---|\n",
        );
        for rule in rules {
            let spec = rule.spec();
            let kinds: Vec<&str> = spec.kinds.iter().map(|kind| short(*kind)).collect();
            let when = match spec.on {
                On::Create => "create",
                On::Update => "update",
                On::Both => "both",
            };
            let level = match spec.level {
                Level::Error => "error",
                Level::Warning => "warning",
            };
            let (kinds, words) = (kinds.join(", "), spec.words.replace('|', "\\|"));
            let (id, reason, source) = (spec.id, spec.reason.as_str(), spec.source);
            writeln!(text, "| `{id}` | {kinds} | {when} | {level} | {reason} | {words} | {source} |")
                .expect("a String takes text");
        }
    }
    text
}

/// Short names as kubectl knows them.
fn short(kind: Kind) -> &'static str {
    match kind {
        Kind::Graph => "dgd",
        Kind::Component => "dcd",
        Kind::Model => "dm",
        Kind::Request => "dgdr",
        Kind::ScalingAdapter => "dgdsa",
        Kind::Checkpoint => "dckpt",
        Kind::WorkerMetadata => "dwm",
    }
}

#[test]
fn the_document_of_the_rules_is_current() {
    let path = support::workspace().join("docs/reference/admission-rules.md");
    let now = document();
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, &now).expect("the document can be written");
        return;
    }
    let then = std::fs::read_to_string(&path).unwrap_or_default();
    let diff = TextDiff::from_lines(then.as_str(), &now);
    let shown = diff.unified_diff().context_radius(2).header("on record", "now").to_string();
    assert!(then == now, "when the change is meant, run\n  {UPDATE}\n\n{shown}");
}
