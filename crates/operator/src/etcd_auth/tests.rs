//! The steps against a stand-in for etcd's gateway; a real etcd is asked in `tests/api`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Json, Router, body::Bytes, extract::State, http::StatusCode, http::Uri, response::IntoResponse};
use serde_json::{Value, json};

use super::*;

/// What the stand-in is like.
#[derive(Debug, Default)]
struct Cluster {
    enabled: bool,
    password: Option<String>,
    role: bool,
    granted: bool,
    /// The caller shows a certificate with a common name.
    named: bool,
    /// Answers of `/health` that are still bad.
    sick: u32,
    calls: Vec<String>,
}

impl Cluster {
    fn answer(&mut self, path: &str, body: &Value, token: bool) -> Result<Value, String> {
        let password = || body["password"].as_str().map(ToOwned::to_owned);
        let refused = |text: &str| Err(format!("etcdserver: {text}"));
        if self.enabled && !token && path != "authenticate" {
            return refused("user name is empty");
        }
        match path {
            "status" => return Ok(json!({"header": {}, "authRevision": "1"})),
            "authenticate" if !self.enabled => return refused("authentication is not enabled"),
            "authenticate" if password() == self.password => return Ok(json!({"token": "t"})),
            "authenticate" => return refused("authentication failed, invalid user ID or password"),
            "user/add" if self.password.is_some() => return refused("user name already exists"),
            "user/add" | "user/changepw" => self.password = password(),
            "role/add" if self.role => return refused("role name already exists"),
            "role/add" => self.role = true,
            "user/grant" => self.granted = true,
            "enable" if self.granted => self.enabled = true,
            "enable" => return refused("root user does not have root role"),
            _ => return refused("unknown"),
        }
        Ok(json!({"header": {}}))
    }
}

type Shared = Arc<Mutex<Cluster>>;

async fn serve(
    State(cluster): State<Shared>,
    headers: axum::http::HeaderMap,
    uri: Uri,
    body: Bytes,
) -> axum::response::Response {
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    if uri.path() == "/health" {
        if cluster.sick > 0 {
            cluster.sick -= 1;
            let sick = Json(json!({"health": "false", "reason": "RAFT NO LEADER"}));
            return (StatusCode::SERVICE_UNAVAILABLE, sick).into_response();
        }
        return Json(json!({"health": "true", "reason": ""})).into_response();
    }
    if cluster.named && cluster.enabled {
        let text =
            "CommonName of client sending a request against gateway will be ignored and not used as expected";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let path = uri.path().trim_start_matches("/v3/auth/").to_owned();
    cluster.calls.push(path.clone());
    let token = headers.get("authorization").is_some_and(|token| token == "t");
    match cluster.answer(&path, &serde_json::from_slice(&body).unwrap_or_default(), token) {
        Ok(answer) => Json(answer).into_response(),
        Err(message) => {
            let body = json!({"error": message, "message": message, "code": 3});
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}

async fn cluster(cluster: Cluster) -> (Settings, Shared) {
    let shared = Shared::new(Mutex::new(cluster));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().fallback(serve).with_state(Arc::clone(&shared));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let settings = Settings {
        endpoints: vec![format!("http://{address}")],
        authority: None,
        identity: None,
        insecure: false,
        user: "root".to_owned(),
        password: "new".to_owned(),
        old_password: None,
        patience: Duration::from_secs(20),
        pause: Duration::from_millis(20),
    };
    (settings, shared)
}

#[tokio::test]
async fn it_is_turned_on_once_and_found_on_afterwards() {
    let (settings, cluster) = cluster(Cluster { sick: 2, ..Cluster::default() }).await;
    assert_eq!(turn_on(&settings).await.unwrap(), Outcome::TurnedOn);
    let calls = ["status", "user/add", "role/add", "user/grant", "enable", "authenticate"];
    assert_eq!(std::mem::take(&mut cluster.lock().unwrap().calls), calls);
    assert_eq!(turn_on(&settings).await.unwrap(), Outcome::AlreadyOn);
    assert_eq!(cluster.lock().unwrap().calls, ["status", "authenticate"]);
}

#[tokio::test]
async fn what_an_interrupted_run_left_is_completed_with_the_present_password() {
    let left = Cluster { password: Some("left".to_owned()), role: true, ..Cluster::default() };
    let (settings, cluster) = cluster(left).await;
    assert_eq!(turn_on(&settings).await.unwrap(), Outcome::TurnedOn);
    assert_eq!(cluster.lock().unwrap().password.as_deref(), Some("new"));
}

fn on(password: &str) -> Cluster {
    Cluster {
        enabled: true,
        password: Some(password.to_owned()),
        role: true,
        granted: true,
        ..Cluster::default()
    }
}

#[tokio::test]
async fn a_password_is_changed_with_the_old_one_alone() {
    let (mut settings, cluster) = cluster(on("old")).await;
    let text = turn_on(&settings).await.unwrap_err().to_string();
    assert!(text.contains("does not take the password in ETCD_AUTH_PASSWORD"), "{text}");
    settings.old_password = Some("older".to_owned());
    let text = turn_on(&settings).await.unwrap_err().to_string();
    assert!(text.contains("nor the one in ETCD_AUTH_OLD_PASSWORD"), "{text}");
    assert_eq!(cluster.lock().unwrap().password.as_deref(), Some("old"));
    settings.old_password = Some("old".to_owned());
    assert_eq!(turn_on(&settings).await.unwrap(), Outcome::PasswordChanged);
    assert_eq!(turn_on(&settings).await.unwrap(), Outcome::AlreadyOn);
}

#[tokio::test]
async fn another_user_may_log_in_and_turns_nothing_on() {
    let (mut settings, off) = cluster(Cluster::default()).await;
    settings.user = "other".to_owned();
    let text = turn_on(&settings).await.unwrap_err().to_string();
    assert_eq!(text, "--user: \"other\": etcd turns authentication on only with the user root");
    assert_eq!(off.lock().unwrap().password, None);
    let (mut settings, _) = cluster(on("new")).await;
    settings.user = "other".to_owned();
    assert_eq!(turn_on(&settings).await.unwrap(), Outcome::AlreadyOn);
}

#[tokio::test]
async fn one_member_that_answers_is_enough_and_none_is_waited_for_with_an_end() {
    let (mut settings, _) = cluster(Cluster::default()).await;
    settings.endpoints.insert(0, "http://127.0.0.1:1".to_owned());
    assert_eq!(turn_on(&settings).await.unwrap(), Outcome::TurnedOn);
    settings.endpoints.truncate(1);
    settings.patience = Duration::from_millis(200);
    let text = chain(&turn_on(&settings).await.unwrap_err());
    // How long it took is the machine's affair.
    assert!(text.contains("is not on after "), "{text}");
    assert!(text.contains(" s: no answer from http://127.0.0.1:1"), "{text}");
}

#[tokio::test]
async fn what_is_no_etcd_and_files_that_cannot_be_used_are_named() {
    let (mut settings, _) = cluster(Cluster { sick: u32::MAX, ..Cluster::default() }).await;
    settings.patience = Duration::ZERO;
    let text = chain(&turn_on(&settings).await.unwrap_err());
    assert!(text.contains("not healthy: RAFT NO LEADER"), "{text}");
    settings.authority = Some("/no/such/file".to_owned());
    let text = chain(&turn_on(&settings).await.unwrap_err());
    assert!(text.contains("cannot read /no/such/file"), "{text}");
    settings.authority = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").to_owned());
    let text = chain(&turn_on(&settings).await.unwrap_err());
    assert!(text.contains("must hold certificates in PEM"), "{text}");
}

#[tokio::test]
async fn a_certificate_with_a_common_name_turns_it_on_and_cannot_change_the_password() {
    let (mut settings, _) = cluster(Cluster { named: true, ..Cluster::default() }).await;
    assert_eq!(turn_on(&settings).await.unwrap(), Outcome::TurnedOn);
    assert_eq!(turn_on(&settings).await.unwrap(), Outcome::OnUnchecked);
    settings.old_password = Some("old".to_owned());
    let text = turn_on(&settings).await.unwrap_err().to_string();
    assert!(text.contains("name one without in --cert-file"), "{text}");
}
