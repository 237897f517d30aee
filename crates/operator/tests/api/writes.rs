//! The write log: what the operator sends, and that it sends nothing when nothing differs.

use std::{path::Path, time::Duration};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Operator, Plane, audit};
use serde_json::json;

use crate::{
    PROGRAM,
    graphs::{aggregated, create, make_ready, patch},
};

/// Waits until the log has been still for two seconds, then returns the writes.
async fn settled(log: &Path) -> Vec<String> {
    let mut known = usize::MAX;
    for _ in 0..30 {
        let writes = audit::writes(log);
        if writes.len() == known {
            return writes;
        }
        known = writes.len();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    panic!("the operator never stops writing: {:#?}", audit::writes(log));
}

#[tokio::test]
async fn one_write_per_object_and_none_when_nothing_differs() {
    const GRAPHS: usize = 200;
    let plane = Plane::start();
    let client = plane.client().await;
    let log = plane.audit_log();
    let mut operator = Operator::start(PROGRAM, &plane, &[]);
    let ns = plane.namespace(&client).await;
    for at in 0..GRAPHS {
        create(&client, &ns, &aggregated(&format!("g{at}"))).await;
    }
    for at in 0..GRAPHS {
        make_ready(&client, &ns, &format!("g{at}")).await;
    }
    let created = settled(&log).await;
    let of = |prefix: &str| created.iter().filter(|line| line.starts_with(prefix)).count();
    // Two components, two Deployments, two Services, an account, a role and a binding for each graph, once each.
    for (resource, count) in [
        ("dynamocomponentdeployments", 2),
        ("deployments", 2),
        ("services", 2),
        ("serviceaccounts", 1),
        ("roles", 1),
        ("rolebindings", 1),
    ] {
        assert_eq!(of(&format!("patch {resource} ")), count * GRAPHS, "{resource}: {created:#?}");
    }
    assert_eq!(of("create events"), 0, "{created:#?}");
    assert!(created.iter().all(|line| line.ends_with(" 200") || line.ends_with(" 201")), "{created:#?}");
    // Not ready and ready, for each component and each graph; counts of replicas may need some more, since here pods
    // come up one by one.
    assert!(of("patch dynamocomponentdeployments/status") <= 5 * 2 * GRAPHS, "{created:#?}");
    // Of the namespace, once: the account of planners, its binding, and a look at the ClusterRole for it.
    assert_eq!((of("create serviceaccounts "), of("create rolebindings ")), (1, 1), "{created:#?}");
    let reads = audit::reads(&log);
    let gets: Vec<&String> = reads.iter().filter(|line| line.starts_with("get ")).collect();
    assert_eq!(gets, ["get clusterroles /planner 200"]);

    operator.signal("TERM");
    assert!(operator.wait().success(), "{}", operator.log_text());
    let before = settled(&log).await.len();
    let operator = Operator::start(PROGRAM, &plane, &[]);
    let after = settled(&log).await;
    assert_eq!(after[before..], [] as [String; 0], "a restart over {GRAPHS} graphs wrote");

    patch::<DynamoGraphDeployment>(&client, &ns, "g0", json!({"metadata": {"labels": {"touched": "yes"}}}))
        .await;
    assert_eq!(settled(&log).await.len(), before, "a touched graph wrote:\n{}", operator.log_text());
}
