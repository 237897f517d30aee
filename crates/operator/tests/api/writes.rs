//! The write log: what the operator sends, and that it sends nothing when nothing differs.

use std::{path::Path, time::Duration};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Operator, Plane, audit, nodes};
use kube::{Client, api::ListParams};
use serde_json::json;

use crate::{
    PROGRAM,
    graphs::{aggregated, api, create, patch},
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

/// Objects of an aggregated graph: two components, two Deployments, two Services, an account, a role and a binding.
const OBJECTS: [(&str, usize); 6] = [
    ("dynamocomponentdeployments", 2),
    ("deployments", 2),
    ("services", 2),
    ("serviceaccounts", 1),
    ("roles", 1),
    ("rolebindings", 1),
];

async fn successful(client: &Client, ns: &str, graphs: usize) {
    dynamo_testkit::eventually("all graphs are ready", || async {
        let all = api::<DynamoGraphDeployment>(client, ns).list(&ListParams::default()).await.unwrap();
        let state = |graph: &DynamoGraphDeployment| graph.status.clone()?.state;
        let ready = all.iter().filter(|graph| state(graph).as_deref() == Some("successful")).count();
        if ready == graphs { Ok(()) } else { Err(format!("{ready} of {graphs}")) }
    })
    .await;
}

/// Every object once, and what the status of the graph says: that it waits, then that it is ready; of each component
/// that it is ready.
#[tokio::test]
async fn a_graph_that_comes_up_promptly_costs_a_write_per_object_and_four_for_what_is_told() {
    let plane = Plane::without_controllers();
    let client = plane.client().await;
    let _operator = Operator::start(PROGRAM, &plane, &[]);
    let ns = plane.namespace(&client).await;
    let stand_in = nodes::roll_out_all(client.clone(), &ns);
    create(&client, &ns, &aggregated("g")).await;
    successful(&client, &ns, 1).await;
    let mut writes = settled(&plane.audit_log()).await;
    stand_in.abort();
    // The account of planners and its binding belong to the namespace and are made with its first graph.
    let of_namespace =
        |line: &String| line.contains("planner-serviceaccount") || line.contains("create serviceaccounts");
    assert_eq!(writes.iter().filter(|line| of_namespace(line)).count(), 2, "{writes:#?}");
    writes.retain(|line| !of_namespace(line));
    let objects: usize = OBJECTS.iter().map(|(_, count)| count).sum();
    assert!(writes.len() <= objects + 4, "{} writes for {objects} objects: {writes:#?}", writes.len());
}

#[tokio::test]
async fn one_write_per_object_and_none_when_nothing_differs() {
    const GRAPHS: usize = 200;
    let plane = Plane::without_controllers();
    let client = plane.client().await;
    let log = plane.audit_log();
    let mut operator = Operator::start(PROGRAM, &plane, &[]);
    let ns = plane.namespace(&client).await;
    let stand_in = nodes::roll_out_all(client.clone(), &ns);
    for at in 0..GRAPHS {
        create(&client, &ns, &aggregated(&format!("g{at}"))).await;
    }
    successful(&client, &ns, GRAPHS).await;
    let created = settled(&log).await;
    let of = |prefix: &str| created.iter().filter(|line| line.starts_with(prefix)).count();
    for (resource, count) in OBJECTS {
        assert_eq!(of(&format!("patch {resource} ")), count * GRAPHS, "{resource}: {created:#?}");
    }
    assert_eq!(of("create events"), 0, "{created:#?}");
    assert!(created.iter().all(|line| line.ends_with(" 200") || line.ends_with(" 201")), "{created:#?}");
    // Not ready and ready, for each component and each graph: with this many at once some come up late.
    assert!(of("patch dynamocomponentdeployments/status") <= 2 * 2 * GRAPHS, "{created:#?}");
    assert!(of("patch dynamographdeployments/status") <= 3 * GRAPHS, "{created:#?}");
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

    let touched = json!({"metadata": {"labels": {"touched": "yes"}}});
    patch::<DynamoGraphDeployment>(&client, &ns, "g0", touched).await;
    assert_eq!(settled(&log).await.len(), before, "a touched graph wrote:\n{}", operator.log_text());
    stand_in.abort();
}
