//! The gate against an API server that is scripted: tokens are `USER` (may read), `other-USER` (may not), anything
//! else is unknown.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{body, routing::get};
use http::Response as HttpResponse;
use kube::client::Body;
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};

use super::*;

/// What the scripted API server does and saw.
#[derive(Default)]
struct Script {
    token_reviews: AtomicUsize,
    access_reviews: AtomicUsize,
    /// How long an answer takes.
    delay: Duration,
    /// Status of every answer, if it is none.
    refuse_with: Mutex<Option<u16>>,
    asked: Mutex<Vec<Value>>,
}

impl Script {
    fn token_reviews(&self) -> usize {
        self.token_reviews.load(Ordering::SeqCst)
    }

    fn answer(&self, path: &str, question: Value) -> Value {
        self.asked.lock().unwrap().push(question.clone());
        let mut answer = question;
        answer["status"] = if path.ends_with("/tokenreviews") {
            self.token_reviews.fetch_add(1, Ordering::SeqCst);
            match answer["spec"]["token"].as_str().unwrap() {
                token @ ("reader" | "other-reader") => json!({"authenticated": true, "user": {
                    "username": token, "uid": "7", "groups": ["g"], "extra": {"k": ["v"]}}}),
                "expired" => json!({"authenticated": false, "error": "expired"}),
                _ => json!({}),
            }
        } else {
            self.access_reviews.fetch_add(1, Ordering::SeqCst);
            json!({"allowed": answer["spec"]["user"] == "reader"})
        };
        answer
    }
}

fn page(script: &Arc<Script>, limits: Limits) -> Router {
    let script = Arc::clone(script);
    let server = service_fn(move |request: http::Request<Body>| {
        let script = Arc::clone(&script);
        async move {
            tokio::time::sleep(script.delay).await;
            let path = request.uri().path().to_owned();
            let question = request.into_body().collect_bytes().await.unwrap();
            let code = *script.refuse_with.lock().unwrap();
            let answer = match code {
                None => script.answer(&path, serde_json::from_slice(&question).unwrap()),
                Some(code) => {
                    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "no", "reason": "no", "code": code})
                }
            };
            let body = Body::from(answer.to_string().into_bytes());
            Ok::<_, Infallible>(HttpResponse::builder().status(code.unwrap_or(201)).body(body).unwrap())
        }
    });
    let routes = Router::new().route("/metrics", get(|| async { "page" }));
    Gate::new(Client::new(server, "default"), limits).guard(routes)
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn challenge(&self) -> Option<&str> {
        self.headers.get(header::WWW_AUTHENTICATE)?.to_str().ok()
    }
}

async fn ask_with(page: &Router, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = Request::builder().uri(path);
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    let answer = page.clone().oneshot(request.body(body::Body::empty()).unwrap()).await.unwrap();
    let (head, text) = answer.into_parts();
    let text = body::to_bytes(text, 10_000).await.unwrap();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        text: String::from_utf8(text.to_vec()).unwrap(),
    }
}

async fn ask(page: &Router, token: &str) -> Answer {
    ask_with(page, PATH, Some(&format!("Bearer {token}"))).await
}

#[tokio::test(start_paused = true)]
async fn only_a_known_user_who_may_get_the_path_reads_the_page() {
    let script = Arc::new(Script::default());
    let page = page(&script, Limits::default());
    let allowed = ask(&page, "reader").await;
    assert_eq!((allowed.status, allowed.text.as_str()), (200, "page"));
    let asked = script.asked.lock().unwrap().pop().unwrap();
    assert_eq!(
        asked["spec"],
        json!({"user": "reader", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]},
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"}})
    );
    let forbidden = ask(&page, "other-reader").await;
    assert_eq!(forbidden.status, 403);
    assert!(forbidden.text.contains("user \"other-reader\" may not get /metrics"), "{}", forbidden.text);
    assert!(forbidden.text.contains("nonResourceURLs: [\"/metrics\"]"), "{}", forbidden.text);
    for token in ["expired", "nobody"] {
        let unknown = ask(&page, token).await;
        assert_eq!((unknown.status, unknown.challenge()), (401, Some("Bearer")), "{token}");
    }
    assert_eq!(script.access_reviews.load(Ordering::SeqCst), 2, "nobody asks what an unknown user may do");
}

#[tokio::test(start_paused = true)]
async fn without_a_usable_bearer_token_the_api_server_is_not_asked() {
    let script = Arc::new(Script::default());
    let page = page(&script, Limits::default());
    let long = format!("Bearer {}", "a".repeat(LONGEST_TOKEN + 1));
    for authorization in
        [None, Some("reader"), Some("Basic reader"), Some("Bearer "), Some("Bearer"), Some(&long)]
    {
        let answer = ask_with(&page, PATH, authorization).await;
        assert_eq!((answer.status, answer.challenge()), (401, Some("Bearer")));
    }
    assert_eq!(ask_with(&page, "/other", Some("Bearer reader")).await.status, 404);
    assert_eq!(script.token_reviews(), 0);
    assert_eq!(ask_with(&page, PATH, Some("bearer reader")).await.status, 200, "the scheme has no case");
}

#[tokio::test(start_paused = true)]
async fn answers_are_remembered_for_a_while_and_then_asked_for_again() {
    let script = Arc::new(Script::default());
    let page = page(&script, Limits::default());
    for _ in 0..50 {
        assert_eq!(ask(&page, "reader").await.status, 200);
        assert_eq!(ask(&page, "nobody").await.status, 401);
    }
    assert_eq!(script.token_reviews(), 2);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!((ask(&page, "nobody").await.status, script.token_reviews()), (401, 3));
    assert_eq!((ask(&page, "reader").await.status, script.token_reviews()), (200, 3));
    tokio::time::advance(Duration::from_secs(110)).await;
    assert_eq!((ask(&page, "reader").await.status, script.token_reviews()), (200, 4));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_refuses_or_is_late_lets_nobody_in_and_is_not_remembered() {
    let script = Arc::new(Script::default());
    let router = page(&script, Limits::default());
    for code in [403, 500, 503] {
        *script.refuse_with.lock().unwrap() = Some(code);
        assert_eq!(ask(&router, "reader").await.status, 503, "{code}");
    }
    *script.refuse_with.lock().unwrap() = None;
    assert_eq!(ask(&router, "reader").await.status, 200);
    let slow = Arc::new(Script { delay: Duration::from_secs(60), ..Script::default() });
    let router = page(&slow, Limits::default());
    let start = Instant::now();
    assert_eq!(ask(&router, "reader").await.status, 503);
    assert!(start.elapsed() < Duration::from_secs(10), "a scraper waits no longer");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_tokens_reaches_the_api_server_in_drops_and_keeps_no_reader_out() {
    let script = Arc::new(Script { delay: Duration::from_millis(20), ..Script::default() });
    let page = page(&script, Limits::default());
    assert_eq!(ask(&page, "reader").await.status, 200);
    let seconds = 130;
    let flood = async {
        let mut turned_away = 0;
        for step in 0..seconds * 2 {
            let tokens: Vec<String> = (0..100).map(|number| format!("wrong-{step}-{number}")).collect();
            let answers = futures::future::join_all(tokens.iter().map(|token| ask(&page, token))).await;
            turned_away += answers.iter().filter(|answer| answer.status == 429).count();
            assert!(answers.iter().all(|answer| matches!(answer.status, 401 | 429)));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        turned_away
    };
    let reading = async {
        for _ in 0..seconds / 10 {
            assert_eq!(ask(&page, "reader").await.status, 200);
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    };
    let start = Instant::now();
    let (turned_away, ()) = tokio::join!(flood, reading);
    let most = usize::try_from(start.elapsed().as_secs()).unwrap() * 10 + 20;
    assert!(script.token_reviews() <= most, "{} reviews, {most} at most", script.token_reviews());
    assert!(turned_away > 10_000, "{turned_away}");
}
