//! The reference pages of the operator are what the program says.
//! `UPDATE_REFERENCE=1 cargo test -p dynamo-operator --test reference_pages` writes them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

fn check(name: &str, generated: &str) {
    let path = page(name);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, generated, "docs/reference/{name} is out of date: set UPDATE_REFERENCE=1");
}

#[test]
fn the_committed_page_of_flags_is_what_the_table_says() {
    check("flags.md", &dynamo_operator::flags::reference());
}
