//! Where etcd is and how to be let in, from the `ETCD_*` variables (runtime.md 5.2).
//! It must not open a connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::causes::with_causes;
use crate::settings;

const DEFAULT_ENDPOINT: &str = "http://localhost:2379";
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A server closes connections that ask for signs of life more often than every 5 s.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct EtcdSettings {
    /// Each with its scheme.
    pub(super) endpoints: Vec<String>,
    pub(super) user: Option<(String, String)>,
    pub(super) ca: Option<PathBuf>,
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

impl std::fmt::Debug for EtcdSettings {
    /// Without the password.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.user.as_ref().map(|(name, _)| name);
        out.debug_struct("EtcdSettings")
            .field("endpoints", &self.endpoints)
            .field("user", &user)
            .field("ca", &self.ca)
            .field("client", &self.client)
            .finish()
    }
}

impl EtcdSettings {
    pub(super) fn from_environment() -> Result<Self, String> {
        Self::read(settings::text)
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let pair = |first: &str, second: &str| match (variable(first), variable(second)) {
            (Some(one), Some(two)) => Ok(Some((one, two))),
            (None, None) => Ok(None),
            _ => Err(format!("{first} and {second} belong together; set both or none")),
        };
        let user = pair("ETCD_AUTH_USERNAME", "ETCD_AUTH_PASSWORD")?;
        let client = pair("ETCD_AUTH_CLIENT_CERT", "ETCD_AUTH_CLIENT_KEY")?;
        let ca = variable("ETCD_AUTH_CA").map(PathBuf::from);
        let scheme = if ca.is_some() || client.is_some() { "https" } else { "http" };
        let list = variable("ETCD_ENDPOINTS").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let mut endpoints = Vec::new();
        for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let address = if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
            let readable = Endpoint::from_shared(address.clone()).is_ok_and(|endpoint| {
                let uri = endpoint.uri();
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
            });
            if !readable {
                return Err(format!(
                    "ETCD_ENDPOINTS: `{text}` is not an address; write host:port, http://host:port or \
                     https://host:port"
                ));
            }
            endpoints.push(address.trim_end_matches('/').to_owned());
        }
        if endpoints.is_empty() {
            return Err(format!("ETCD_ENDPOINTS: `{list}` names no address; write host:port[,host:port]"));
        }
        let client = client.map(|(cert, key)| (cert.into(), key.into()));
        Ok(Self { endpoints, user, ca, client })
    }

    /// The addresses, for messages.
    pub(super) fn names(&self) -> String {
        self.endpoints.join(",")
    }

    /// How to connect to one address. Certificates are read anew each time, since they are replaced while the process
    /// runs.
    pub(super) fn endpoint(&self, address: &str) -> Result<Endpoint, String> {
        let unusable = |error: tonic::transport::Error| with_causes(&error);
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(unusable)?
            .connect_timeout(CONNECT_LIMIT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_LIMIT);
        if !address.starts_with("https://") {
            return Ok(endpoint);
        }
        let mut tls = match &self.ca {
            Some(path) => {
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(file("ETCD_AUTH_CA", path)?))
            }
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((cert, key)) = &self.client {
            let cert = file("ETCD_AUTH_CLIENT_CERT", cert)?;
            tls = tls.identity(Identity::from_pem(cert, file("ETCD_AUTH_CLIENT_KEY", key)?));
        }
        endpoint.tls_config(tls).map_err(unusable)
    }
}

fn file(variable: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{variable}: `{}` cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<EtcdSettings, String> {
        EtcdSettings::read(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn addresses_may_lack_the_scheme_and_tls_files_make_it_https() {
        assert_eq!(read(&[]).unwrap().endpoints, ["http://localhost:2379"]);
        let list = ("ETCD_ENDPOINTS", "r-etcd.ns.svc.cluster.local:2379, https://two:2379/ ,");
        assert_eq!(
            read(&[list]).unwrap().endpoints,
            ["http://r-etcd.ns.svc.cluster.local:2379", "https://two:2379"]
        );
        let tls = read(&[list, ("ETCD_AUTH_CA", "/ca")]).unwrap();
        assert_eq!(tls.endpoints[0], "https://r-etcd.ns.svc.cluster.local:2379");
    }

    #[test]
    fn half_a_pair_and_unreadable_addresses_are_named() {
        for (pairs, word) in [
            (&[("ETCD_AUTH_USERNAME", "u")][..], "ETCD_AUTH_PASSWORD"),
            (&[("ETCD_AUTH_CLIENT_KEY", "k")], "ETCD_AUTH_CLIENT_CERT"),
            (&[("ETCD_ENDPOINTS", "one:2379,ftp://two")], "`ftp://two`"),
            (&[("ETCD_ENDPOINTS", ", ,")], "names no address"),
        ] {
            let error = read(pairs).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let settings = read(&[("ETCD_AUTH_USERNAME", "u"), ("ETCD_AUTH_PASSWORD", "hidden")]).unwrap();
        assert!(!format!("{settings:?}").contains("hidden"));
    }

    #[test]
    fn a_missing_certificate_is_named_with_its_variable() {
        let settings = read(&[("ETCD_AUTH_CA", "/no/such/file")]).unwrap();
        let error = settings.endpoint("https://one:2379").unwrap_err();
        assert!(error.contains("ETCD_AUTH_CA") && error.contains("/no/such/file"), "{error}");
        assert!(settings.endpoint("http://one:2379").is_ok());
    }
}
