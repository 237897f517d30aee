//! What the answers of API servers mean.

use kube::core::Status;

use crate::certs::{
    Error,
    keeper::{EXISTS, MOVED, TEST_FAILED, failure},
    published::{Configuration, Which},
    watches::Registered,
};

fn is_conflict(moved: &[u16], code: u16) -> bool {
    let status = Status::failure("refused", "Reason").with_code(code).boxed();
    matches!(failure("write", "it".into(), moved, kube::Error::Api(status)), Error::Conflict { .. })
}

#[test]
fn only_what_another_changed_is_a_conflict() {
    let conflicts = |moved: &[u16]| {
        [403, 404, 409, 422].into_iter().filter(|code| is_conflict(moved, *code)).collect::<Vec<_>>()
    };
    assert_eq!(conflicts(EXISTS), [409], "404 is a missing namespace");
    assert_eq!(conflicts(MOVED), [404, 409], "422 is an immutable Secret");
    assert_eq!(conflicts(TEST_FAILED), [404, 409, 422], "422 is the test of the version");
}

#[test]
fn a_late_watch_is_passed_over_and_a_restored_etcd_is_believed() {
    let form = |version: &str| {
        Some(Configuration { version: version.into(), uid: "uid".into(), bundles: Vec::new() })
    };
    let mut registered = Registered::default();
    registered.note(Which::Mutating, None);
    let version = |registered: &Registered| {
        registered.published().unwrap().get(Which::Validating).unwrap().version.clone()
    };
    registered.note(Which::Validating, form("10"));
    registered.set(Which::Validating, form("12"));
    registered.note(Which::Validating, form("11"));
    assert_eq!(version(&registered), "12", "what was before the own write");
    registered.note(Which::Validating, form("12"));
    registered.note(Which::Validating, form("3"));
    assert_eq!(version(&registered), "3", "versions start lower after a restore");
    registered.set(Which::Validating, form("3"));
    registered.note(Which::Validating, form("2"));
    assert_eq!(version(&registered), "2", "a write without a change waits for no watch");
}
