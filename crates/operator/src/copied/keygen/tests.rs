//! The key itself, and what is written where.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::http::{Request, Response};
use kube::client::Body;
use rsa::pkcs1::DecodeRsaPrivateKey;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;

fn text(entries: &BTreeMap<String, ByteString>, name: &str) -> String {
    String::from_utf8(entries[name].0.clone()).unwrap()
}

#[test]
fn a_key_is_of_2048_bits_without_a_passphrase_and_its_halves_belong_together() {
    let entries = new_key().unwrap();
    let private = PrivateKey::from_pkcs1_pem(&text(&entries, PRIVATE)).unwrap();
    assert_eq!(private.n().bit_width(), 2048);
    assert_eq!(text(&entries, PUBLIC), public_line(&private));
    assert_ne!(entries, new_key().unwrap());
}

#[test]
fn openssh_reads_the_private_key_and_finds_the_same_public_one() {
    use std::{io::Write, os::unix::fs::OpenOptionsExt, process::Command};
    let entries = new_key().unwrap();
    let path = std::env::temp_dir().join(format!("dynamo-mpi-key-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(&entries[PRIVATE].0).unwrap();
    let found = Command::new("ssh-keygen").arg("-y").arg("-f").arg(&path).output();
    std::fs::remove_file(&path).unwrap();
    let Ok(found) = found else {
        eprintln!("SKIPPED what OpenSSH says about the key: ssh-keygen is not installed");
        return;
    };
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let line = |text: &str| text.split_whitespace().take(2).map(ToOwned::to_owned).collect::<Vec<_>>();
    assert_eq!(line(&String::from_utf8_lossy(&found.stdout)), line(&text(&entries, PUBLIC)));
}

#[test]
fn numbers_have_neither_leading_zeros_nor_a_sign() {
    assert_eq!(positive(&[0, 0, 1]), [1]);
    assert_eq!(positive(&[0x80, 1]), [0, 0x80, 1]);
    assert_eq!(positive(&[0, 0x7f]), [0x7f]);
    assert_eq!(positive(&[0]), [] as [u8; 0]);
}

/// Stores one Secret; `code` answers a POST instead of storing.
#[derive(Default)]
struct Stored {
    secret: Option<Value>,
    code: Option<u16>,
    posts: usize,
}

fn keygen(stored: &Arc<Mutex<Stored>>) -> Keygen {
    let stored = Arc::clone(stored);
    let server = service_fn(move |request: Request<Body>| {
        let stored = Arc::clone(&stored);
        async move {
            let method = request.method().clone();
            let body = request.into_body().collect_bytes().await.unwrap();
            let mut stored = stored.lock().unwrap();
            let refusal = |code: u16| {
                let reason = if code == 404 { "NotFound" } else { "Other" };
                let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "no", "reason": reason, "code": code});
                (code, status)
            };
            let (code, body) = match (method.as_str(), stored.secret.clone()) {
                ("GET", Some(secret)) => (200, secret),
                ("POST", None) => {
                    stored.posts += 1;
                    match stored.code {
                        Some(code) => refusal(code),
                        None => {
                            let secret: Value = serde_json::from_slice(&body).unwrap();
                            stored.secret = Some(secret.clone());
                            (201, secret)
                        }
                    }
                }
                ("POST", _) => refusal(409),
                _ => refusal(404),
            };
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    let client = Client::new(server, "default");
    let source = NamespacedName { namespace: "home".to_owned(), name: "key".to_owned() };
    Keygen { client, source, source_gone: Arc::default(), told: false }
}

#[tokio::test]
async fn a_missing_secret_is_made_and_one_that_exists_is_left_alone() {
    let stored = Arc::<Mutex<Stored>>::default();
    let mut keygen = keygen(&stored);
    keygen.make_if_missing().await.unwrap();
    let made = stored.lock().unwrap().secret.clone().unwrap();
    assert_eq!((&made["metadata"]["name"], &made["metadata"]["namespace"]), (&json!("key"), &json!("home")));
    assert_eq!(made["type"], "Opaque");
    let names: Vec<_> = made["data"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, [PRIVATE, PUBLIC]);
    keygen.make_if_missing().await.unwrap();
    assert!(!keygen.told);

    let foreign = json!({"metadata": {"name": "key"}, "data": {"id_rsa": "YQ=="}});
    stored.lock().unwrap().secret = Some(foreign.clone());
    keygen.make_if_missing().await.unwrap();
    assert!(keygen.told);
    let stored = stored.lock().unwrap();
    assert_eq!((stored.posts, &stored.secret), (1, &Some(foreign)));
}

#[tokio::test]
async fn a_race_is_no_error_and_a_refusal_is_one_that_names_the_right() {
    let stored = Arc::<Mutex<Stored>>::default();
    let mut keygen = keygen(&stored);
    stored.lock().unwrap().code = Some(409);
    keygen.make_if_missing().await.unwrap();
    stored.lock().unwrap().code = Some(403);
    let text = chain(&keygen.make_if_missing().await.unwrap_err());
    assert!(text.contains("needs the right to create Secrets in that namespace"), "{text}");
}

#[tokio::test]
async fn a_secret_that_is_deleted_is_made_again_and_an_error_is_tried_again() {
    let stored = Arc::<Mutex<Stored>>::default();
    stored.lock().unwrap().code = Some(500);
    let keygen = keygen(&stored);
    let gone = Arc::clone(&keygen.source_gone);
    let running = tokio::spawn(keygen.run());
    let until = |what: fn(&Stored) -> bool| {
        let stored = Arc::clone(&stored);
        let reached = async move {
            while !what(&stored.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        async { tokio::time::timeout(Duration::from_secs(60), reached).await.unwrap() }
    };
    until(|stored| stored.posts >= 1).await;
    stored.lock().unwrap().code = None;
    until(|stored| stored.secret.is_some()).await;
    let first = stored.lock().unwrap().secret.take();
    gone.notify_one();
    until(|stored| stored.secret.is_some()).await;
    assert_ne!(stored.lock().unwrap().secret, first);
    assert!(!running.is_finished());
    running.abort();
}
