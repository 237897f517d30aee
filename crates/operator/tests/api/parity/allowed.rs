//! The differences from the record that are meant: each stands on the list of deviations.
//! An entry that explains nothing, or names no deviation, fails the test.

use std::{collections::BTreeSet, path::Path};

use super::record::Difference;

/// A difference that is meant. `*` stands for any text.
struct Entry {
    /// Of `docs/design/deviations.md`.
    id: &'static str,
    /// The manifest.
    case: &'static str,
    kind: &'static str,
    name: &'static str,
    path: &'static str,
    why: &'static str,
}

const MISSING: &str = "missing object";

/// A manifest of which the API server refuses a Deployment.
const REFUSED: &str = "examples-deployments-gke-vllm-disagg";

const ALLOWED: &[Entry] = &[
    Entry {
        id: "D-001",
        case: "*",
        kind: "Service",
        name: "*-p",
        path: MISSING,
        why: "one Service per component",
    },
    Entry {
        id: "D-001",
        case: "*",
        kind: "Service",
        name: "*-d",
        path: MISSING,
        why: "one Service per component",
    },
    Entry {
        id: "D-002",
        case: "*",
        kind: "DynamoComponentDeployment",
        name: "*",
        path: ".metadata.finalizers[0]",
        why: "no finalizer",
    },
    Entry {
        id: "D-002",
        case: "*",
        kind: "GraphStatus",
        name: "*",
        path: ".finalizers[0]",
        why: "no finalizer",
    },
    Entry {
        id: "D-007",
        case: "*",
        kind: "GraphStatus",
        name: "*",
        path: ".status.conditions[0].observedGeneration",
        why: "conditions say of which generation they speak",
    },
    Entry {
        id: "D-035",
        case: "*",
        kind: "Secret",
        name: "mpi-run-ssh-key",
        path: MISSING,
        why: "the key of MPI goes where it is needed",
    },
    Entry {
        id: "D-042",
        case: REFUSED,
        kind: "GraphStatus",
        name: "vllm-disagg",
        path: ".status.state",
        why: "its Deployment is refused for a startup probe without a handler: waiting does not help",
    },
    Entry {
        id: "D-042",
        case: REFUSED,
        kind: "GraphStatus",
        name: "vllm-disagg",
        path: ".status.conditions[0].message",
        why: "the message says what the API server refuses",
    },
];

impl Entry {
    fn matches(&self, case: &str, difference: &Difference) -> bool {
        matches(self.case, case)
            && matches(self.kind, &difference.kind)
            && matches(self.name, &difference.name)
            && matches(self.path, &difference.path)
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..]))
        }),
    }
}

/// The list, with the ids that stand on the list of deviations.
pub struct Allowed {
    known: BTreeSet<String>,
}

impl Allowed {
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/design/deviations.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
        Self { known: rows.map(|(id, _)| id.to_owned()).collect() }
    }

    /// The first entry that allows a difference.
    pub fn find(&self, case: &str, difference: &Difference) -> Option<usize> {
        ALLOWED.iter().position(|entry| entry.matches(case, difference))
    }

    /// What is wrong with the list itself, given the entries that explained something.
    pub fn complaints(&self, used: &BTreeSet<usize>) -> Vec<String> {
        let mut complaints = Vec::new();
        for (at, entry) in ALLOWED.iter().enumerate() {
            let Entry { id, case, kind, name, path, why } = entry;
            if !used.contains(&at) {
                complaints.push(format!("unused, take it out: {id} {case} {kind}/{name} {path} ({why})"));
            }
            if !self.known.contains(*id) {
                complaints.push(format!("{id} ({why}) is not in docs/design/deviations.md"));
            }
        }
        complaints
    }
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text) in [("*", ""), ("*-p", "a-p"), ("a*", "a"), (".x*", ".x[a].b"), ("a*b*c", "a-b-c")] {
        assert!(matches(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("", "a"), ("*-p", "a-p-d"), ("a*b*c", "acb"), ("a", "ab")] {
        assert!(!matches(pattern, text), "{pattern} {text}");
    }
}
