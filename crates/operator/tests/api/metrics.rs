//! Who may read metrics over HTTPS, as a real API server says it.

use axum::http::{Request, header};
use dynamo_devkit::control_plane::free_ports;
use dynamo_testkit::{Operator, Plane, eventually};
use http_body_util::BodyExt;
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, PostParams},
    client::Body,
};
use serde_json::{Value, json};

use crate::{PROGRAM, graphs::api};

/// A caller that checks no certificate, as scrapers of self-signed ones do.
fn caller(port: u16) -> Client {
    let mut config = Config::new(format!("https://127.0.0.1:{port}").parse().unwrap());
    config.accept_invalid_certs = true;
    Client::try_from(config).unwrap()
}

async fn read(caller: &Client, token: Option<&str>) -> (u16, String) {
    let mut request = Request::get("/metrics");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let answer = caller.send(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

async fn account(client: &Client, namespace: &str, name: &str) {
    let account: ServiceAccount = object(json!({"metadata": {"name": name}}));
    api(client, namespace).create(&PostParams::default(), &account).await.unwrap();
}

async fn token(client: &Client, namespace: &str, account: &str, audiences: &[&str]) -> String {
    let request: TokenRequest = object(json!({"spec": {"audiences": audiences}}));
    let accounts = api::<ServiceAccount>(client, namespace);
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
    answer.status.unwrap().token
}

#[tokio::test]
async fn only_a_token_whose_account_may_get_metrics_reads_them() {
    let plane = Plane::start();
    let client = plane.client().await;
    let [port] = free_ports::<1>().unwrap();
    let flag = format!("--metrics-secure-bind-address=127.0.0.1:{port}");
    let operator = Operator::start(PROGRAM, &plane, &[&flag]);
    let caller = caller(port);
    let ns = plane.namespace(&client).await;
    for name in ["reader", "other", "gone"] {
        account(&client, &ns, name).await;
    }
    let reader = token(&client, &ns, "reader", &[]).await;
    let user = format!("system:serviceaccount:{ns}:reader");

    let (status, text) = read(&caller, Some(&reader)).await;
    assert_eq!(status, 403);
    assert!(text.contains(&user), "{text}");
    let role: ClusterRole = object(json!({"metadata": {"name": "metrics-reader"},
        "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]}));
    Api::all(client.clone()).create(&PostParams::default(), &role).await.unwrap();
    let binding: ClusterRoleBinding = object(json!({"metadata": {"name": "metrics-reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "metrics-reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": ns}]}));
    Api::all(client.clone()).create(&PostParams::default(), &binding).await.unwrap();
    let page = eventually("the account may read", || async {
        let (status, text) = read(&caller, Some(&reader)).await;
        if status == 200 { Ok(text) } else { Err(format!("{status}: {text}")) }
    })
    .await;
    assert!(page.contains("dynamo_operator_optional_api{group=\"grove.io\"} 0"), "{page}");

    let other = token(&client, &ns, "other", &[]).await;
    assert_eq!(read(&caller, Some(&other)).await.0, 403);
    let gone = token(&client, &ns, "gone", &[]).await;
    api::<ServiceAccount>(&client, &ns).delete("gone", &DeleteParams::default()).await.unwrap();
    let elsewhere = token(&client, &ns, "reader", &["elsewhere"]).await;
    let altered = reader.rsplit_once('.').unwrap().0.to_owned() + ".c2lnbmF0dXJl";
    for (token, what) in [
        (Some(gone), "of an account that is gone"),
        (Some(elsewhere), "for another audience"),
        (Some(altered), "with a wrong signature"),
        (Some("nobody".to_owned()), "that nobody made"),
        (None, "that is missing"),
    ] {
        let (status, text) = read(&caller, token.as_deref()).await;
        assert_eq!(status, 401, "a token {what}: {text}");
    }
    assert!(operator.metrics().contains("dynamo_operator_optional_api"), "the plain listener is as it was");
    assert!(!operator.log_text().contains(&reader), "tokens are not logged");
}

#[tokio::test]
async fn anonymous_metrics_ask_nobody() {
    let plane = Plane::shared();
    let [port] = free_ports::<1>().unwrap();
    let flag = format!("--metrics-secure-bind-address=127.0.0.1:{port}");
    let restricted = "--restrictedNamespace=metrics-of-nobody";
    let _operator = Operator::start(PROGRAM, plane, &[&flag, "--metrics-anonymous", restricted]);
    assert_eq!(read(&caller(port), None).await.0, 200);
}
