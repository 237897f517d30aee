//! Makes authorities and the leaves they sign: ECDSA P-256 (`operator-process.md` section 10).
//! Decides nothing: when and from whom is said by `rotation`.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{Error, Names, certificate::Certificate};

/// How long before its making a certificate is valid already. An hour would do for clocks that are kept; a day more
/// keeps admission alive when the clock of one host is a day off.
const BACKDATE: SignedDuration = SignedDuration::from_hours(25);

const DAY_SECONDS: i64 = 86_400;

/// An authority with its key.
#[derive(Clone)]
pub struct Authority {
    pub certificate: Certificate,
    key: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Authority").field(&self.certificate).finish()
    }
}

impl Authority {
    /// A new authority that lives `days` from `now`.
    ///
    /// # Errors
    /// [`Error::Make`] when the key or the certificate cannot be made.
    pub fn new(days: i64, now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Dynamo Webhook CA");
        params.distinguished_name.push(DnType::OrganizationName, "NVIDIA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_life(&mut params, backdated(now), later(now, days));
        let der = params.self_signed(&key)?.der().clone();
        let certificate = Certificate::parse(der).ok_or(Error::Unreadable)?;
        Ok(Self { certificate, key: key.serialize_pem() })
    }

    /// The authority of a key among `certificates`. `None` when the key does not parse or fits none of them.
    #[must_use]
    pub fn find<'a>(key: &[u8], certificates: impl IntoIterator<Item = &'a Certificate>) -> Option<Self> {
        let text = std::str::from_utf8(key).ok()?;
        let pair = KeyPair::from_pem(text).ok()?;
        let certificate =
            certificates.into_iter().find(|certificate| certificate.has_public_key(pair.public_key_raw()))?;
        certificate.is_ca.then(|| Self { certificate: certificate.clone(), key: text.to_owned() })
    }

    /// The private key, PEM.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    /// A new leaf for `names` that lives `days` from `now`, but no longer than this authority.
    ///
    /// # Errors
    /// [`Error::Make`].
    pub fn issue(&self, names: &Names, days: i64, now: Timestamp) -> Result<Leaf, Error> {
        let issuer = Issuer::from_ca_cert_der(self.certificate.der(), KeyPair::from_pem(&self.key)?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.all())?;
        params.distinguished_name = DistinguishedName::new();
        // A common name longer than 64 characters is refused by some; the alternative names are what counts.
        if names.service.len() <= 64 {
            params.distinguished_name.push(DnType::CommonName, names.service.as_str());
        }
        params.distinguished_name.push(DnType::OrganizationName, "NVIDIA");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let from = backdated(now).max(self.certificate.not_before);
        set_life(&mut params, from, later(now, days).min(self.certificate.not_after));
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Leaf::read(certificate.as_bytes(), key.serialize_pem().as_bytes())
    }
}

/// A chain that can be served, leaf first, with the key of the leaf.
#[derive(Clone)]
pub struct Leaf {
    chain: Vec<Certificate>,
    certificate_pem: Vec<u8>,
    key_pem: Vec<u8>,
    served: Arc<CertifiedKey>,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Leaf").field(&self.chain).finish()
    }
}

impl Leaf {
    /// Reads `tls.crt` (leaf first, then intermediates) and `tls.key`.
    ///
    /// # Errors
    /// [`Error::Pair`] when one does not parse, the key cannot sign here, or it is not that of the first certificate.
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<Self, Error> {
        let pair = |reason: String| Error::Pair { reason };
        let chain = Certificate::read_all(certificate);
        if chain.is_empty() {
            return Err(pair("tls.crt holds no certificate".to_owned()));
        }
        let parsed = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| pair(format!("tls.key is no key: {error}")))?;
        let ders = chain.iter().map(|certificate| certificate.der().clone()).collect();
        let key_of_server = ring::default_provider().key_provider.load_private_key(parsed).map_err(|_| {
            pair(
                "tls.key: this kind of key is not supported: use RSA 2048 to 4096, P-256, P-384 or Ed25519"
                    .to_owned(),
            )
        })?;
        let served = CertifiedKey::new(ders, key_of_server);
        match served.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(error) => return Err(pair(format!("tls.key does not belong to tls.crt: {error}"))),
        }
        Ok(Self {
            chain,
            certificate_pem: certificate.to_vec(),
            key_pem: key.to_vec(),
            served: Arc::new(served),
        })
    }

    /// The certificate of the server itself.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.chain[0]
    }

    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// What `tls.crt` holds.
    #[must_use]
    pub fn certificate_pem(&self) -> &[u8] {
        &self.certificate_pem
    }

    /// What `tls.key` holds.
    #[must_use]
    pub fn key_pem(&self) -> &[u8] {
        &self.key_pem
    }

    /// In the form the TLS server takes.
    #[must_use]
    pub fn served(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.served)
    }

    /// Whether both show the same chain.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

/// `days` after `now`, held within what the calendar can say.
#[must_use]
pub fn later(now: Timestamp, days: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(days.saturating_mul(DAY_SECONDS))).unwrap_or(Timestamp::MAX)
}

fn backdated(now: Timestamp) -> Timestamp {
    now.checked_sub(BACKDATE).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn set_life(params: &mut CertificateParams, from: Timestamp, until: Timestamp) {
    let epoch = date_time_ymd(1970, 1, 1);
    let seconds = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    params.not_before = epoch + seconds(from);
    params.not_after = epoch + seconds(until);
}
