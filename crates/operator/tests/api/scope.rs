//! One writer per namespace at every moment: a cluster-wide and a restricted operator, each started, ended, killed,
//! frozen and cut off while users go on editing. The API server's audit log is the judge.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{
    Operator, Plane, Proxy, audit, eventually,
    plane::{OPERATOR_USER, SECOND_USER},
    proxy::Mode,
};
use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use kube::{
    Client,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use tokio::{sync::Mutex, task::JoinHandle};

use crate::{
    PROGRAM,
    graphs::{aggregated, api, create, patch},
};

/// The cluster-wide operator and the restricted one, as the audit log names them.
const WIDE: &str = OPERATOR_USER;
const NARROW: &str = SECOND_USER;

const MARKER: &str = "dynamo-operator-namespace-scope";
const DURATION: Duration = Duration::from_secs(6);
const CROWD: usize = 20;
const HAND_OVER: Duration = Duration::from_secs(4);
const TIMES: [&str; 3] = [
    "--namespace-scope-lease-duration=6s",
    "--namespace-scope-lease-renew-interval=2s",
    "--namespace-scope-hand-over=4s",
];

/// A namespace in which a user edits a graph five times a second.
struct Arena {
    plane: &'static Plane,
    client: Client,
    ns: String,
    edits: JoinHandle<()>,
    began: Timestamp,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.edits.abort();
    }
}

impl Arena {
    /// Cluster-wide operators would meet each other, so the scenarios take turns.
    async fn new() -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        static PLANE: OnceLock<Plane> = OnceLock::new();
        let turn = TURN.lock().await;
        let plane = PLANE.get_or_init(Plane::start);
        let client = plane.client().await;
        let ns = plane.namespace(&client).await;
        create(&client, &ns, &aggregated("g")).await;
        let edits = tokio::spawn(edit(client.clone(), ns.clone()));
        Self { plane, client, ns, edits, began: Timestamp::now(), _turn: turn }
    }

    fn proxy(&self) -> Proxy {
        Proxy::start(self.plane.address())
    }

    fn wide(&self, proxy: Option<&Proxy>) -> Operator {
        self.start(WIDE, proxy, &TIMES)
    }

    fn narrow(&self, proxy: Option<&Proxy>) -> Operator {
        let namespace = format!("--restrictedNamespace={}", self.ns);
        self.start(NARROW, proxy, &[&TIMES[..], &[&namespace]].concat())
    }

    fn start(&self, user: &str, proxy: Option<&Proxy>, args: &[&str]) -> Operator {
        let kubeconfig = match proxy {
            Some(proxy) => self.plane.kubeconfig_through(user, proxy),
            None => self.plane.kubeconfig_of(user),
        };
        Operator::start_with(PROGRAM, self.plane, &kubeconfig, args)
    }

    /// Makes graphs that nobody edits by themselves.
    async fn crowd(&self) {
        for at in 0..CROWD {
            create(&self.client, &self.ns, &aggregated(&format!("c{at}"))).await;
        }
    }

    /// Edits all of them at once, so that an operator is in the middle of many writes a moment later.
    async fn rush(&self) {
        let services = json!({"Worker": {"envs": [{"name": "LEVEL", "value": "rush"}]}});
        let change = json!({"spec": {"services": services}});
        let edits = (0..CROWD).map(|at| {
            let (client, ns, change) = (self.client.clone(), self.ns.clone(), change.clone());
            tokio::spawn(async move {
                patch::<DynamoGraphDeployment>(&client, &ns, &format!("c{at}"), change).await
            })
        });
        for edit in edits.collect::<Vec<_>>() {
            edit.await.unwrap();
        }
    }

    /// Writes of the operators in the namespace, the claim left out, and the writes of the claim.
    fn writes(&self) -> (Vec<audit::Write>, Vec<audit::Write>) {
        let mut writes = audit::timeline(&self.plane.audit_log());
        writes.retain(|write| write.namespace == self.ns);
        writes.into_iter().partition(|write| write.resource != "leases")
    }

    /// Waits until `user` has written now and again after this call.
    async fn written_by(&self, user: &str) {
        let from = Timestamp::now();
        eventually(&format!("writes of {user} in {}", self.ns), || async {
            let (writes, _) = self.writes();
            let new = writes.iter().filter(|write| write.received > from);
            let (his, others): (Vec<_>, Vec<_>) = new.partition(|write| write.user == user);
            if his.len() >= 3 {
                Ok(())
            } else {
                Err(format!("{} of his, {} of others", his.len(), others.len()))
            }
        })
        .await;
    }

    /// Judges what happened: `owners` wrote one after the other and none of them in the time of another; somebody
    /// wrote all the time, but for a lease's duration and five seconds at most.
    fn judge(&self, owners: &[&str], operators: &[&Operator]) {
        let end = Timestamp::now();
        let (writes, claims) = self.writes();
        let logs =
            || operators.iter().map(|operator| operator.log_text()).collect::<Vec<_>>().join("\n-----\n");
        let mut seen: Vec<&str> = Vec::new();
        let mut last = self.began;
        for write in &writes {
            if seen.last() != Some(&write.user.as_str()) {
                assert!(
                    write.received >= last,
                    "{write:?} came in while the former writer was being answered, until {last}:\n{}",
                    logs()
                );
                seen.push(&write.user);
            }
            last = last.max(write.answered);
        }
        assert_eq!(seen, owners, "who wrote in {}:\n{}", self.ns, logs());
        for write in &writes {
            let claimed = chain_at(&claims, write.received);
            let since = claimed.map(|(first, _)| write.received.duration_since(first).unsigned_abs());
            if write.user == NARROW {
                assert!(
                    since.is_some_and(|since| since >= HAND_OVER),
                    "{write:?} without a claim: {claimed:?}"
                );
            } else {
                assert!(
                    since.is_none_or(|since| since < HAND_OVER),
                    "{write:?} against a claim: {claimed:?}"
                );
            }
        }
        let works: Vec<Timestamp> =
            writes.iter().filter(|write| write.code < 300).map(|write| write.answered).chain([end]).collect();
        let longest = works.windows(2).map(|pair| pair[1].duration_since(pair[0]).unsigned_abs()).max();
        let longest = longest.unwrap_or_default();
        eprintln!("{}: {} writes by {seen:?}, longest pause {longest:?}", self.ns, writes.len());
        assert!(longest <= DURATION + Duration::from_secs(5), "nobody wrote for {longest:?}:\n{}", logs());
    }
}

/// The claim that held at `moment`: when it was made and when it was renewed last before.
fn chain_at(claims: &[audit::Write], moment: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let mut held: Option<(Timestamp, Timestamp)> = None;
    let renewals =
        claims.iter().filter(|claim| claim.name == MARKER && claim.code < 300 && claim.answered <= moment);
    for claim in renewals {
        // A holder empties the Lease before it deletes it: from then on the namespace is free.
        let his =
            |other: &&audit::Write| other.name == MARKER && other.user == claim.user && other.code < 300;
        let next = claims.iter().filter(his).find(|other| other.received > claim.received);
        let gives_back = next.is_some_and(|next| next.verb == "delete");
        let lapsed = |last: Timestamp| claim.received.duration_since(last).unsigned_abs() > DURATION;
        held = match held {
            _ if claim.verb == "delete" || gives_back => None,
            Some((first, last)) if !lapsed(last) => Some((first, claim.received)),
            _ => Some((claim.answered, claim.received)),
        };
    }
    held.filter(|(_, last)| moment.duration_since(*last).unsigned_abs() < DURATION)
}

async fn edit(client: Client, ns: String) {
    for level in 0_u64.. {
        let services = json!({"Worker": {"envs": [{"name": "LEVEL", "value": level.to_string()}]}});
        patch::<DynamoGraphDeployment>(&client, &ns, "g", json!({"spec": {"services": services}})).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn past_the_lease() {
    tokio::time::sleep(DURATION + Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_restricted_operator_takes_its_namespace_over_and_gives_it_back_at_its_end() {
    let arena = Arena::new().await;
    let wide = arena.wide(None);
    arena.written_by(WIDE).await;
    let mut narrow = arena.narrow(None);
    arena.written_by(NARROW).await;
    narrow.signal("TERM");
    let asked = Instant::now();
    assert!(narrow.wait().success(), "{}", narrow.log_text());
    assert!(api::<Lease>(&arena.client, &arena.ns).get_opt(MARKER).await.unwrap().is_none());
    arena.written_by(WIDE).await;
    // Not by the lease running out: that would take six seconds from the last renewal.
    eprintln!("given back within {:?}", asked.elapsed());
    arena.judge(&[WIDE, NARROW, WIDE], &[&wide, &narrow]);
}

#[tokio::test]
async fn the_first_claim_has_its_renewal_time_and_the_holder_of_the_contract() {
    let arena = Arena::new().await;
    let _narrow = arena.narrow(None);
    let lease = eventually("a claim", || async {
        api::<Lease>(&arena.client, &arena.ns).get(MARKER).await.map_err(|error| error.to_string())
    })
    .await;
    let spec = lease.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("namespace-restricted-operator-0.0.0-unknown"));
    assert_eq!(spec.lease_duration_seconds, Some(6));
    assert!(spec.acquire_time.is_some() && spec.renew_time.is_some());
    assert_eq!(lease.metadata.labels, None);
}

#[tokio::test]
async fn a_killed_restricted_operator_is_replaced_when_its_lease_ends_and_comes_back() {
    let arena = Arena::new().await;
    let mut narrow = arena.narrow(None);
    arena.written_by(NARROW).await;
    let mut wide = arena.wide(None);
    arena.written_by(NARROW).await;
    narrow.signal("KILL");
    narrow.wait();
    arena.written_by(WIDE).await;
    let again = arena.narrow(None);
    arena.written_by(NARROW).await;
    wide.signal("KILL");
    wide.wait();
    arena.written_by(NARROW).await;
    let wide = arena.wide(None);
    arena.written_by(NARROW).await;
    arena.judge(&[NARROW, WIDE, NARROW], &[&wide, &narrow, &again]);
}

#[tokio::test]
async fn a_cluster_wide_operator_that_ends_and_starts_again_leaves_a_claim_alone() {
    let arena = Arena::new().await;
    let narrow = arena.narrow(None);
    let mut wide = arena.wide(None);
    arena.written_by(NARROW).await;
    wide.signal("TERM");
    assert!(wide.wait().success(), "{}", wide.log_text());
    arena.written_by(NARROW).await;
    let wide = arena.wide(None);
    past_the_lease().await;
    arena.judge(&[NARROW], &[&wide, &narrow]);
}

#[tokio::test]
async fn a_restricted_operator_that_was_frozen_claims_anew_before_it_writes() {
    let arena = Arena::new().await;
    arena.crowd().await;
    let narrow = arena.narrow(None);
    let wide = arena.wide(None);
    arena.written_by(NARROW).await;
    arena.rush().await;
    narrow.signal("STOP");
    arena.written_by(WIDE).await;
    narrow.signal("CONT");
    eventually("the restricted operator is back", || async {
        let (writes, _) = arena.writes();
        if writes.last().is_some_and(|write| write.user == NARROW) { Ok(()) } else { Err(narrow.log_text()) }
    })
    .await;
    arena.written_by(NARROW).await;
    arena.judge(&[NARROW, WIDE, NARROW], &[&wide, &narrow]);
}

#[tokio::test]
async fn a_cluster_wide_operator_that_was_frozen_writes_nothing_into_a_new_claim() {
    let arena = Arena::new().await;
    arena.crowd().await;
    let wide = arena.wide(None);
    arena.written_by(WIDE).await;
    arena.rush().await;
    wide.signal("STOP");
    let narrow = arena.narrow(None);
    arena.written_by(NARROW).await;
    wide.signal("CONT");
    past_the_lease().await;
    arena.judge(&[WIDE, NARROW], &[&wide, &narrow]);
}

#[tokio::test]
async fn a_restricted_operator_that_is_cut_off_ends_and_what_it_sent_does_not_arrive_later() {
    let arena = Arena::new().await;
    let proxy = arena.proxy();
    arena.crowd().await;
    let mut narrow = arena.narrow(Some(&proxy));
    let wide = arena.wide(None);
    arena.written_by(NARROW).await;
    arena.rush().await;
    proxy.set(Mode::BlackHole);
    let status = narrow.wait();
    assert_eq!(status.code(), Some(1), "{}", narrow.log_text());
    arena.written_by(WIDE).await;
    proxy.set(Mode::Pass);
    arena.written_by(WIDE).await;
    arena.judge(&[NARROW, WIDE], &[&wide, &narrow]);
}

#[tokio::test]
async fn a_cluster_wide_operator_that_is_cut_off_misses_a_claim_and_still_leaves_it_alone() {
    let arena = Arena::new().await;
    let proxy = arena.proxy();
    arena.crowd().await;
    let wide = arena.wide(Some(&proxy));
    arena.written_by(WIDE).await;
    arena.rush().await;
    proxy.set(Mode::BlackHole);
    let mut narrow = arena.narrow(None);
    arena.written_by(NARROW).await;
    proxy.set(Mode::Pass);
    past_the_lease().await;
    arena.judge(&[WIDE, NARROW], &[&wide, &narrow]);
    // It is not broken by that: it takes over again.
    proxy.set(Mode::Reset);
    proxy.set(Mode::Pass);
    narrow.signal("TERM");
    assert!(narrow.wait().success(), "{}", narrow.log_text());
    arena.written_by(WIDE).await;
    arena.judge(&[WIDE, NARROW, WIDE], &[&wide, &narrow]);
}

#[tokio::test]
async fn a_claim_that_somebody_deletes_holds_until_its_holder_makes_it_again() {
    let arena = Arena::new().await;
    let narrow = arena.narrow(None);
    let wide = arena.wide(None);
    arena.written_by(NARROW).await;
    api::<Lease>(&arena.client, &arena.ns).delete(MARKER, &DeleteParams::default()).await.unwrap();
    past_the_lease().await;
    arena.written_by(NARROW).await;
    assert!(api::<Lease>(&arena.client, &arena.ns).get_opt(MARKER).await.unwrap().is_some());
    let (writes, _) = arena.writes();
    assert!(writes.iter().all(|write| write.user == NARROW), "{}\n{}", wide.log_text(), narrow.log_text());
}

#[tokio::test]
async fn a_leader_that_was_frozen_past_its_lease_writes_nothing_more() {
    let arena = Arena::new().await;
    let elected =
        ["--leader-elect", "--leader-election-id=dynamo.scope.test", "--leader-election-namespace=default"];
    arena.crowd().await;
    let mut first = arena.start(WIDE, None, &elected);
    arena.written_by(WIDE).await;
    let second = arena.start(NARROW, None, &elected);
    arena.rush().await;
    first.signal("STOP");
    arena.written_by(NARROW).await;
    first.signal("CONT");
    assert_eq!(first.wait().code(), Some(1), "{}", first.log_text());
    arena.written_by(NARROW).await;
    let (writes, _) = arena.writes();
    let mut owners: Vec<&str> = writes.iter().map(|write| write.user.as_str()).collect();
    owners.dedup();
    assert_eq!(owners, [WIDE, NARROW], "{}\n-----\n{}", first.log_text(), second.log_text());
}

#[tokio::test]
async fn a_claim_without_a_renewal_time_counts_and_its_end_wakes_what_waited() {
    let arena = Arena::new().await;
    arena.edits.abort();
    let client = &arena.client;
    let ns = arena.plane.namespace(client).await;
    let lease = json!({
        "metadata": {"name": MARKER},
        "spec": {"holderIdentity": "namespace-restricted-operator-0.9.0", "leaseDurationSeconds": 4},
    });
    let lease: Lease = serde_json::from_value(lease).unwrap();
    api(client, &ns).create(&PostParams::default(), &lease).await.unwrap();
    let wide = arena.wide(None);
    create(client, &ns, &aggregated("g")).await;
    let created = Instant::now();
    eventually("the graph is reconciled", || async {
        let graph: DynamoGraphDeployment = api(client, &ns).get("g").await.unwrap();
        graph.status.and_then(|status| status.state).map(drop).ok_or_else(|| wide.log_text())
    })
    .await;
    // Four seconds from when the operator saw it, which was before it was ready.
    assert!(created.elapsed() > Duration::from_secs(1), "the claim was not respected:\n{}", wide.log_text());
}

#[tokio::test]
async fn namespaces_with_ephemeral_in_their_name_are_left_alone_and_named_once() {
    use k8s_openapi::api::core::v1::Namespace;
    let arena = Arena::new().await;
    let mut namespace = Namespace::default();
    let ns = "ci-ephemeral-1";
    namespace.metadata.name = Some(ns.to_owned());
    kube::Api::all(arena.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let wide = arena.wide(None);
    for name in ["a", "b"] {
        create(&arena.client, ns, &aggregated(name)).await;
    }
    // What comes after them is done, so they were looked at.
    arena.written_by(WIDE).await;
    for name in ["a", "b"] {
        let graph: DynamoGraphDeployment = api(&arena.client, ns).get(name).await.unwrap();
        assert_eq!(graph.status, None, "{}", wide.log_text());
    }
    let log = wide.log_text();
    assert_eq!(log.matches("its name contains \"ephemeral\"").count(), 1, "{log}");
}
