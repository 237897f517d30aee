//! The tool as a process, without a cluster.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::{Value, json};

fn dynamoctl(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dynamoctl"));
    command.args(words).env("KUBECONFIG", "/nowhere").stdin(Stdio::null());
    // As on a machine without certificates of public authorities.
    command.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_a_cluster_each_command_that_needs_one_says_how_to_name_one() {
    for words in [
        &["status"][..],
        &["status", "g"],
        &["wait", "g"],
        &["scale", "g", "Worker=1"],
        &["restart", "g"],
        &["logs", "g"],
        &["top", "g"],
        &["port-forward", "g"],
        &["chat", "g", "Hello"],
    ] {
        let output = dynamoctl(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let said = text(&output.stderr);
        assert!(
            said.contains("there is no cluster to ask") && said.contains("--kubeconfig"),
            "{words:?}: {said}"
        );
    }
}

#[test]
fn man_pages_and_completion_scripts_need_no_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let output = dynamoctl(&["man", folder.path().to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = std::fs::read_to_string(folder.path().join("dynamoctl-status.1")).unwrap();
    assert!(page.contains("Show a graph as a tree"), "{page}");
    assert!(!folder.path().join("dynamoctl-man.1").exists(), "a hidden command has no page");
    for shell in ["bash", "zsh", "fish"] {
        let output = dynamoctl(&["completion", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains("COMPLETE"), "{shell}");
    }
    assert_eq!(dynamoctl(&["completion", "tcsh"]).output().unwrap().status.code(), Some(2));
}

/// A program named helm that writes down its words and ends with a code.
fn helm(folder: &Path, code: i32) {
    let script = format!("#!/bin/sh\necho \"$@\" >> {}/calls\nexit {code}\n", folder.display());
    let path = folder.join("helm");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_helm(folder: &Path, words: &[&str]) -> Output {
    let path = format!("{}:/usr/bin:/bin", folder.display());
    dynamoctl(words).env("PATH", path).output().unwrap()
}

#[test]
fn helm_is_called_as_the_guide_does_with_the_cluster_that_was_named_and_its_failure_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    helm(folder.path(), 0);
    let calls = || std::fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
    let dry = with_helm(folder.path(), &["install", "--dry-run", "--context", "c"]);
    assert_eq!(
        text(&dry.stdout),
        "helm upgrade --namespace default --kube-context c --install dynamo-crds deploy/helm/charts/crds\n\
         helm upgrade --namespace dynamo-system --kube-context c --install dynamo-platform \
         deploy/helm/charts/platform --create-namespace\n"
    );
    assert_eq!(calls(), "");
    let words =
        ["install", "--skip-check", "-n", "own", "--skip-crds", "--charts", "/c", "--", "--set", "a.b=1"];
    assert_eq!(with_helm(folder.path(), &words).status.code(), Some(0));
    let wanted =
        "upgrade --namespace own --install dynamo-platform /c/platform --create-namespace --set a.b=1\n";
    assert_eq!(calls(), wanted);
    helm(folder.path(), 3);
    let failed = with_helm(folder.path(), &["uninstall", "--crds"]);
    assert_eq!(failed.status.code(), Some(3));
    assert!(calls().ends_with("uninstall --namespace dynamo-system dynamo-platform\n"), "{}", calls());
    let absent = dynamoctl(&["uninstall"]).env("PATH", "/nowhere").output().unwrap();
    assert_eq!(absent.status.code(), Some(2));
    assert!(text(&absent.stderr).contains("install Helm 3"), "{}", text(&absent.stderr));
}

#[test]
fn an_install_begins_with_the_checks_and_stops_where_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    helm(folder.path(), 0);
    let stopped = with_helm(folder.path(), &["install"]);
    let said = text(&stopped.stdout);
    assert_eq!(stopped.status.code(), Some(1), "{said}");
    for words in ["Cannot connect to Kubernetes cluster", "Nothing was installed", "--skip-check"] {
        assert!(said.contains(words), "{words} is missing in {said}");
    }
    // The checks ask it for its version.
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
    assert!(!calls.contains("upgrade"), "{calls}");
}

/// What a frontend was asked.
type Asked = Arc<Mutex<Vec<Value>>>;

async fn completions(State(asked): State<Asked>, Json(body): Json<Value>) -> impl IntoResponse {
    asked.lock().unwrap().push(body);
    let chunk = |text: &str| format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]}));
    let stream = format!("{}{}data: [DONE]\n\n", chunk("Good "), chunk("day."));
    ([("content-type", "text/event-stream")], stream)
}

/// A frontend with one model on loopback.
async fn frontend() -> (String, Asked) {
    let asked = Asked::default();
    let app = Router::new()
        .route("/v1/models", get(|| async { Json(json!({"data": [{"id": "tiny"}]})) }))
        .route("/v1/chat/completions", post(completions))
        .with_state(Arc::clone(&asked));
    (served(app).await, asked)
}

/// The address of `app` on loopback, for as long as the test runs.
async fn served(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_from_the_words_or_from_standard_input_gets_the_answer_of_the_model() {
    let (url, asked) = frontend().await;
    let words = ["chat", "--url", &url, "--system", "Be kind.", "--max-tokens", "9", "Hello", "there"];
    let output = dynamoctl(&words).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "Good day.\n"), "{output:?}");
    let body = asked.lock().unwrap().pop().unwrap();
    let wanted = json!({"model": "tiny", "stream": true, "max_tokens": 9, "messages":
        [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello there"}]});
    assert_eq!(body, wanted);
    let mut child =
        dynamoctl(&["chat", "--url", &url]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"From a file\n").unwrap();
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "Good day.\n");
    assert_eq!(asked.lock().unwrap().pop().unwrap()["messages"][0]["content"], "From a file");
    for (words, said) in [
        (
            &["chat", "--url", &url, "--model", "tny", "Hello"][..],
            "does not serve model \"tny\" (did you mean \"tiny\"?)",
        ),
        (&["chat", "--url", &url][..], "there is nothing to say"),
        (
            &["chat", "--url", "http://127.0.0.1:1", "Hello"][..],
            "cannot list the models of http://127.0.0.1:1",
        ),
        (&["chat", "--url", "127.0.0.1:1", "Hello"][..], "lacks a scheme or a host"),
        (&["chat", "--url", &format!("{url}/nowhere"), "Hello"][..], "HTTP status 404"),
    ] {
        let output = dynamoctl(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).contains(said), "{words:?}: {}", text(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_or_tells_of_an_error_is_none() {
    let chunk = |text: &str| format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]}));
    for (stream, code, said) in [
        (format!("{}data: [DONE]\n\n", chunk("Good day.")), 0, ""),
        (
            chunk("Good day.")
                + &format!("data: {}\n\n", json!({"choices": [{"delta": {}, "finish_reason": "stop"}]})),
            0,
            "",
        ),
        (chunk("Good"), 2, "the answer broke off before its end"),
        ("event: error\n: engine is dead\n\n".to_owned(), 2, "engine is dead"),
    ] {
        let models = get(|| async { Json(json!({"data": [{"id": "tiny"}]})) });
        let body = stream.clone();
        let answer = post(async move || ([("content-type", "text/event-stream")], body));
        let app = Router::new().route("/v1/models", models).route("/v1/chat/completions", answer);
        // As the base of the API, which other clients want.
        let url = format!("{}/v1", served(app).await);
        let output = dynamoctl(&["chat", "--url", &url, "Hello"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{stream}: {output:?}");
        assert!(text(&output.stderr).contains(said), "{stream}: {output:?}");
    }
}

#[test]
fn an_address_without_a_scheme_in_a_kubeconfig_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "127.0.0.1:1"}}], "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]});
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let output = dynamoctl(&["status"]).env("KUBECONFIG", &file).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("\"127.0.0.1:1\" lacks a scheme or a host"), "{output:?}");
}

/// A cluster without graphs whose API server says "not now" to the first `refusals` requests, and when to ask again;
/// the second is how often it was asked.
async fn not_now(folder: &Path, refusals: usize, retry_after: &'static str) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let answer = async move || {
        if counted.fetch_add(1, Ordering::SeqCst) >= refusals {
            let list = json!({"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeploymentList",
                "metadata": {"resourceVersion": "1"}, "items": []});
            return Json(list).into_response();
        }
        let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 429,
            "reason": "TooManyRequests", "message": "storage is (re)initializing", "metadata": {}});
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", retry_after)], Json(status)).into_response()
    };
    let url = served(Router::new().fallback(answer)).await;
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}], "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]});
    std::fs::write(folder.join("kubeconfig"), kubeconfig.to_string()).unwrap();
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_says_when_to_ask_again_is_asked_again_within_the_time_of_a_request() {
    for (refusals, retry_after, code, requests) in
        [(0, "1", 0, 1), (2, "1", 0, 3), (1, "3600", 2, 1), (9, "3", 2, 2), (1, "tomorrow", 2, 1)]
    {
        let folder = tempfile::tempdir().unwrap();
        let asked = not_now(folder.path(), refusals, retry_after).await;
        let output = dynamoctl(&["status", "--request-timeout", "5"])
            .env("KUBECONFIG", folder.path().join("kubeconfig"))
            .output()
            .unwrap();
        let seen = (output.status.code(), asked.load(Ordering::SeqCst));
        assert_eq!(seen, (Some(code), requests), "{refusals} times {retry_after}: {output:?}");
        let refused = text(&output.stderr).contains("storage is (re)initializing");
        assert_eq!(refused, code == 2, "{output:?}");
    }
}
