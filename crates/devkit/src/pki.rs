//! Certificates, tokens and kubeconfig files for a control plane of our own.
//! Must not touch anything outside the folder it is given.

use std::io::Read;
use std::path::Path;

use base64::Engine;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::{Error, Result, files};

/// A certificate authority that exists as long as this value; only its certificate is kept.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// [`Error::Parse`] when the key or certificate cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = new_key()?;
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority's certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Writes `NAME.crt` and `NAME.key` for a server reached as any of `addresses` (host names or IP addresses).
    ///
    /// # Errors
    /// [`Error::Parse`] for an unusable address, [`Error::Io`].
    pub fn write_server(&self, folder: &Path, name: &str, addresses: &[&str]) -> Result<()> {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(addresses).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.write(folder, name, params)
    }

    /// Writes `NAME.crt` and `NAME.key` for a client: Kubernetes reads `user` and `group` from the subject.
    ///
    /// # Errors
    /// [`Error::Parse`], [`Error::Io`].
    pub fn write_client(&self, folder: &Path, name: &str, user: &str, group: &str) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.write(folder, name, params)
    }

    fn write(&self, folder: &Path, name: &str, mut params: CertificateParams) -> Result<()> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        files::write(&folder.join(format!("{name}.crt")), certificate.pem())?;
        files::write_secret(&folder.join(format!("{name}.key")), key.serialize_pem())
    }
}

/// Writes `sa.key` and `sa.pub`, the pair that signs and checks service-account tokens.
///
/// # Errors
/// [`Error::Parse`], [`Error::Io`].
pub fn write_signing_pair(folder: &Path) -> Result<()> {
    let key = new_key()?;
    files::write_secret(&folder.join("sa.key"), key.serialize_pem())?;
    files::write(&folder.join("sa.pub"), key.public_key_pem())
}

fn new_key() -> Result<KeyPair> {
    KeyPair::generate().map_err(failed)
}

fn failed(error: rcgen::Error) -> Error {
    Error::parse("a certificate request", error)
}

/// A random bearer token of 128 bits, in hexadecimal.
///
/// # Errors
/// [`Error::Io`] when the system gives no random bytes.
pub fn token() -> Result<String> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 16];
    let mut source = std::fs::File::open(path).map_err(Error::io("open", path))?;
    source.read_exact(&mut bytes).map_err(Error::io("read", path))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A line of a token file: `token,user,user,"group,group"`.
pub fn token_line(token: &str, user: &str, groups: &[String]) -> String {
    format!("{token},{user},{user},\"{}\"\n", groups.join(","))
}

/// Text of a kubeconfig with one cluster and one user, carrying the authority's certificate.
pub fn kubeconfig(name: &str, url: &str, authority: &str, token: &str) -> String {
    let authority = base64::engine::general_purpose::STANDARD.encode(authority);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    server: {url}\n    \
         certificate-authority-data: {authority}\nusers:\n- name: {name}\n  user:\n    token: {token}\ncontexts:\n- name: {name}\n  \
         context:\n    cluster: {name}\n    user: {name}\n"
    )
}
