//! The form of every answer: what is allowed unseen, how a denial reads, what is counted.

use serde_json::{Value, json};
use tower::ServiceExt;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use dynamo_operator::webhook::Limits;

use crate::support::{OPERATOR, Served, knowledge, reviews};

async fn post(router: &Router, path: &str, review: &Value) -> (u16, Value) {
    let request = Request::post(path)
        .header("content-type", "application/json; charset=utf-8")
        .body(Body::from(review.to_string()))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (status, serde_json::from_str(&text).unwrap_or(json!(text)))
}

/// The response to a review of `kind`, with its outer form checked.
async fn judge(served: &Served, kind: &str, review: &Value) -> Value {
    let (status, mut answer) = post(&served.router, &reviews::validating_path(kind), review).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    answer["response"].take()
}

fn served() -> Served {
    Served::new(knowledge(), Limits::default())
}

#[tokio::test]
async fn valid_objects_of_every_kind_are_allowed_on_create_and_update() {
    let served = served();
    for kind in reviews::KINDS {
        let object = reviews::object(kind);
        for review in [reviews::create(&object), reviews::update(&object, &object)] {
            let response = judge(&served, kind, &review).await;
            assert_eq!(response["allowed"], true, "{kind}: {response}");
            assert!(response.get("patch").is_none() && response.get("status").is_none());
        }
    }
    let metrics = served.metrics();
    for kind in reviews::KINDS {
        for operation in ["CREATE", "UPDATE"] {
            let line = format!(
                r#"dynamo_operator_webhook_requests_total{{resource_type="{kind}",operation="{operation}",result="allowed"}} 1"#
            );
            assert!(metrics.contains(&line), "{line}: {metrics}");
            let line = format!(
                r#"dynamo_operator_webhook_duration_seconds_count{{resource_type="{kind}",operation="{operation}"}} 1"#
            );
            assert!(metrics.contains(&line), "{line}: {metrics}");
        }
    }
    assert!(!metrics.contains("denials_total{"), "{metrics}");
}

#[tokio::test]
async fn a_denial_lists_every_broken_rule_and_is_counted_by_its_class() {
    let served = served();
    let mut graph = reviews::object(reviews::GRAPH);
    graph["spec"]["services"]["Decode"]["replicas"] = json!(-1);
    graph["spec"]["services"]["Frontend"]["ingress"] = json!({"enabled": true});
    let response = judge(&served, reviews::GRAPH, &reviews::create(&graph)).await;
    assert_eq!(response["allowed"], false);
    assert_eq!(
        (&response["status"]["code"], &response["status"]["reason"]),
        (&json!(403), &json!("Forbidden"))
    );
    let message = response["status"]["message"].as_str().unwrap();
    let lines: Vec<&str> = message.strip_prefix("validation failed: ").unwrap().lines().collect();
    assert_eq!(lines.len(), 2, "{message}");
    assert!(lines[0].contains("spec.services[Decode].replicas must be non-negative"), "{message}");
    assert!(lines[1].contains("spec.services[Frontend].ingress.host is required when ingress is enabled"));
    let metrics = served.metrics();
    for line in [
        r#"webhook_requests_total{resource_type="DynamoGraphDeployment",operation="CREATE",result="denied"} 1"#,
        r#"webhook_denials_total{resource_type="DynamoGraphDeployment",operation="CREATE",reason="invalid"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn what_is_not_judged_is_allowed_unseen() {
    let served = served();
    for kind in reviews::KINDS {
        let broken = json!({"apiVersion": "nvidia.com/v1alpha1", "kind": kind, "metadata": [], "spec": 7});
        let mut excluded = reviews::create(&broken);
        excluded["request"]["namespace"] = json!("excluded");
        let deletion = reviews::review("DELETE", &Value::Null, &broken, Some("jane"));
        let connection = reviews::review("CONNECT", &broken, &Value::Null, Some("jane"));
        let mut status = reviews::update(&broken, &broken);
        status["request"]["subResource"] = json!("status");
        let mut scale = status.clone();
        scale["request"]["subResource"] = json!("scale");
        scale["request"]["kind"] = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        let mut ending = broken.clone();
        ending["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let ending = reviews::update(&ending, &broken);
        for review in [excluded, deletion, connection, status, scale, ending] {
            let response = judge(&served, kind, &review).await;
            assert_eq!(response["allowed"], true, "{review}: {response}");
        }
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_denied_by_the_name_of_its_field() {
    let served = served();
    let mut graph = reviews::object(reviews::GRAPH);
    graph["spec"]["restart"] = json!({"id": "1", "strategy": 7});
    let response = judge(&served, reviews::GRAPH, &reviews::create(&graph)).await;
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(400)));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("object.spec.restart.strategy"), "{message}");
    let metrics = served.metrics();
    let line = r#"webhook_denials_total{resource_type="DynamoGraphDeployment",operation="CREATE",reason="bad_request"} 1"#;
    assert!(metrics.contains(line), "{metrics}");

    for missing in ["object", "oldObject"] {
        let mut review = reviews::update(&reviews::object(reviews::GRAPH), &reviews::object(reviews::GRAPH));
        review["request"].as_object_mut().unwrap().remove(missing);
        let response = judge(&served, reviews::GRAPH, &review).await;
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{missing} is required")), "{message}");
    }
}

#[tokio::test]
async fn a_stored_object_that_cannot_be_read_does_not_keep_its_correction_out() {
    let mut old = reviews::object(reviews::GRAPH);
    old["spec"]["services"] = json!([]);
    let review = reviews::update(&old, &reviews::object(reviews::GRAPH));
    assert_eq!(judge(&served(), reviews::GRAPH, &review).await["allowed"], true);
}

#[tokio::test]
async fn replicas_of_an_adapter_are_changed_by_exactly_named_accounts_only() {
    const PLANNER: &str = "system:serviceaccount:default:planner-serviceaccount";
    let mut old = reviews::object(reviews::GRAPH);
    old["spec"]["services"]["Decode"]["scalingAdapter"] = json!({"enabled": true});
    old["spec"]["services"]["Decode"]["replicas"] = json!(1);
    let mut new = old.clone();
    new["spec"]["services"]["Decode"]["replicas"] = json!(2);
    let served = served();
    for trusted in [OPERATOR, PLANNER] {
        let review = reviews::review("UPDATE", &new, &old, Some(trusted));
        let response = judge(&served, reviews::GRAPH, &review).await;
        assert_eq!(response["allowed"], true, "{trusted}: {response}");
    }
    let strangers = [
        "",
        "jane",
        "dynamo-operator",
        "planner-serviceaccount",
        "system:serviceaccount:default:x-planner-serviceaccount",
        "system:serviceaccount:default:planner-serviceaccount-x",
        "system:serviceaccount:default:planner-serviceaccount:x",
        "system:serviceaccount:default:planner-serviceaccount ",
        " system:serviceaccount:default:planner-serviceaccount",
        "system:serviceaccount:default:Planner-ServiceAccount",
        "system:serviceaccount:default:planner-serviceaccount\n",
        "system:serviceaccount:other:planner-serviceaccount",
        "system:serviceaccount::planner-serviceaccount",
        "system:serviceaccount:default/planner-serviceaccount",
        "x:serviceaccount:default:planner-serviceaccount",
        "system:node:default:planner-serviceaccount",
        "system:serviceaccount:default:dynamo-operator",
        "system:serviceaccount:dynamo-system:dynamo-operator-x",
        "system:serviceaccount:dynamo-system:x-dynamo-operator",
        "system:serviceaccount:dynamo-system:x-dynamo-operator-controller-manager",
        "system:serviceaccount:dynamo-system:planner-serviceaccount",
        "system:serviceaccount:dynamo-system",
    ];
    for user in strangers.into_iter().map(Some).chain([None]) {
        let review = reviews::review("UPDATE", &new, &old, user);
        let response = judge(&served, reviews::GRAPH, &review).await;
        assert_eq!(response["allowed"], false, "{user:?}");
        let message = response["status"]["message"].as_str().unwrap();
        let words =
            "spec.services[Decode].replicas cannot be modified directly when scaling adapter is enabled";
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_path_judges_its_own_kind_only() {
    let served = served();
    for kind in reviews::KINDS {
        for other in reviews::KINDS.into_iter().filter(|other| *other != kind) {
            let response = judge(&served, other, &reviews::create(&reviews::object(kind))).await;
            assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(400)));
            let message = response["status"]["message"].as_str().unwrap();
            assert!(message.contains(kind) && message.contains(other), "{message}");
        }
    }
    let mut newer = reviews::create(&reviews::object(reviews::GRAPH));
    newer["request"]["kind"]["version"] = json!("v1beta1");
    assert_eq!(judge(&served, reviews::GRAPH, &newer).await["allowed"], false);
}

#[tokio::test]
async fn what_is_no_review_is_a_bad_request() {
    let served = served();
    let good = reviews::create(&reviews::object(reviews::GRAPH));
    let changed = |pointer: &str, value: Value| {
        let mut review = good.clone();
        *review.pointer_mut(pointer).unwrap() = value;
        review
    };
    for (review, words) in [
        (json!([]), "no AdmissionReview"),
        (json!({}), "only admission.k8s.io/v1 AdmissionReview"),
        (changed("/apiVersion", json!("admission.k8s.io/v1beta1")), "v1beta1"),
        (changed("/kind", json!("Pod")), "Pod"),
        (changed("/request", json!(null)), "request is required"),
        (changed("/request/uid", json!("")), "request.uid is required"),
        (changed("/request/operation", json!("PATCH")), "PATCH"),
    ] {
        let (status, text) = post(&served.router, &reviews::validating_path(reviews::GRAPH), &review).await;
        assert_eq!(status, 400, "{review}");
        assert!(text.as_str().unwrap().contains(words), "{text}");
    }
    assert!(served.metrics().contains(r#"refused_total{cause="unreadable"} 7"#), "{}", served.metrics());
    assert_eq!(post(&served.router, "/validate", &good).await.0, 404);
}

#[tokio::test]
async fn a_new_graph_is_stamped_once_and_nothing_else_is() {
    let served = served();
    let mut graph = reviews::object(reviews::GRAPH);
    let create = reviews::create(&graph);
    let (status, answer) = post(&served.router, reviews::MUTATING_PATH, &create).await;
    assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)));
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    let patch = decode(&answer["response"]["patch"]);
    json_patch::patch(&mut graph, &serde_json::from_value::<json_patch::Patch>(patch).unwrap()).unwrap();
    let mut expected = reviews::object(reviews::GRAPH);
    expected["metadata"]["annotations"]["nvidia.com/dynamo-operator-origin-version"] =
        json!("0.9.0+dynamo-rs");
    assert_eq!(graph, expected);

    let bare = reviews::object(reviews::GRAPH);
    let mut excluded = create;
    excluded["request"]["namespace"] = json!("excluded");
    let deletion = reviews::review("DELETE", &Value::Null, &bare, Some("jane"));
    for review in [reviews::create(&graph), reviews::update(&bare, &bare), deletion, excluded] {
        let (status, answer) = post(&served.router, reviews::MUTATING_PATH, &review).await;
        assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)));
        assert!(answer["response"].get("patch").is_none(), "{answer}");
    }
    assert!(!served.metrics().contains("requests_total{"), "only validating reviews are counted");
}

fn decode(patch: &Value) -> Value {
    use base64::{Engine, prelude::BASE64_STANDARD};
    serde_json::from_slice(&BASE64_STANDARD.decode(patch.as_str().unwrap()).unwrap()).unwrap()
}
