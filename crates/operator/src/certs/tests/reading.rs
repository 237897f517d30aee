//! Certificates and keys that others made.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::certs::certificate::Certificate;

#[test]
fn a_certificate_without_an_end_is_read() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([SERVER.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    let pem = params.self_signed(&key).unwrap().pem();
    let read = Certificate::read_all(pem.as_bytes());
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].not_after, Timestamp::MAX);
    assert!(read[0].is_valid_at(start()));
}

#[test]
fn a_kind_of_key_that_cannot_sign_is_told_apart_from_one_that_does_not_belong() {
    let leaf = World::healthy().leaf();
    // PKCS #8 of Ed448 around 57 bytes that are nobody's.
    let mut der = vec![0x30, 0x47, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x71, 4, 0x3b, 4, 0x39];
    der.extend([7; 57]);
    let reason = |key: &str| Leaf::read(leaf.certificate_pem(), key.as_bytes()).unwrap_err().to_string();
    let other = reason(&pem::encode(&pem::Pem::new("PRIVATE KEY", der)));
    assert!(other.contains("this kind of key is not supported"), "{other}");
    let foreign = reason(Authority::new(1, start()).unwrap().key_pem());
    assert!(foreign.contains("does not belong"), "{foreign}");
}
