//! A set of authorities, as it stands in `ca.crt` and in `caBundle`.
//! Order and what does not parse carry no meaning.

use super::certificate::Certificate;

/// Certificates without repetition, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Bundle(Vec<Certificate>);

impl Bundle {
    /// What parses in a PEM text.
    #[must_use]
    pub fn read(pem: &[u8]) -> Self {
        let mut bundle = Self::default();
        bundle.extend(Certificate::read_all(pem));
        bundle
    }

    pub fn extend(&mut self, certificates: impl IntoIterator<Item = Certificate>) {
        for certificate in certificates {
            if !self.0.contains(&certificate) {
                self.0.push(certificate);
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.0.iter()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn contains(&self, certificate: &Certificate) -> bool {
        self.0.contains(certificate)
    }

    /// Whether both hold the same certificates.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|certificate| other.contains(certificate))
    }

    #[must_use]
    pub fn to_pem(&self) -> Vec<u8> {
        self.0.iter().map(Certificate::to_pem).collect::<String>().into_bytes()
    }
}

impl FromIterator<Certificate> for Bundle {
    fn from_iter<I: IntoIterator<Item = Certificate>>(certificates: I) -> Self {
        let mut bundle = Self::default();
        bundle.extend(certificates);
        bundle
    }
}
