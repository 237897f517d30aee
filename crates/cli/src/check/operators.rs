//! Operators of the platform that act in the cluster already (`tools.md` section 1.4): cluster-wide ones by their
//! ClusterRoleBinding, restricted ones by the Lease that claims their namespace (`operator-process.md` section 5).

use std::collections::BTreeSet;

use dynamo_operator::scope::MARKER;
use k8s_openapi::{
    api::{coordination::v1::Lease, rbac::v1::ClusterRoleBinding},
    jiff::{SignedDuration, Timestamp},
};
use kube::{Api, ResourceExt, api::ListParams};

use super::report::Verdict;
use crate::{
    cluster::{Cluster, Error},
    pages,
};

/// Part of the name of the binding of a cluster-wide operator.
const MANAGER: &str = "dynamo-operator-manager";
/// Seconds that a claim holds which does not say it.
const UNSAID: i32 = 30;
const RESTRICT: &str = "--set dynamo-operator.namespaceRestriction.enabled=true";

/// Who acts where.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    wide: Vec<Wide>,
    restricted: Vec<Restricted>,
}

#[derive(Debug, PartialEq, Eq)]
struct Wide {
    binding: String,
    namespace: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Restricted {
    namespace: String,
    holder: String,
    /// Nobody renewed the claim in time.
    lapsed: bool,
}

/// # Errors
/// ClusterRoleBindings or Leases cannot be listed.
pub async fn gather(cluster: &Cluster) -> Result<Facts, Error> {
    let bindings: Api<ClusterRoleBinding> = Api::all(cluster.client.clone());
    let bindings = pages::all(&bindings, ListParams::default()).await;
    let bindings = bindings.map_err(|error| Error::of("list ClusterRoleBindings", &error))?;
    let leases: Api<Lease> = Api::all(cluster.client.clone());
    let by_name = ListParams::default().fields(&format!("metadata.name={MARKER}"));
    let leases = pages::all(&leases, by_name).await;
    let leases = leases.map_err(|error| Error::of("list Leases of all namespaces", &error))?;
    let now = Timestamp::now();
    let mut wide: Vec<Wide> = bindings.into_iter().filter_map(self::wide).collect();
    wide.sort_by(|a, b| a.binding.cmp(&b.binding));
    let mut restricted: Vec<Restricted> =
        leases.into_iter().filter_map(|lease| self::restricted(lease, now)).collect();
    restricted.sort_by(|a, b| a.namespace.cmp(&b.namespace));
    Ok(Facts { wide, restricted })
}

fn wide(binding: ClusterRoleBinding) -> Option<Wide> {
    let name = binding.name_any();
    let namespace = binding.subjects.unwrap_or_default().into_iter().next().and_then(|it| it.namespace);
    name.contains(MANAGER).then_some(Wide { binding: name, namespace })
}

/// `None` for a claim that was given back.
fn restricted(lease: Lease, now: Timestamp) -> Option<Restricted> {
    let spec = lease.spec.unwrap_or_default();
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty())?;
    let seconds = spec.lease_duration_seconds.unwrap_or(UNSAID);
    // The first form of a claim says only when it was made.
    let said = spec.renew_time.or(spec.acquire_time).map(|time| time.0);
    let said = said.or(lease.metadata.creation_timestamp.map(|time| time.0));
    let lapsed =
        said.is_some_and(|said| now.duration_since(said) > SignedDuration::from_secs(seconds.into()));
    Some(Restricted { namespace: lease.metadata.namespace.unwrap_or_default(), holder, lapsed })
}

/// Never fails: what an operator that is there means depends on what is to be installed.
pub fn judge(facts: &Facts) -> Verdict {
    if facts.wide.is_empty() && facts.restricted.is_empty() {
        return Verdict::passed("No other operator of the platform is present");
    }
    let mut verdict = Verdict::passed("Operators of the platform are present");
    for Wide { binding, namespace } in &facts.wide {
        let place = namespace.as_deref().map_or_else(String::new, |it| format!(" in namespace {it}"));
        verdict = verdict.warn(format!(
            "a cluster-wide operator is present{place} (ClusterRoleBinding {binding}); upgrade that release, or \
             restrict the next one to its namespace: {RESTRICT}"
        ));
    }
    let places: BTreeSet<&Option<String>> = facts.wide.iter().map(|it| &it.namespace).collect();
    if places.len() > 1 {
        verdict =
            verdict.warn("several cluster-wide operators act on the same graphs: uninstall all but one");
    }
    for Restricted { namespace, holder, lapsed } in &facts.restricted {
        let text = if *lapsed {
            format!(
                "the claim of a restricted operator on namespace {namespace} has run out ({holder}): it does not run, \
                 or cannot write its Lease {MARKER}"
            )
        } else {
            format!(
                "a restricted operator owns namespace {namespace} (Lease {MARKER}, {holder}); cluster-wide operators \
                 pass over it, and a second restricted one must take another namespace"
            )
        };
        verdict = verdict.warn(text);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(spec: serde_json::Value) -> Option<bool> {
        let lease = json!({"metadata": {"namespace": "a", "name": MARKER}, "spec": spec});
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        restricted(serde_json::from_value(lease).unwrap(), now).map(|it| it.lapsed)
    }

    #[test]
    fn a_claim_lapses_when_it_was_not_renewed_in_time_and_ends_when_it_was_given_back() {
        let at = |second: u32| format!("2026-01-01T00:00:{second:02}.000000Z");
        let held = |renewed: u32, seconds: u32| {
            claim(json!({"holderIdentity": "o", "renewTime": at(renewed), "leaseDurationSeconds": seconds}))
        };
        assert_eq!(held(40, 30), Some(false));
        assert_eq!(held(20, 30), Some(true));
        assert_eq!(claim(json!({"holderIdentity": "o", "acquireTime": at(50)})), Some(false));
        assert_eq!(claim(json!({"holderIdentity": "", "renewTime": at(59)})), None);
    }
}
