//! What the operator takes from Secrets and accounts of a namespace, and what it puts there.
//! Seen from outside: in the API server alone.

mod accounts;
mod credentials;
mod key;
mod registry;

use dynamo_testkit::eventually;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, PodSpec},
};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

use crate::graphs::{api, state};

/// Namespace of what the operator copies.
const HOME: &str = "dynamo-system";

async fn home(client: &Client) {
    let namespace: Namespace = object(json!({"metadata": {"name": HOME}}));
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
}

/// Waits until the graph `g` fails for a reason that has `words` in it.
async fn fails_with(client: &Client, namespace: &str, words: &str) {
    eventually(&format!("fails with {words}"), || async {
        let message = state(client, namespace, "g", "failed").await;
        if message.contains(words) { Ok(()) } else { Err(message) }
    })
    .await;
}

/// Waits until the pods of a Deployment are as `check` wants them; it returns what it saw else.
async fn pods(
    client: &Client,
    namespace: &str,
    name: &str,
    what: &str,
    check: impl Fn(&PodSpec) -> Result<(), String>,
) {
    eventually(&format!("{name}: {what}"), || async {
        let deployment: Deployment =
            api(client, namespace).get(name).await.map_err(|error| error.to_string())?;
        check(&deployment.spec.unwrap().template.spec.unwrap())
    })
    .await;
}

/// Number of forms that the spec of a Deployment has had.
async fn generation(client: &Client, namespace: &str, name: &str) -> i64 {
    api::<Deployment>(client, namespace).get(name).await.unwrap().metadata.generation.unwrap()
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}
