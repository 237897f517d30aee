//! Names of endpoints: `dyn://namespace.component.endpoint`, slugs and registry keys (runtime.md 5).
//! It must not talk to any network.

use std::fmt;
use std::str::FromStr;

/// Prefix of an endpoint address.
pub const SCHEME: &str = "dyn://";

/// The three names that address one kind of service; instances add an id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId {
    pub namespace: String,
    pub component: String,
    pub endpoint: String,
}

/// An address that does not name an endpoint.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("endpoint address `{address}` has {parts} part(s); write it as dyn://namespace.component.endpoint")]
pub struct EndpointError {
    address: String,
    parts: usize,
}

impl EndpointId {
    pub fn new(
        namespace: impl Into<String>,
        component: impl Into<String>,
        endpoint: impl Into<String>,
    ) -> Self {
        Self { namespace: namespace.into(), component: component.into(), endpoint: endpoint.into() }
    }

    /// Parses an address; the scheme may be absent, parts are split at `.` or `/`, and parts
    /// after the third are joined to the endpoint name with `_` (runtime.md 5).
    pub fn parse(address: &str) -> Result<Self, EndpointError> {
        let names = address.trim();
        let names = names.strip_prefix(SCHEME).unwrap_or(names);
        let parts: Vec<&str> =
            names.split(['.', '/']).map(str::trim).filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [namespace, component, endpoint @ ..] if !endpoint.is_empty() => {
                Ok(Self::new(*namespace, *component, endpoint.join("_")))
            }
            _ => Err(EndpointError { address: address.to_owned(), parts: parts.len() }),
        }
    }

    /// The address as a slug, for places that take no dots or slashes.
    pub fn slug(&self) -> String {
        slug(&format!("{}.{}.{}", self.namespace, self.component, self.endpoint))
    }

    /// Key in the registry: `namespace/component/endpoint/<hex id>` (runtime.md 5.1).
    pub fn key(&self, instance_id: u64) -> String {
        format!("{}/{}/{}/{instance_id:x}", self.namespace, self.component, self.endpoint)
    }

    /// Path of an instance on the request plane: `<hex id>/<endpoint>` (runtime.md 7.1).
    pub fn path(&self, instance_id: u64) -> String {
        format!("{instance_id:x}/{}", self.endpoint)
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}.{}.{}", self.namespace, self.component, self.endpoint)
    }
}

impl FromStr for EndpointId {
    type Err = EndpointError;

    fn from_str(address: &str) -> Result<Self, Self::Err> {
        Self::parse(address)
    }
}

/// Lower case; everything but a–z, 0–9, `-` and `_` becomes `_`; leading `_` are removed.
pub fn slug(text: &str) -> String {
    let replaced: String = text
        .to_lowercase()
        .chars()
        .map(|c| if matches!(c, 'a'..='z' | '0'..='9' | '-' | '_') { c } else { '_' })
        .collect();
    replaced.trim_start_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_slashes_separate_and_further_parts_join_the_endpoint() {
        let expected = EndpointId::new("ns", "backend", "generate");
        for address in ["dyn://ns.backend.generate", "ns/backend/generate", " dyn://ns/backend.generate "] {
            assert_eq!(EndpointId::parse(address).unwrap(), expected, "{address}");
        }
        assert_eq!(EndpointId::parse("dyn://a.b.c.d/e").unwrap(), EndpointId::new("a", "b", "c_d_e"));
        assert_eq!(expected.to_string(), "dyn://ns.backend.generate");
    }

    #[test]
    fn an_address_with_fewer_than_three_parts_is_refused() {
        for address in ["", "dyn://", "dyn://ns.backend", "ns"] {
            assert!(EndpointId::parse(address).is_err(), "{address}");
        }
    }

    #[test]
    fn slugs_keep_only_the_safe_characters() {
        assert_eq!(slug("__Qwen/Qwen3-0.6B"), "qwen_qwen3-0_6b");
        assert_eq!(EndpointId::new("Ns", "b", "g").slug(), "ns_b_g");
    }

    #[test]
    fn keys_and_paths_carry_the_id_in_lower_case_hex() {
        let id = EndpointId::new("ns", "backend", "generate");
        assert_eq!(id.key(7994), "ns/backend/generate/1f3a");
        assert_eq!(id.path(7994), "1f3a/generate");
    }
}
