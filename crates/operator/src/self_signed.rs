//! A certificate that this process signs itself and nobody can check: for listeners that want privacy on the wire and
//! whose callers do not verify, which is what `--metrics-secure` means (`operator-process.md` section 1) and
//! `--metrics-secure-bind-address` does as well.
//! Never for admission: the API server verifies.

use std::sync::Arc;

use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::PrivateKeyDer,
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    #[error("cannot make a self-signed certificate")]
    Make(#[from] rcgen::Error),
    #[error("cannot use the key of a self-signed certificate")]
    Use(#[from] rustls::Error),
}

/// A new key and certificate for `host` and `localhost`, which live as long as the process and do not run out before.
///
/// # Errors
/// See [`SelfSignedError`]; `host` must be a DNS name or an IP address.
pub fn resolver(host: &str) -> Result<Arc<dyn ResolvesServerCert>, SelfSignedError> {
    Ok(Arc::new(SingleCertAndKey::from(make(host)?)))
}

fn make(host: &str) -> Result<CertifiedKey, SelfSignedError> {
    let names = [host.to_owned(), "localhost".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names)?;
    let key = any_supported_type(&PrivateKeyDer::Pkcs8(signing_key.serialize_der().into()))?;
    Ok(CertifiedKey::new(vec![cert.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

    use super::*;

    #[test]
    fn a_client_that_trusts_the_certificate_completes_a_handshake() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certified = make("pod-1").unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certified.cert[0].clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        let mut client = ClientConnection::new(Arc::new(client), "pod-1".try_into().unwrap()).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        for _ in 0..10 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
    }

    #[test]
    fn every_certificate_has_a_key_of_its_own() {
        assert_ne!(make("a").unwrap().cert, make("a").unwrap().cert);
        assert!(resolver("a").is_ok());
    }
}
