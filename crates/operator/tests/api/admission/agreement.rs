//! The same graphs through the webhook and through a controller: an object that slips past admission gets the very
//! verdict that admission would have given. (The other callers of the rules are compared in `dynamo-cli`.)

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_render::testing::graphs::{Mood, graph};
use dynamo_testkit::{Operator, Plane, eventually, shared, webhooks::UNREVIEWED_USER};
use kube::Api;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::{Value, json};

use super::{asked::Asked, make_namespace, reviewer};
use crate::PROGRAM;

const NAMESPACE: &str = "agreement";
/// Graphs that reach a verdict; the schema refuses some before.
const WANTED: usize = 120;

#[tokio::test]
async fn a_graph_that_slips_past_admission_gets_the_verdict_of_admission_as_its_condition() {
    let Some(shared) = shared::folder("verdicts of controllers beside those of admission") else { return };
    let plane = Plane::start();
    // Which APIs a cluster has is judged at admission alone: here it has the one that graphs may need.
    plane.install(&shared.join("crds/gaie"));
    let client = plane.client().await;
    make_namespace(&client, NAMESPACE).await;
    let reviewer = reviewer(&plane, &client, "agreement", &[NAMESPACE], &[]).await;
    let mut controller = Operator::start(PROGRAM, &plane, &[]);
    let asked = Asked::new(&client, NAMESPACE);
    let mut runner = TestRunner::deterministic();
    let (mut judged, mut refused, mut number) = (0, 0, 0);
    while judged < WANTED {
        number += 1;
        let mood = if number % 2 == 0 { Mood::Tame } else { Mood::Wild };
        let Value::Object(mut object) = graph(mood).new_tree(&mut runner).unwrap().current() else {
            panic!("a graph is an object")
        };
        let name = format!("g{number}");
        let metadata = object.entry("metadata").or_insert_with(|| json!({}));
        // One that slips past admission lacks its stamp, which some rules ask for: here it has the stamp from the start.
        let mut annotations = metadata["annotations"].as_object().cloned().unwrap_or_default();
        annotations.entry("nvidia.com/dynamo-operator-origin-version").or_insert(json!("0.9.0+dynamo-rs"));
        *metadata = json!({"name": name, "annotations": annotations});
        object.insert("apiVersion".to_owned(), json!("nvidia.com/v1alpha1"));
        object.insert("kind".to_owned(), json!("DynamoGraphDeployment"));
        let object = Value::Object(object);
        let verdict = asked.dry().create(&object).await;
        if !verdict.is_accepted() && verdict.code != 403 {
            continue;
        }
        judged += 1;
        let made = asked.by(Some(UNREVIEWED_USER)).create(&object).await;
        assert!(made.is_accepted(), "{object}: {}", made.message());
        let message = condition(&client, &name).await;
        match verdict.message().split_once("validation failed: ") {
            Some((_, errors)) => {
                refused += 1;
                let message = message.unwrap_or_else(|| panic!("{object}: admission says {errors}"));
                for error in errors.lines() {
                    assert!(is_said(&message, error), "{object}:\nadmission: {error}\ncontroller: {message}");
                }
            }
            None => assert_eq!(message, None, "{object}: {}", verdict.message()),
        }
        assert!(asked.by(Some(UNREVIEWED_USER)).delete(&object).await.is_accepted());
    }
    controller.assert_alive();
    reviewer.end(&client).await;
    assert!(refused > WANTED / 10 && refused < WANTED, "{refused} of {judged} refused");
}

/// The refusal in the condition; `None` for a graph that is not refused.
async fn condition(client: &kube::Client, name: &str) -> Option<String> {
    let api = Api::<DynamoGraphDeployment>::namespaced(client.clone(), NAMESPACE);
    eventually("a condition", || async {
        let graph = api.get(name).await.map_err(|error| error.to_string())?;
        let status = graph.status.unwrap_or_default();
        let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready");
        let ready = ready.ok_or("no condition yet")?;
        Ok((ready.reason == "ValidationFailed").then_some(ready.message))
    })
    .await
}

/// A condition is cut at its end when it is long.
fn is_said(message: &str, error: &str) -> bool {
    message.contains(error) || message.len() > 900
}
