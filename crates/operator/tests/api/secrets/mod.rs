//! What the operator takes from Secrets and accounts of a namespace, and what it puts there.
//! Seen from outside: in the API server alone.

mod accounts;
mod key;
mod registry;

use dynamo_testkit::eventually;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PodSpec};
use kube::Client;
use serde_json::Value;

use crate::graphs::api;

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
