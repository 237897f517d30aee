//! The reference page of the tool is what the program says.
//! `UPDATE_REFERENCE=1 cargo test -p dynamo-cli --test reference_page` writes it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

#[test]
fn the_committed_page_is_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/dynamoctl.md");
    let page = dynamoctl::reference::page();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &page).expect("a writable page");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, page, "docs/reference/dynamoctl.md is out of date: set UPDATE_REFERENCE=1");
}
