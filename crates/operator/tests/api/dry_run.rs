//! What rendering makes of random graphs is taken by a real API server: nothing that passes validation fails later with
//! words that name an object which the user never wrote. Server-side apply as a dry run, so that nothing is made.

use std::collections::BTreeMap;

use dynamo_render::testing::{
    cluster::{facts, installation},
    graphs::{Mood, graph},
};
use dynamo_testkit::{Plane, shared};
use futures::StreamExt;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::Value;

use crate::support;

const GRAPHS: usize = 500;
/// Graphs that are drawn for them; many tame ones contradict themselves.
const DRAWN: usize = 20_000;

/// The answer to an apply of `object` as a dry run.
async fn apply(client: &Client, namespace: &str, object: &Value) -> Result<(), String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let params = PatchParams { dry_run: true, ..PatchParams::apply("test").force() };
    let name = text(&object["metadata"]["name"]);
    let answer = api.patch(&name, &params, &Patch::Apply(object)).await;
    answer.map(|_| ()).map_err(|error| format!("{kind} {name}: {error}"))
}

#[tokio::test]
async fn every_object_of_a_valid_random_graph_is_taken_by_a_real_api_server() {
    let Some(folder) = shared::folder("dry run of what random graphs become") else { return };
    let plane = Plane::start();
    for definitions in ["crds/gaie", "crds/istio"] {
        plane.install(&folder.join(definitions));
    }
    let client = plane.client().await;
    let namespace = plane.namespace(&client).await;
    let inputs = (graph(Mood::Tame), installation(), facts());
    let mut runner = TestRunner::deterministic();
    let (mut valid, mut of_schema) = (0, 0);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut refused = Vec::new();
    for _ in 0..DRAWN {
        if valid == GRAPHS {
            break;
        }
        let (mut manifest, config, (of_graph, facts)) = inputs.new_tree(&mut runner).unwrap().current();
        manifest["metadata"]["namespace"] = namespace.clone().into();
        let graph = serde_json::from_value(manifest.clone()).unwrap();
        let Ok(rendered) = support::render_with(&graph, &config, &of_graph, &facts) else { continue };
        // What the schema refuses never reaches the operator.
        if apply(&client, &namespace, &manifest).await.is_err() {
            of_schema += 1;
            continue;
        }
        valid += 1;
        let objects = rendered.objects();
        for object in &objects {
            *counts.entry(support::id(object).0).or_default() += 1;
        }
        let answers: Vec<_> = futures::stream::iter(&objects)
            .map(|object| apply(&client, &namespace, object))
            .buffer_unordered(8)
            .collect()
            .await;
        refused.extend(
            answers.into_iter().filter_map(Result::err).map(|error| format!("{error}\n  of {manifest}")),
        );
    }
    eprintln!("{valid} graphs, {of_schema} refused by the schema; objects: {counts:?}");
    assert_eq!(valid, GRAPHS, "too few of the graphs drawn are valid");
    let shown = refused.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(refused.is_empty(), "{} objects refused:\n{shown}", refused.len());
}
