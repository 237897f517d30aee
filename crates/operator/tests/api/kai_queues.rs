//! The queues of the KAI scheduler appear with its API, and what exists is not touched.

use std::time::Duration;

use dynamo_api::foreign::Queue;
use dynamo_operator::{
    kai_queues::{keep, queues},
    metrics::OptionalApiMetrics,
    optional_apis::{Probe, Timing},
};
use dynamo_testkit::{Plane, eventually, shared};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

#[tokio::test]
async fn the_queues_appear_with_their_api_and_stay_as_somebody_changed_them() {
    let Some(folder) = shared::folder("the API of the KAI scheduler") else { return };
    let plane = Plane::without_controllers();
    let client = plane.client().await;
    let pause = Duration::from_millis(200);
    let timing = Timing { every: pause, retry: pause, patience: Duration::from_secs(2) };
    let (probe, apis) = Probe::start(client.clone(), OptionalApiMetrics::default(), timing).await.unwrap();
    let running = [tokio::spawn(probe.run()), tokio::spawn(keep(client.clone(), apis, timing.every))];
    plane.install(&folder.join("crds/kai"));

    let api = Api::<Queue>::all(client);
    let made = |name: &'static str| {
        let api = api.clone();
        move || {
            let api = api.clone();
            async move { api.get(name).await.map_err(|error| error.to_string()) }
        }
    };
    for wanted in queues() {
        let name = if wanted.name_any() == "dynamo" { "dynamo" } else { "dynamo-default" };
        let queue = eventually("the queue is made", made(name)).await;
        assert_eq!(queue.spec, wanted.spec);
    }
    let change = Patch::Merge(json!({"spec": {"resources": {"gpu": {"limit": 4}}}}));
    let changed = api.patch("dynamo", &PatchParams::default(), &change).await.unwrap();
    api.delete("dynamo-default", &DeleteParams::default()).await.unwrap();
    eventually("a queue that was deleted is made again", made("dynamo-default")).await;
    let kept = api.get("dynamo").await.unwrap();
    assert_eq!((kept.uid(), kept.resource_version()), (changed.uid(), changed.resource_version()));
    for task in running {
        assert!(!task.is_finished());
        task.abort();
    }
}
