//! Bodies that no API server sends: cut, bent, foreign, endless. Every one has a well-formed answer.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::Request,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use dynamo_operator::webhook::Limits;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Served, knowledge, reviews};

const CASES: usize = 100_000;
const SEED: u64 = 0x5eed;

/// One request of the campaign.
struct Case {
    path: String,
    content_type: Option<&'static str>,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct Question {
    request: Asked,
}

#[derive(Deserialize)]
struct Asked {
    uid: String,
}

struct Source {
    rng: StdRng,
    /// Paths and reviews of every kind and operation, as values and as bytes.
    seeds: Vec<(String, Value, Vec<u8>)>,
}

impl Source {
    fn new(seed: u64) -> Self {
        let mut seeds = Vec::new();
        for kind in reviews::KINDS {
            let object = reviews::object(kind);
            let mut other = object.clone();
            other["spec"]["backendFramework"] = json!("sglang");
            other["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            for review in [
                reviews::create(&object),
                reviews::update(&object, &other),
                reviews::update(&object, &object),
                reviews::review("DELETE", &Value::Null, &object, None),
                reviews::review("UPDATE", &object, &object, None),
            ] {
                seeds.push((reviews::validating_path(kind), review));
            }
        }
        seeds.push((reviews::MUTATING_PATH.to_owned(), reviews::create(&reviews::object(reviews::GRAPH))));
        let bytes = |review: &Value| serde_json::to_vec(review).unwrap();
        let seeds = seeds.into_iter().map(|(path, review)| (path, bytes(&review), review));
        let seeds = seeds.map(|(path, bytes, review)| (path, review, bytes)).collect();
        Self { rng: StdRng::seed_from_u64(seed), seeds }
    }

    fn case(&mut self) -> Case {
        let at = self.rng.random_range(0..self.seeds.len());
        let body = if self.rng.random() { self.broken_text(at) } else { self.bent_review(at) };
        let path = match self.rng.random_range(0..20) {
            0 => self.rng.random_range(0..self.seeds.len()),
            _ => at,
        };
        let content_type = match self.rng.random_range(0..40) {
            0 => None,
            1 => Some("text/plain"),
            2 => Some("application/yaml"),
            _ => Some("application/json"),
        };
        Case { path: self.seeds[path].0.clone(), content_type, body }
    }

    fn broken_text(&mut self, seed: usize) -> Vec<u8> {
        let mut body = self.seeds[seed].2.clone();
        match self.rng.random_range(0..4) {
            0 => body.truncate(self.rng.random_range(0..=body.len())),
            1 => self.flip(&mut body),
            2 => body = self.noise(),
            _ => self.splice(&mut body),
        }
        body
    }

    /// JSON with up to three wrong parts, most of them within the objects.
    fn bent_review(&mut self, seed: usize) -> Vec<u8> {
        let mut review = self.seeds[seed].1.clone();
        for _ in 0..self.rng.random_range(1..4) {
            let start =
                ["", "/request", "/request/object", "/request/object/spec", "/request/oldObject/metadata"];
            let start = match self.rng.random_range(0..16) {
                at @ 0..2 => start[at],
                at => start[2 + at % 3],
            };
            if let Some(place) = review.pointer_mut(start) {
                self.bend(place);
            }
        }
        serde_json::to_vec(&review).unwrap()
    }

    /// Replaces, removes or adds something at a random place.
    fn bend(&mut self, mut place: &mut Value) {
        while self.rng.random_range(0..8) > 0 {
            let count = match &*place {
                Value::Object(fields) => fields.len(),
                Value::Array(items) => items.len(),
                _ => 0,
            };
            if count == 0 {
                break;
            }
            let at = self.rng.random_range(0..count);
            place = match place {
                Value::Object(fields) => fields.iter_mut().nth(at).unwrap().1,
                Value::Array(items) => &mut items[at],
                _ => unreachable!("it has parts"),
            };
        }
        let value = self.strange();
        match (place, self.rng.random_range(0..3)) {
            (Value::Object(fields), 0) => {
                let key = fields.keys().nth(self.rng.random_range(0..fields.len().max(1))).cloned();
                fields.remove(&key.unwrap_or_default());
            }
            (Value::Object(fields), 1) => {
                fields.insert(self.text(), value);
            }
            (Value::Array(items), 0) => {
                items.pop();
            }
            (Value::Array(items), 1) => items.push(value),
            (place, _) => *place = value,
        }
    }

    fn strange(&mut self) -> Value {
        match self.rng.random_range(0..14) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(i64::MIN),
            4 => json!(u64::MAX),
            5 => json!(1e300),
            6 => json!(0.5),
            7 => json!({}),
            8 => json!([]),
            9 => json!({self.text(): self.text()}),
            10 => json!([self.text(), null, 7]),
            11 => {
                let depth = self.rng.random_range(1..200);
                (0..depth).fold(
                    Value::Null,
                    |inner, at| if at % 2 == 0 { json!([inner]) } else { json!({"a": inner}) },
                )
            }
            12 => json!("x".repeat(self.rng.random_range(0..400))),
            _ => json!(self.text()),
        }
    }

    fn text(&mut self) -> String {
        const TEXTS: [&str; 16] = [
            "",
            " ",
            "\0",
            "\u{7f}\n",
            "ä",
            "\u{202e}x",
            "-1",
            "1e400",
            "9999999999999999999",
            "Ei",
            "1m",
            "NaN",
            "A-Name_.",
            "nvidia.com/selector",
            "../../x",
            "system:serviceaccount:a:planner-serviceaccount",
        ];
        TEXTS[self.rng.random_range(0..TEXTS.len())].to_owned()
    }

    fn flip(&mut self, body: &mut [u8]) {
        for _ in 0..self.rng.random_range(1..8) {
            let at = self.rng.random_range(0..body.len());
            body[at] = self.rng.random();
        }
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.rng.random_range(0..300);
        match self.rng.random_range(0..4) {
            0 => vec![b'['; length * 100],
            1 => b"{\"a\":".repeat(length * 20),
            2 => format!("{}9", "1".repeat(length)).into_bytes(),
            _ => (0..length).map(|_| self.rng.random()).collect(),
        }
    }

    /// Text in the middle that JSON does not know, or knows only as a number beyond measure.
    fn splice(&mut self, body: &mut Vec<u8>) {
        const PIECES: [&[u8]; 7] =
            [b"\xff\xfe", b"\xc3", b"1e99999", b"-", b"\"\\ud800\"", b"{\"uid\":\"a\",\"uid\":\"b\"}", b"\0"];
        let piece = PIECES[self.rng.random_range(0..PIECES.len())];
        let at = self.rng.random_range(0..=body.len());
        body.splice(at..at, piece.iter().copied());
    }
}

async fn send(router: &Router, case: &Case) -> (u16, Bytes) {
    let mut request = Request::post(&case.path);
    if let Some(content_type) = case.content_type {
        request = request.header("content-type", content_type);
    }
    let request = request.body(Body::from(case.body.clone())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, to_bytes(response.into_body(), usize::MAX).await.unwrap())
}

/// Panics unless the answer is one that the API server can read and that fits the question.
fn check(case: &Case, status: u16, answer: &[u8]) -> &'static str {
    if status == 400 {
        assert!(!answer.is_empty(), "a refusal has a reason");
        return "unreadable";
    }
    assert_eq!(status, 200);
    let review: Value = serde_json::from_slice(answer).expect("a review");
    assert_eq!(review["kind"], "AdmissionReview");
    let response = &review["response"];
    let question: Question = serde_json::from_slice(&case.body).expect("what is judged is a review");
    assert_eq!(response["uid"], question.request.uid);
    if let Some(patch) = response.get("patch") {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = BASE64_STANDARD.decode(patch.as_str().unwrap()).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        assert_eq!(patch.0.len(), 1);
    }
    for warning in response["warnings"].as_array().into_iter().flatten() {
        assert!(!warning.as_str().unwrap().contains(char::is_control));
    }
    if response["allowed"] == true {
        return "allowed";
    }
    assert_eq!(response["allowed"], false);
    let code = response["status"]["code"].as_u64().unwrap();
    assert!(!response["status"]["message"].as_str().unwrap().is_empty());
    match code {
        403 => "denied",
        400 => "not read",
        other => panic!("code {other}"),
    }
}

/// Runs `count` cases and says how often each outcome was met.
fn campaign(router: &Router, seed: u64, count: usize) -> std::collections::BTreeMap<&'static str, usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut source = Source::new(seed);
    let mut outcomes = std::collections::BTreeMap::new();
    for at in 0..count {
        let case = source.case();
        let (status, answer) = runtime.block_on(send(router, &case));
        let outcome = std::panic::catch_unwind(|| check(&case, status, &answer)).unwrap_or_else(|_| {
            panic!(
                "case {at} of seed {seed}, POST {}: {status}\n{}\nquestion:\n{}",
                case.path,
                String::from_utf8_lossy(&answer),
                String::from_utf8_lossy(&case.body)
            )
        });
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

#[test]
fn no_body_ends_the_process_and_every_answer_is_well_formed() {
    const THREADS: usize = 4;
    let served = Served::new(knowledge(), Limits::default());
    let campaigns: Vec<_> = (0..THREADS as u64)
        .map(|at| {
            let router = served.router.clone();
            std::thread::spawn(move || campaign(&router, SEED + at, CASES / THREADS))
        })
        .collect();
    let mut met = std::collections::BTreeMap::<_, usize>::new();
    for outcomes in campaigns {
        for (outcome, count) in outcomes.join().expect("no case fails") {
            *met.entry(outcome).or_default() += count;
        }
    }
    // A campaign that never reaches the rules would prove nothing.
    for outcome in ["unreadable", "not read", "denied", "allowed"] {
        assert!(met.get(outcome).is_some_and(|count| *count > CASES / 100), "{met:?}");
    }
    let metrics = served.metrics();
    assert!(metrics.contains("webhook_panics_total 0"), "{metrics}");
    assert!(metrics.contains("webhook_in_flight 0"), "{metrics}");
}
