//! Roll-outs under edits and reverts: never fewer ready pods than the budget allows, and `Ready` only for what runs.

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Plane, eventually};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::{
    Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    graphs::{aggregated, api, create, make_ready, patch},
    operator,
};

const REPLICAS: usize = 4;

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Pods of the workers that are ready and not going away.
async fn ready(client: &Client, ns: &str) -> usize {
    let workers = ListParams::default().labels("nvidia.com/selector=g-worker");
    let pods = api::<Pod>(client, ns).list(&workers).await.unwrap();
    pods.iter().filter(|pod| is_ready(pod) && pod.metadata.deletion_timestamp.is_none()).count()
}

/// Whether the controllers have seen everything that was done so far: then the next step meets no stale view of theirs,
/// in which they may take a pod that became ready a moment ago for one that is not.
async fn is_settled(client: &Client, ns: &str) -> bool {
    let workers = ListParams::default().labels("nvidia.com/selector=g-worker");
    let pods = api::<Pod>(client, ns).list(&workers).await.unwrap();
    let sets = api::<ReplicaSet>(client, ns).list(&workers).await.unwrap();
    let deployment: Deployment = api(client, ns).get("g-worker").await.unwrap();
    let seen = deployment.status.unwrap_or_default().observed_generation;
    let of_sets = sets.iter().all(|set| {
        let (spec, status) = (set.spec.clone().unwrap(), set.status.clone().unwrap_or_default());
        let revision = &set.labels()["pod-template-hash"];
        let own: Vec<&Pod> =
            pods.iter().filter(|pod| pod.labels()["pod-template-hash"] == *revision).collect();
        status.observed_generation == set.metadata.generation
            && own.iter().all(|pod| pod.metadata.deletion_timestamp.is_none())
            && spec.replicas.unwrap_or_default() as usize == own.len()
            && status.ready_replicas.unwrap_or_default() as usize
                == own.iter().filter(|pod| is_ready(pod)).count()
    });
    seen == deployment.metadata.generation && of_sets
}

/// Reports one pod of the workers as ready that was not; `false` when all are.
async fn one_comes_up(client: &Client, ns: &str) -> bool {
    let workers = ListParams::default().labels("nvidia.com/selector=g-worker");
    let pods = api::<Pod>(client, ns).list(&workers).await.unwrap();
    let Some(pod) = pods.iter().find(|pod| !is_ready(pod) && pod.metadata.deletion_timestamp.is_none())
    else {
        return false;
    };
    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    let change = Patch::Merge(json!({"status": status}));
    // It may be gone by now, which is a step, too.
    let _ = api::<Pod>(client, ns).patch_status(&pod.name_any(), &PatchParams::default(), &change).await;
    true
}

/// Waits until the Deployment has the edit.
async fn rolled_to(client: &Client, ns: &str, level: &str) {
    eventually("the edit reaches the Deployment", || async {
        let deployment: Deployment = api(client, ns).get("g-worker").await.unwrap();
        let container = deployment.spec.unwrap().template.spec.unwrap().containers.remove(0);
        let found = container
            .env
            .unwrap()
            .into_iter()
            .any(|v| v.name == "LEVEL" && v.value.as_deref() == Some(level));
        if found { Ok(()) } else { Err(format!("not {level}")) }
    })
    .await;
}

async fn set_level(client: &Client, ns: &str, level: &str) {
    let envs = json!([{"name": "LEVEL", "value": level}]);
    let change = json!({"spec": {"services": {"Worker": {"envs": envs}}}});
    patch::<DynamoGraphDeployment>(client, ns, "g", change).await;
}

#[tokio::test]
async fn edits_and_reverts_in_the_middle_of_a_roll_out_keep_the_unavailable_budget() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    let mut graph = aggregated("g");
    graph["spec"]["services"]["Worker"]["replicas"] = json!(REPLICAS);
    create(&client, &ns, &graph).await;
    make_ready(&client, &ns, "g").await;
    let before: Deployment = api(&client, &ns).get("g-worker").await.unwrap();
    // 25 % of 4 may be away.
    let budget = REPLICAS - 1;
    let mut edits = ["2", "3", "1", "2", "1", "4", "1", "5"].into_iter();
    for step in 0.. {
        eventually("the controllers have seen the last step", || async {
            let now = ready(&client, &ns).await;
            assert!(now >= budget, "only {now} of {REPLICAS} workers are ready at step {step}");
            if is_settled(&client, &ns).await { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        // An edit or a revert after every second pod that comes up, so that each finds a roll-out on its way.
        match step % 3 {
            0 => match edits.next() {
                Some(level) => {
                    set_level(&client, &ns, level).await;
                    rolled_to(&client, &ns, level).await;
                }
                None if !one_comes_up(&client, &ns).await => break,
                None => {}
            },
            _ => _ = one_comes_up(&client, &ns).await,
        }
    }
    make_ready(&client, &ns, "g").await;
    let after: Deployment = api(&client, &ns).get("g-worker").await.unwrap();
    let kept = |deployment: &Deployment| {
        let spec = deployment.spec.as_ref().unwrap();
        (deployment.metadata.uid.clone(), spec.replicas, spec.strategy.clone(), spec.selector.clone())
    };
    assert_eq!(kept(&after), kept(&before), "what the budget rests on");
    let deployment: Deployment = api(&client, &ns).get("g-worker").await.unwrap();
    let container = deployment.spec.unwrap().template.spec.unwrap().containers.remove(0);
    let level = container.env.unwrap().into_iter().find(|variable| variable.name == "LEVEL");
    assert_eq!(level.unwrap().value.as_deref(), Some("5"));
}

#[tokio::test]
async fn a_graph_that_was_edited_is_never_called_successful_before_the_edit_runs() {
    operator();
    let client = Plane::shared().client().await;
    let ns = Plane::shared().namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    set_level(&client, &ns, "2").await;
    // Nobody reports the new pods as ready: from the first look at the edit on it is not rolled out.
    let edited: DynamoGraphDeployment = api(&client, &ns).get("g").await.unwrap();
    let newest = edited.metadata.generation;
    let mut looks = 0;
    eventually("the edit was looked at for a while", || {
        looks += 1;
        let (client, ns, enough) = (client.clone(), ns.clone(), looks > 40);
        async move {
            let graph: DynamoGraphDeployment = api(&client, &ns).get("g").await.unwrap();
            let status = graph.status.unwrap();
            let ready = &status.conditions[0];
            if ready.observed_generation == newest {
                assert_eq!(status.state.as_deref(), Some("pending"), "{}", ready.message);
                return if enough { Ok(()) } else { Err("not long enough".to_owned()) };
            }
            Err("not observed".to_owned())
        }
    })
    .await;
}
