//! Who this process is: pod name, namespace, uid and address, and the id derived from the name.
//! It must not ask the Kubernetes API: everything comes from files and the environment.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;

use crate::settings;

/// Folder of the downward-API files; preferred over the environment, which is stale after a
/// restore from a checkpoint (runtime.md 1).
pub const POD_INFO: &str = "/etc/podinfo";

/// An instance id has 53 bits so that JSON readers keep it exact.
pub(crate) const ID_MASK: u64 = 0x001F_FFFF_FFFF_FFFF;

/// The pod this process runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    /// Address under which other pods reach this process.
    pub ip: IpAddr,
}

/// An identity that is not given to this process.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "the pod's {what} is unknown: neither {POD_INFO}/{file} nor the variable {variable} is set; \
         give the container {variable} through the downward API"
    )]
    Missing { what: &'static str, file: &'static str, variable: &'static str },
}

impl PodIdentity {
    /// Reads the files of the downward API, then the environment.
    pub fn from_environment() -> Result<Self, IdentityError> {
        Self::read(Path::new(POD_INFO))
    }

    fn read(folder: &Path) -> Result<Self, IdentityError> {
        let part = |what, file: &'static str, variable: &'static str| {
            std::fs::read_to_string(folder.join(file))
                .ok()
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
                .or_else(|| settings::text(variable))
                .ok_or(IdentityError::Missing { what, file, variable })
        };
        Ok(Self {
            name: part("name", "pod_name", "POD_NAME")?,
            namespace: part("namespace", "pod_namespace", "POD_NAMESPACE")?,
            uid: part("uid", "pod_uid", "POD_UID")?,
            ip: own_ip(),
        })
    }

    /// An identity outside Kubernetes: the given name, address of this host.
    pub fn local(name: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: "default".to_owned(), uid: String::new(), ip: own_ip() }
    }

    /// The id of this pod's instances (runtime.md 5.1).
    pub fn instance_id(&self) -> u64 {
        instance_id(&self.name)
    }
}

/// SipHash-1-3 with zero keys over the name and 0xFF, masked to 53 bits (runtime.md 5.1).
pub fn instance_id(pod_name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    pod_name.hash(&mut hasher);
    hasher.finish() & ID_MASK
}

/// The Dynamo namespace of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynNamespace(pub String);

impl DynNamespace {
    /// `DYN_NAMESPACE`, `dynamo` when unset.
    pub fn from_environment() -> Self {
        Self(settings::text("DYN_NAMESPACE").unwrap_or_else(|| "dynamo".to_owned()))
    }
}

/// The address others reach this process at: `POD_IP`, else the source address of the default
/// route (a connected datagram socket sends nothing), else loopback.
pub fn own_ip() -> IpAddr {
    if let Some(ip) = settings::text("POD_IP").and_then(|text| text.parse().ok()) {
        return ip;
    }
    let routes = [("0.0.0.0:0", "198.18.0.1:9"), ("[::]:0", "[2001:2::1]:9")];
    for (local, remote) in routes {
        let source = UdpSocket::bind(local).and_then(|socket| {
            socket.connect(remote)?;
            socket.local_addr()
        });
        if let Ok(address) = source
            && !address.ip().is_unspecified()
        {
            return address.ip();
        }
    }
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_ids_are_the_masked_siphash_of_the_pod_name() {
        // Values from an independent implementation of SipHash-1-3.
        assert_eq!(instance_id("worker-0"), 0x43710f49c0cff);
        assert_eq!(instance_id("agg-vllmdecodeworker-7d9c8b6f5-x2x4q"), 0x3a58297bb93cf);
    }

    #[test]
    fn files_win_over_the_environment_and_a_missing_part_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = PodIdentity::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("POD_NAME"), "{error}");
        for (file, text) in [("pod_name", "p-0\n"), ("pod_namespace", "ns"), ("pod_uid", "u")] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let identity = PodIdentity::read(folder.path()).unwrap();
        assert_eq!((identity.name.as_str(), identity.namespace.as_str()), ("p-0", "ns"));
        assert_eq!(identity.uid, "u");
    }

    #[test]
    fn the_own_address_can_be_advertised() {
        assert!(!own_ip().is_unspecified());
    }
}
