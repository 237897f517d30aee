//! The operator as a process: exit codes, leadership, the end.

use std::{os::unix::ffi::OsStringExt, process::Command};

use dynamo_testkit::{Operator, Plane, eventually, operator::REQUIRED};
use k8s_openapi::api::coordination::v1::Lease;

use crate::{
    PROGRAM,
    graphs::{aggregated, api, create, make_ready},
};

fn exit_code(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM).args(args).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn wrong_flags_end_with_their_exit_codes_and_a_reason() {
    let (code, text) = exit_code(&["--no-such-flag"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("flag provided but not defined: -no-such-flag"), "{text}");
    let (code, text) = exit_code(&[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("--planner-cluster-role-name is required"), "{text}");
    assert_eq!(exit_code(&["--help"]).0, Some(0));
    let garbage = std::ffi::OsString::from_vec(b"--no\xffsense".to_vec());
    assert_eq!(Command::new(PROGRAM).arg(garbage).output().unwrap().status.code(), Some(2));
    let mut args = REQUIRED.to_vec();
    args.push("--kubeconfig=/does/not/exist");
    let (code, text) = exit_code(&args);
    assert_eq!(code, Some(1));
    assert!(text.contains("no cluster"), "{text}");
}

#[tokio::test]
async fn a_second_replica_takes_over_when_the_leader_ends_and_the_lease_is_given_back() {
    let plane = Plane::start();
    let client = plane.client().await;
    let elected =
        ["--leader-elect", "--leader-election-id=dynamo.test", "--leader-election-namespace=default"];
    let holder = || async {
        let lease: Lease =
            api(&client, "default").get("dynamo.test").await.map_err(|error| error.to_string())?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        if holder.is_empty() { Err("nobody holds the lease".to_owned()) } else { Ok(holder) }
    };
    let mut first = Operator::start(PROGRAM, &plane, &elected);
    let leader = eventually("a leader", holder).await;
    let second = Operator::start(PROGRAM, &plane, &elected);
    let ns = plane.namespace(&client).await;
    create(&client, &ns, &aggregated("before")).await;
    make_ready(&client, &ns, "before").await;
    assert!(!second.log_text().contains("leading"), "both lead:\n{}", second.log_text());

    first.signal("TERM");
    assert!(first.wait().success(), "{}", first.log_text());
    create(&client, &ns, &aggregated("after")).await;
    make_ready(&client, &ns, "after").await;
    assert_ne!(eventually("the next leader", holder).await, leader);
}

#[tokio::test]
async fn metrics_count_requests_and_reconciles() {
    let plane = Plane::start();
    let client = plane.client().await;
    let operator = Operator::start(PROGRAM, &plane, &[]);
    let ns = plane.namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    let text = operator.metrics();
    for line in [
        &format!(
            r#"dynamo_operator_reconcile_total{{resource_type="DynamoGraphDeployment",namespace="{ns}",result="success"}}"#
        ),
        r#"controller_runtime_reconcile_total{controller="DynamoComponentDeployment",result="success"}"#,
        r#"workqueue_queue_duration_seconds_count{name="DynamoGraphDeployment",controller="DynamoGraphDeployment"}"#,
        r#"workqueue_depth{name="DynamoComponentDeployment",controller="DynamoComponentDeployment"} 0.0"#,
        r#"controller_runtime_max_concurrent_reconciles{controller="DynamoGraphDeployment"} 8"#,
        r#"rest_client_requests_total{code="200",method="PATCH",host="127.0.0.1:"#,
        r#"dynamo_operator_applied_objects_total{kind="Deployment",outcome="created"} 2"#,
        r#"verb="patch",resource="dynamographdeployments/status",code="200""#,
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
}

#[tokio::test]
async fn json_lines_of_one_pass_carry_its_object_and_an_id_of_their_own() {
    let plane = Plane::start();
    let client = plane.client().await;
    let operator = Operator::start(PROGRAM, &plane, &["--zap-devel=false", "--zap-log-level=debug"]);
    let ns = plane.namespace(&client).await;
    create(&client, &ns, &aggregated("g")).await;
    make_ready(&client, &ns, "g").await;
    let text = operator.log_text();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(
        lines.iter().any(|line| line["msg"] == "starting" && line["logger"] == "process.start"),
        "{text}"
    );
    let created: Vec<_> = lines.iter().filter(|line| line["msg"] == "created").collect();
    for kind in ["DynamoComponentDeployment", "Deployment"] {
        let line = created.iter().find(|line| line["kind"] == kind);
        let line = line.unwrap_or_else(|| panic!("no {kind} was created:\n{text}"));
        let parent = if kind == "Deployment" { "DynamoComponentDeployment" } else { "DynamoGraphDeployment" };
        assert_eq!(line["controller"], parent, "{line}");
        assert_eq!(line["namespace"], ns.as_str(), "{line}");
        assert_eq!(line["reconcileID"].as_str().map(str::len), Some(36), "{line}");
    }
    let ids: std::collections::BTreeSet<_> =
        created.iter().filter_map(|line| line["reconcileID"].as_str()).collect();
    assert!(ids.len() >= 3, "the graph and two components are passes of their own: {ids:?}");
}
