//! The definitions are those of the reference: a manifest it admits is admitted, and stored, the same way here.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use dynamo_api::crds;
use serde_json::{Map, Value};

/// A wanted difference from the reference. Its row in the list of deviations says what and why.
#[derive(Clone, Copy, Debug)]
struct Deviation {
    /// Id of the row.
    row: &'static str,
    kind: &'static str,
    /// The field; the row names it too.
    path: &'static str,
    key: &'static str,
}

const ALLOWED: &[Deviation] = &[
    Deviation {
        row: "D-013",
        kind: "DynamoComponentDeployment",
        path: "spec.dynamoComponent",
        key: "presence",
    },
    Deviation {
        row: "D-154",
        kind: "DynamoWorkerMetadata",
        path: "metadata.annotations",
        key: "helm.sh/resource-policy",
    },
];

/// Number of kinds of the API, and so of files of the reference.
const KINDS: usize = 7;

struct Difference {
    path: String,
    key: String,
    ours: Value,
    theirs: Value,
}

impl Difference {
    fn line(&self) -> String {
        format!("{} {}: ours {}, the reference's {}", self.path, self.key, self.ours, self.theirs)
    }
}

#[test]
fn definitions_equal_those_of_the_reference_but_for_the_listed_differences() {
    let Some(folder) = support::contract("crds/reference") else { return };
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert_eq!(files.len(), KINDS, "files of the reference: {files:?}");
    let crds = crds::all().expect("definitions");
    assert_eq!(crds.len(), KINDS);
    let mut unexpected = Vec::new();
    let mut used = BTreeSet::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let Some(crd) = crds.iter().find(|crd| crd.file_name == name) else {
            unexpected.push(format!("{name}: no kind of ours has this file"));
            continue;
        };
        let theirs = support::documents(&std::fs::read_to_string(&file).expect("a text file")).remove(0);
        for difference in differences(&crd.value, &theirs) {
            let allowed = ALLOWED
                .iter()
                .position(|it| it.kind == crd.kind && it.path == difference.path && it.key == difference.key);
            match allowed {
                Some(index) => drop(used.insert(index)),
                None => unexpected.push(format!("{} {}", crd.kind, difference.line())),
            }
        }
    }
    assert!(unexpected.is_empty(), "{} differences:\n{}", unexpected.len(), unexpected.join("\n"));
    let unused: Vec<_> =
        (0..ALLOWED.len()).filter(|index| !used.contains(index)).map(|index| ALLOWED[index]).collect();
    assert!(unused.is_empty(), "differences that no longer exist: {unused:?}");
}

#[test]
fn every_wanted_difference_is_a_row_of_the_list_of_deviations() {
    let file = support::workspace().join("docs/design/deviations.md");
    let list = std::fs::read_to_string(file).expect("the list of deviations");
    for deviation in ALLOWED {
        let start = format!("| {} |", deviation.row);
        let row = list.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("the list of deviations has no row {}", deviation.row));
        assert!(row.contains(&format!("`{}`", deviation.path)), "another matter: {row}\n{deviation:?}");
    }
}

fn differences(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    let (mut ours, our_schema) = split(ours);
    let (mut theirs, their_schema) = split(theirs);
    let [our_notes, their_notes] = [&mut ours, &mut theirs].map(annotations);
    for key in our_notes.keys().chain(their_notes.keys()).collect::<BTreeSet<_>>() {
        let [our, their] =
            [&our_notes, &their_notes].map(|notes| notes.get(key).cloned().unwrap_or_default());
        if our != their {
            differences.push(difference("metadata.annotations", key, &our, &their));
        }
    }
    if ours != theirs {
        differences.push(difference("(definition)", "all but the schema", &ours, &theirs));
    }
    compare(&our_schema, &their_schema, "", &mut differences);
    differences
}

/// Takes the annotations out of a definition.
fn annotations(definition: &mut Value) -> Map<String, Value> {
    let metadata = definition["metadata"].as_object_mut();
    let taken = metadata.and_then(|metadata| metadata.remove("annotations"));
    taken.and_then(|taken| taken.as_object().cloned()).unwrap_or_default()
}

/// The definition without its schema, and the schema.
fn split(definition: &Value) -> (Value, Value) {
    let mut definition = definition.clone();
    let schema = definition["spec"]["versions"][0]["schema"].take();
    (definition, schema["openAPIV3Schema"].clone())
}

/// Compares every key but descriptions; the order of `required` and `enum` says nothing.
fn compare(ours: &Value, theirs: &Value, path: &str, differences: &mut Vec<Difference>) {
    let empty = Map::new();
    let (our_fields, their_fields) =
        (ours.as_object().unwrap_or(&empty), theirs.as_object().unwrap_or(&empty));
    let keys: BTreeSet<_> = our_fields.keys().chain(their_fields.keys()).collect();
    for key in keys {
        let (our, their) = (&ours[key], &theirs[key]);
        match key.as_str() {
            "description" => {}
            "properties" => properties(our, their, path, differences),
            "items" | "additionalProperties" if our.is_object() && their.is_object() => {
                compare(
                    our,
                    their,
                    &format!("{path}{}", if key == "items" { "[]" } else { "{}" }),
                    differences,
                );
            }
            "required" | "enum" => {
                if as_set(our) != as_set(their) {
                    differences.push(difference(path, key, our, their));
                }
            }
            _ => {
                if our != their {
                    differences.push(difference(path, key, our, their));
                }
            }
        }
    }
}

fn properties(ours: &Value, theirs: &Value, path: &str, differences: &mut Vec<Difference>) {
    let empty = Map::new();
    let (our_fields, their_fields) =
        (ours.as_object().unwrap_or(&empty), theirs.as_object().unwrap_or(&empty));
    let names: BTreeSet<_> = our_fields.keys().chain(their_fields.keys()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (our_fields.get(name), their_fields.get(name)) {
            (Some(our), Some(their)) => compare(our, their, &path, differences),
            (our, their) => {
                differences.push(difference(
                    &path,
                    "presence",
                    &our.is_some().into(),
                    &their.is_some().into(),
                ));
            }
        }
    }
}

fn difference(path: &str, key: &str, ours: &Value, theirs: &Value) -> Difference {
    Difference { path: path.to_owned(), key: key.to_owned(), ours: ours.clone(), theirs: theirs.clone() }
}

fn as_set(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().map(ToString::to_string).collect()
}
