//! One X.509 certificate, and whether an API server would accept it.
//! Private keys never come here.

use jiff::Timestamp;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier, verify_server_name},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use super::bundle::Bundle;

/// A certificate that could be parsed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Certificate {
    der: CertificateDer<'static>,
    /// First moment of its life.
    pub not_before: Timestamp,
    /// Last moment of its life.
    pub not_after: Timestamp,
    /// DNS names among its subject alternative names, in lower case and sorted.
    pub names: Vec<String>,
    /// Whether it may sign others.
    pub is_ca: bool,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({:?} until {})", self.names, self.not_after)
    }
}

impl Certificate {
    /// Parses DER. `None` when it is no certificate.
    #[must_use]
    pub fn parse(der: CertificateDer<'static>) -> Option<Self> {
        let (not_before, not_after, names, is_ca) = {
            let parsed = open(&der)?;
            let validity = parsed.validity();
            let mut names: Vec<String> = parsed
                .subject_alternative_name()
                .ok()
                .flatten()
                .map(|extension| &extension.value.general_names)
                .into_iter()
                .flatten()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                    _ => None,
                })
                .collect();
            names.sort_unstable();
            (
                clamped(validity.not_before.timestamp()),
                clamped(validity.not_after.timestamp()),
                names,
                parsed.is_ca(),
            )
        };
        Some(Self { der, not_before, not_after, names, is_ca })
    }

    /// Every certificate of a PEM text that parses, in its order; the rest of the text is passed over.
    #[must_use]
    pub fn read_all(pem: &[u8]) -> Vec<Self> {
        CertificateDer::pem_slice_iter(pem).filter_map(|der| Self::parse(der.ok()?)).collect()
    }

    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    #[must_use]
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("CERTIFICATE", self.der.to_vec()), config)
    }

    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether the key of `authority` made this certificate's signature.
    #[must_use]
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        let (Some(own), Some(authority)) = (open(&self.der), open(&authority.der)) else { return false };
        own.issuer() == authority.subject() && own.verify_signature(Some(authority.public_key())).is_ok()
    }

    /// Whether `key`, the raw public key, is the one this certificate speaks of.
    #[must_use]
    pub fn has_public_key(&self, key: &[u8]) -> bool {
        open(&self.der).is_some_and(|parsed| parsed.public_key().subject_public_key.data == key)
    }
}

/// Checks a served chain, leaf first, as an API server with `bundle` as its `caBundle` does for `name`.
///
/// # Errors
/// Why it would be refused.
pub fn verify(chain: &[Certificate], bundle: &Bundle, name: &str, now: Timestamp) -> Result<(), String> {
    let (leaf, intermediates) = chain.split_first().ok_or("there is no certificate")?;
    let server = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is not a DNS name"))?;
    // Of an authority whose life is over, API servers accept nothing; rustls does not look at it.
    let mut roots = RootCertStore::empty();
    for authority in bundle.iter().filter(|authority| authority.is_valid_at(now)) {
        if authority == leaf {
            // API servers also trust a certificate that stands in the bundle itself, whether it may sign or not.
            let parsed = ParsedCertificate::try_from(leaf.der()).map_err(|error| error.to_string())?;
            return verify_server_name(&parsed, &server).map_err(|error| error.to_string());
        }
        let _ = roots.add(authority.der().clone());
    }
    if roots.is_empty() {
        return Err("the bundle holds no authority that is valid now".to_owned());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), ring::default_provider().into())
        .build()
        .map_err(|error| error.to_string())?;
    let intermediates: Vec<CertificateDer<'_>> =
        intermediates.iter().map(|certificate| certificate.der().clone()).collect();
    let since_epoch = std::time::Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    verifier
        .verify_server_cert(leaf.der(), &intermediates, &server, &[], UnixTime::since_unix_epoch(since_epoch))
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Certificates without an end say 31 December 9999, some hours more than the calendar has here.
fn clamped(seconds: i64) -> Timestamp {
    let nearest = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(seconds).unwrap_or(nearest)
}

fn open<'a>(der: &'a CertificateDer<'static>) -> Option<X509Certificate<'a>> {
    x509_parser::parse_x509_certificate(der).ok().map(|(_, parsed)| parsed)
}
