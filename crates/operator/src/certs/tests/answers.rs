//! What the answers of API servers mean.

use kube::core::Status;

use crate::certs::{
    Error,
    keeper::{EXISTS, MOVED, TEST_FAILED, failure},
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
