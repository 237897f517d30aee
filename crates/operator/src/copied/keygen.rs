//! Makes the SSH key of MPI launchers where there is none: what the reference leaves to a hook job
//! (`operator-process.md` section 12, `charts.md` section 10). A Secret that exists is never changed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use dynamo_kubekit::{
    backoff::{Failures, jittered},
    client::chain,
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::ObjectMeta};
use rsa::{PrivateKey, pkcs1::EncodeRsaPrivateKey, pkcs8::LineEnding, traits::PublicKeyParts};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::Copied;
use crate::{flags::NamespacedName, writes};

/// What launchers mount.
const PRIVATE: &str = "private.key";
const PUBLIC: &str = "private.key.pub";
const BITS: usize = 2048;
const COMMENT: &str = "dynamo-mpi-run";
/// Pause between two looks, for a Secret that may be read and not watched.
const LOOK: Duration = Duration::from_secs(600);

/// No key could be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    #[error("cannot make an RSA key")]
    Make(#[from] rsa::Error),
    #[error("cannot encode an RSA key")]
    Encode(#[from] rsa::pkcs1::Error),
    #[error("the task that makes an RSA key has ended")]
    Task(#[from] tokio::task::JoinError),
}

/// The Secret is not there and could not be made.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read the Secret (the operator needs the right to get it)")]
    Read(#[source] kube::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("cannot create the Secret (the operator needs the right to create Secrets in that namespace)")]
    Create(#[source] kube::Error),
}

/// Looks after the Secret while the process leads.
pub struct Keygen {
    client: Client,
    source: NamespacedName,
    source_gone: Arc<Notify>,
    /// A Secret of another shape was told of.
    told: bool,
}

impl std::fmt::Debug for Keygen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keygen").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Keygen {
    /// Writes with `client`, whose right to write is that of the leader; `key` tells when the Secret is deleted.
    #[must_use]
    pub fn new(client: Client, key: &Copied) -> Self {
        let (source, source_gone) = (key.settings.source.clone(), Arc::clone(&key.source_gone));
        Self { client, source, source_gone, told: false }
    }

    /// Makes the Secret whenever it is missing. Does not end; an error is tried again and is nobody else's.
    pub async fn run(mut self) {
        let failures = Failures::default();
        loop {
            match self.make_if_missing().await {
                Ok(()) => {
                    failures.reset(&());
                    // The end of the pause is for who may not watch.
                    let _ = tokio::time::timeout(jittered(LOOK), self.source_gone.notified()).await;
                }
                Err(error) => {
                    let retry_in = failures.record(());
                    let NamespacedName { namespace, name } = &self.source;
                    warn!(
                        namespace, name, error = %chain(&error), retry_in = retry_in.as_secs(),
                        "SSH key of MPI not made"
                    );
                    tokio::time::sleep(retry_in).await;
                }
            }
        }
    }

    async fn make_if_missing(&mut self) -> Result<(), Error> {
        let NamespacedName { namespace, name } = self.source.clone();
        let api = Api::<Secret>::namespaced(self.client.clone(), &namespace);
        if let Some(present) = api.get_opt(&name).await.map_err(Error::Read)? {
            let is_usable = has_entries(&present);
            if !is_usable && !self.told {
                warn!(
                    namespace,
                    name,
                    "the Secret of the SSH key of MPI lacks {PRIVATE} or {PUBLIC}: it is left as it is; delete it \
                     to have a key made"
                );
            }
            self.told = !is_usable;
            return Ok(());
        }
        self.told = false;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            data: Some(tokio::task::spawn_blocking(new_key).await.map_err(KeyError::from)??),
            ..Secret::default()
        };
        // One that somebody else made is as good.
        if writes::create(&api, &secret).await.map_err(Error::Create)?.is_some() {
            info!(namespace, name, "SSH key of MPI made");
        }
        Ok(())
    }
}

fn has_entries(secret: &Secret) -> bool {
    let entry = |name| secret.data.as_ref().and_then(|data| data.get(name));
    [PRIVATE, PUBLIC].into_iter().all(|name| entry(name).is_some_and(|value| !value.0.is_empty()))
}

/// A new key without a passphrase: the private half as PEM, which every OpenSSH reads, the public one as a line of
/// `authorized_keys`. Takes a second or so.
fn new_key() -> Result<BTreeMap<String, ByteString>, KeyError> {
    let key = PrivateKey::new(&mut rand::rng(), BITS)?;
    let private = key.to_pkcs1_pem(LineEnding::LF)?;
    Ok(BTreeMap::from([
        (PRIVATE.to_owned(), ByteString(private.as_bytes().to_vec())),
        (PUBLIC.to_owned(), ByteString(public_line(&key).into_bytes())),
    ]))
}

/// The public half as RFC 4253 section 6.6 has it, in one line.
fn public_line(key: &impl PublicKeyParts) -> String {
    const KIND: &[u8] = b"ssh-rsa";
    let mut blob = Vec::new();
    field(&mut blob, KIND);
    field(&mut blob, &positive(&key.e_bytes()));
    field(&mut blob, &positive(&key.n_bytes()));
    format!("ssh-rsa {} {COMMENT}\n", STANDARD.encode(blob))
}

/// A number as SSH writes it: without leading zeros, but with one before a set highest bit, which would be a sign.
fn positive(number: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign = digits.first().is_some_and(|byte| *byte >= 0x80).then_some(0);
    sign.into_iter().chain(digits).collect()
}

/// Bytes behind their length.
fn field(blob: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    blob.extend(length.to_be_bytes());
    blob.extend(bytes);
}

#[cfg(test)]
mod tests;
