//! Discovery through etcd: own keys bound to leases, and a watch (runtime.md 5.2).
//! It must not end the process: a lease that is lost is granted again under the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::record::Registry;
use super::{DiscoveryError, Snapshot, TREES};
use client::{Cluster, Failure};
use proto::{Compare, DeleteRequest, Op, PutRequest, RangeRequest, ResponseOp, TxnRequest};
use settings::EtcdSettings;

mod client;
mod follow;
mod proto;
mod settings;
mod view;

const LIFE: Duration = Duration::from_secs(10);
/// Between renewals that fail, however little of the lease is left.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Etcd {
    shared: Arc<Shared>,
    /// Only entries of this namespace are watched.
    namespace: OnceLock<String>,
    watching: OnceLock<(watch::Receiver<Arc<Snapshot>>, AbortOnDropHandle<()>)>,
}

#[derive(Debug)]
struct Shared {
    cluster: Cluster,
    /// Held during a write, so that the last state is the one that stays.
    own: tokio::sync::Mutex<Registry>,
    /// Tasks that renew, by lease.
    leases: Mutex<BTreeMap<i64, AbortOnDropHandle<()>>>,
}

/// One key of this process. The lease has the instance's id.
#[derive(Debug, PartialEq)]
struct Entry {
    value: Vec<u8>,
    lease: i64,
}

impl Etcd {
    pub(super) fn from_environment() -> Result<Self, DiscoveryError> {
        Ok(Self::new(EtcdSettings::from_environment().map_err(DiscoveryError::Settings)?))
    }

    fn new(settings: EtcdSettings) -> Self {
        let shared = Shared {
            cluster: Cluster::new(settings),
            own: tokio::sync::Mutex::default(),
            leases: Mutex::default(),
        };
        Self { shared: Arc::new(shared), namespace: OnceLock::new(), watching: OnceLock::new() }
    }

    /// Takes effect before the first `watch`.
    pub(super) fn limit_to(&self, namespace: &str) {
        drop(self.namespace.set(namespace.to_owned()));
    }

    /// Changes the own registry and writes the difference; on failure the old registry stays.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<(), DiscoveryError>,
    ) -> Result<(), DiscoveryError> {
        let mut own = self.shared.own.lock().await;
        let mut changed = own.clone();
        change(&mut changed)?;
        let (before, after) = (entries(&own), entries(&changed));
        let fresh: BTreeMap<&String, &Entry> =
            after.iter().filter(|(key, entry)| before.get(*key) != Some(entry)).collect();
        for lease in fresh.values().map(|entry| entry.lease).collect::<BTreeSet<_>>() {
            self.hold(lease).await.map_err(unpublished)?;
        }
        self.shared.put(&fresh, &before).await?;
        let kept: BTreeSet<i64> = after.values().map(|entry| entry.lease).collect();
        // The end of a lease removes its keys in one step.
        let ended: Vec<i64> = {
            let leases = self.shared.leases.lock().unwrap_or_else(PoisonError::into_inner);
            leases.keys().copied().filter(|lease| !kept.contains(lease)).collect()
        };
        for lease in ended {
            let renewing = self.shared.leases.lock().unwrap_or_else(PoisonError::into_inner).remove(&lease);
            drop(renewing);
            self.shared.cluster.revoke(lease).await.map_err(unpublished)?;
        }
        let gone =
            before.iter().filter(|(key, entry)| !after.contains_key(*key) && kept.contains(&entry.lease));
        let removals: Vec<_> =
            gone.map(|(key, _)| Op::Delete(DeleteRequest { key: key.clone().into_bytes() }).into()).collect();
        if !removals.is_empty() {
            let request = TxnRequest { success: removals, ..TxnRequest::default() };
            self.shared.cluster.txn(request).await.map_err(unpublished)?;
        }
        *own = changed;
        Ok(())
    }

    /// Makes sure that a lease exists and is renewed.
    async fn hold(&self, lease: i64) -> Result<(), Failure> {
        if self.shared.leases.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&lease) {
            return Ok(());
        }
        self.shared.cluster.grant(lease, LIFE).await?;
        let renewing = AbortOnDropHandle::new(tokio::spawn(renew(self.shared.clone(), lease)));
        self.shared.leases.lock().unwrap_or_else(PoisonError::into_inner).insert(lease, renewing);
        Ok(())
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        let (visible, _) = self.watching.get_or_init(|| {
            let (sender, visible) = watch::channel(Arc::new(Snapshot::default()));
            let namespace = self.namespace.get().cloned();
            let task = tokio::spawn(follow::observe(self.shared.clone(), namespace, sender));
            (visible, AbortOnDropHandle::new(task))
        });
        visible.clone()
    }
}

fn unpublished(failure: Failure) -> DiscoveryError {
    DiscoveryError::Etcd(failure.to_string())
}

impl Shared {
    /// Writes entries that must not exist yet, unless they are among `known`, the process's own.
    async fn put(
        &self,
        fresh: &BTreeMap<&String, &Entry>,
        known: &BTreeMap<String, Entry>,
    ) -> Result<(), DiscoveryError> {
        if fresh.is_empty() {
            return Ok(());
        }
        let mut request = TxnRequest::default();
        for (key, entry) in fresh {
            let key = key.as_bytes().to_vec();
            let put = PutRequest { key: key.clone(), value: entry.value.clone(), lease: entry.lease };
            request.success.push(Op::Put(put).into());
            request.failure.push(Op::Range(RangeRequest { key: key.clone(), range_end: Vec::new() }).into());
        }
        let new = fresh.keys().filter(|key| !known.contains_key(**key));
        request.compare = new.map(|key| Compare { key: key.as_bytes().to_vec(), version: Some(0) }).collect();
        let answer = self.cluster.txn(request).await.map_err(unpublished)?;
        if answer.succeeded {
            return Ok(());
        }
        // What is there may be our own, from a try whose answer was lost.
        for ((key, entry), found) in fresh.iter().zip(&answer.responses) {
            let ResponseOp { range: Some(range) } = found else { continue };
            let own = range.kvs.first().is_some_and(|kv| kv.lease == entry.lease && kv.value == entry.value);
            if !own {
                return Err(DiscoveryError::Duplicate { key: (*key).clone() });
            }
        }
        Ok(())
    }

    /// Brings back a lost lease with its keys.
    async fn restore(&self, lease: i64) -> Result<(), DiscoveryError> {
        let own = self.own.lock().await;
        self.cluster.grant(lease, LIFE).await.map_err(unpublished)?;
        let entries = entries(&own);
        let lost = entries.iter().filter(|(_, entry)| entry.lease == lease).collect();
        self.put(&lost, &BTreeMap::new()).await
    }
}

/// Renews a lease at half of what remains until the lease is given up. While etcd is away it keeps trying: a cluster
/// that comes back counts the lease's life anew.
async fn renew(shared: Arc<Shared>, lease: i64) {
    let mut end = Instant::now() + LIFE;
    let mut failing = false;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        tokio::time::sleep((left / 2).max(SHORTEST_PAUSE)).await;
        let asked = Instant::now();
        let outcome = match shared.cluster.renew(lease).await {
            Ok(Duration::ZERO) => {
                tracing::warn!("etcd has ended lease {lease:x}; registering again");
                shared.restore(lease).await.map(|()| LIFE)
            }
            Ok(life) => Ok(life),
            Err(failure) => Err(unpublished(failure)),
        };
        match outcome {
            Ok(life) => {
                end = asked + life;
                if std::mem::take(&mut failing) {
                    tracing::info!("lease {lease:x} is renewed again");
                }
            }
            Err(error) if failing => tracing::debug!("lease {lease:x}: {error}"),
            Err(error) => {
                failing = true;
                tracing::warn!("lease {lease:x} is not renewed: {error}; trying until it is");
            }
        }
    }
}

/// The keys of a registry.
fn entries(registry: &Registry) -> BTreeMap<String, Entry> {
    let data = registry.to_data();
    let mut entries = BTreeMap::new();
    for (map, tree) in TREES {
        for (key, record) in data[map].as_object().into_iter().flatten() {
            let lease =
                record["instance_id"].as_u64().and_then(|id| i64::try_from(id).ok()).unwrap_or_default();
            entries.insert(
                format!("{tree}/{key}"),
                Entry { value: Value::to_string(record).into_bytes(), lease },
            );
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EndpointId, EndpointInstance, ModelCard, Registration, Transport};

    #[test]
    fn keys_and_leases_are_those_of_the_contract() {
        let id = EndpointId::new("ns", "backend", "generate");
        let transport = Transport::Tcp("198.18.0.7:41000/1f3a/generate".to_owned());
        let instance = EndpointInstance { id, instance_id: 0x1f3a, transport };
        let mut own = Registry::default();
        own.add(&Registration::model(instance, ModelCard::with_name("m"))).unwrap();
        let entries = entries(&own);
        let keys: Vec<&str> = entries.keys().map(String::as_str).collect();
        assert_eq!(keys, ["v1/instances/ns/backend/generate/1f3a", "v1/mdc/ns/backend/generate/1f3a"]);
        assert!(entries.values().all(|entry| entry.lease == 0x1f3a));
        let value: Value =
            serde_json::from_slice(&entries["v1/instances/ns/backend/generate/1f3a"].value).unwrap();
        assert_eq!(value["type"], "Endpoint");
    }
}
