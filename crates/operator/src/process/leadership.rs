//! Who may run the controllers: the leader among the replicas and, when restricted, the owner of the namespace
//! (`operator-process.md` sections 4, 5). What was taken is given back in the opposite order.

use dynamo_kubekit::lease::{Candidate, Timing};
use kube::Client;
use tokio::sync::watch;

use super::{Error, cluster};
use crate::{flags::LeaderElection, metrics::LeaderMetrics, scope::Claim};

/// A candidate for the Lease of the flags, with a gauge that says whether it leads.
pub(super) struct Election {
    pub(super) candidate: Candidate,
    lease: String,
    metrics: LeaderMetrics,
}

impl Election {
    pub(super) fn new(
        client: &Client,
        flags: &LeaderElection,
        metrics: LeaderMetrics,
    ) -> Result<Self, Error> {
        let namespace = flags.namespace.clone().or_else(cluster::own_namespace);
        let namespace = namespace.ok_or(Error::NoLeaseNamespace)?;
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "operator".to_owned());
        let identity = format!("{host}_{}", uuid::Uuid::new_v4());
        metrics.set(&flags.id, false);
        let candidate = Candidate::new(client.clone(), &namespace, &flags.id, identity, Timing::default());
        Ok(Self { candidate, lease: flags.id.clone(), metrics })
    }
}

/// Runs `controllers` while this process leads; without election it always does.
pub(super) async fn lead(
    election: Option<Election>,
    claim: Option<Claim>,
    controllers: impl Future<Output = ()>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), Error> {
    let Some(Election { mut candidate, lease, metrics }) = election else {
        return own(claim, controllers, stopping).await;
    };
    let since = tokio::select! {
        since = candidate.acquire() => since,
        _ = stopping.wait_for(|stop| *stop) => return Ok(()),
    };
    metrics.set(&lease, true);
    tokio::select! {
        lost = candidate.hold(since) => return Err(lost.into()),
        ended = own(claim, controllers, stopping) => ended?,
    }
    candidate.release().await;
    metrics.set(&lease, false);
    Ok(())
}

/// Runs `controllers` while the claim on the namespace holds; a cluster-wide operator needs none. The claim is given
/// back as soon as they have ended.
async fn own(
    claim: Option<Claim>,
    controllers: impl Future<Output = ()>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), Error> {
    let Some(mut claim) = claim else {
        controllers.await;
        return Ok(());
    };
    let mut ticket = claim.ticket();
    let work = async move {
        tokio::select! {
            () = ticket.granted() => controllers.await,
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    };
    tokio::select! {
        lost = claim.keep() => return Err(lost.into()),
        () = work => {}
    }
    claim.release().await;
    Ok(())
}
