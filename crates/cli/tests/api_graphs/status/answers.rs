//! Exit codes, request counts, and what is said when there is no answer.

use dynamo_testkit::{Plane, audit, eventually, plane::SECOND_USER};
use serde_json::{Value, json};

use crate::running::{call, command, create, dynamoctl, make_ready, start, worker};

/// A graph of as many services as a graph may have.
fn large(name: &str) -> Value {
    let mut graph = worker(name);
    let worker = graph["spec"]["services"]["Worker"].clone();
    for number in 1..25 {
        graph["spec"]["services"][format!("Worker{number}")] = worker.clone();
    }
    graph
}

#[tokio::test]
async fn a_graph_of_25_services_takes_at_most_6_requests_and_is_ready_with_exit_code_0() {
    let (client, ns) = start().await;
    create(&client, &ns, &large("g")).await;
    make_ready(&client, &ns, "g").await;
    let mine = || {
        let all = audit::requests_of(&Plane::shared().audit_log(), SECOND_USER);
        all.into_iter().filter(|line| line.contains(&format!(" {ns}/"))).collect::<Vec<_>>()
    };
    let before = mine().len();
    let answer = dynamoctl(&ns, &["status", "g", "-o", "json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(report["services"].as_array().unwrap().len(), 25);
    assert!(
        report["services"].as_array().unwrap().iter().all(|one| one["pods"].as_array().unwrap().len() == 1)
    );
    assert_eq!(report["firstCause"], Value::Null);
    let requests = eventually("the log has the requests", || async {
        let requests = mine().split_off(before);
        if requests.len() >= 5 { Ok(requests) } else { Err(format!("{requests:?}")) }
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(mine().split_off(before).len() <= 6, "{requests:#?}");
    println!("{requests:#?}");
}

#[tokio::test]
async fn all_graphs_are_listed_and_one_that_is_not_ready_makes_the_exit_code_1() {
    let (client, ns) = start().await;
    let none = dynamoctl(&ns, &["status"]);
    assert_eq!((none.code, none.out.as_str()), (0, ""));
    assert!(none.err.contains("there are no graphs"), "{}", none.err);
    create(&client, &ns, &worker("first")).await;
    make_ready(&client, &ns, "first").await;
    let answer = dynamoctl(&ns, &["status"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.out.starts_with("NAME   STATE       READY  AGE"), "{}", answer.out);
    create(&client, &ns, &worker("second")).await;
    assert_eq!(dynamoctl(&ns, &["status"]).code, 1);
    let everywhere = dynamoctl(&ns, &["status", "-A", "-o", "json"]);
    let lines: Value = serde_json::from_str(&everywhere.out).unwrap();
    let mine = lines.as_array().unwrap().iter().filter(|line| line["namespace"] == ns.as_str());
    assert_eq!(mine.count(), 2);
}

#[tokio::test]
async fn an_unknown_graph_is_answered_with_the_nearest_name() {
    let (client, ns) = start().await;
    let answer = dynamoctl(&ns, &["status", "g"]);
    assert_eq!((answer.code, answer.out.as_str()), (2, ""));
    assert!(
        answer.err.contains(&format!("there is no graph \"g\" in namespace \"{ns}\": name another with -n"))
    );
    create(&client, &ns, &worker("aggregated")).await;
    let answer = dynamoctl(&ns, &["status", "agregated"]);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("(did you mean \"aggregated\"?)"), "{}", answer.err);
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_right_is_missing_and_one_with_some_gets_the_rest() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker("g")).await;
    make_ready(&client, &ns, "g").await;
    let kubeconfig = limited(&ns, "dynamographdeployments", "[]");
    let answer = call(&kubeconfig, &ns, &["status", "g"]);
    assert_eq!((answer.code, answer.out.as_str()), (2, ""));
    assert!(answer.err.contains("cannot get resource \"dynamographdeployments\""), "{}", answer.err);
    assert!(answer.err.contains("ask for that right"), "{}", answer.err);
    let kubeconfig = limited(&ns, "some", "[dynamographdeployments, dynamocomponentdeployments]");
    let answer = call(&kubeconfig, &ns, &["status", "g"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.out.contains("Note: this user may not list pods"), "{}", answer.out);
}

/// The kubeconfig of an account that may read these kinds of the platform.
fn limited(namespace: &str, name: &str, resources: &str) -> std::path::PathBuf {
    let kubectl = |words: &[&str], stdin: Option<&str>| {
        use std::io::Write;
        let program = dynamo_devkit::tools::ensure(&[dynamo_devkit::tools::Tool::Kubernetes]).unwrap();
        let mut child = std::process::Command::new(program.program("kubectl"))
            .arg("--kubeconfig")
            .arg(Plane::shared().kubeconfig_of(dynamo_testkit::plane::OPERATOR_USER))
            .args(["-n", namespace])
            .args(words)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.unwrap_or_default().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let objects = format!(
        "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}}}}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: {name}}}, \
         rules: [{{apiGroups: [nvidia.com], resources: {resources}, verbs: [get, list]}}]}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {name}}}, \
         subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}], \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}}}\n"
    );
    let objects = if resources == "[]" {
        format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}}}}}\n")
    } else {
        objects
    };
    kubectl(&["apply", "-f", "-"], Some(&objects));
    let token = kubectl(&["create", "token", name], None);
    let of_admin =
        std::fs::read_to_string(Plane::shared().kubeconfig_of(dynamo_testkit::plane::OPERATOR_USER)).unwrap();
    let mut config: Value = serde_yaml_ng::from_str(&of_admin).unwrap();
    config["users"][0]["user"] = json!({"token": token});
    let path = Plane::shared().folder().join(format!("{namespace}-{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[tokio::test]
async fn a_cluster_without_the_definitions_is_told_so() {
    use dynamo_devkit::control_plane::{ControlPlane, ControlPlaneOptions};
    let bare = ControlPlane::start(ControlPlaneOptions::default()).unwrap();
    for words in [&["status", "g"][..], &["status"]] {
        let answer = call(bare.kubeconfig(), "default", words);
        assert_eq!((answer.code, answer.out.as_str()), (2, ""));
        assert!(answer.err.contains("install the CRDs of the platform"), "{words:?}: {}", answer.err);
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_tool_without_an_error() {
    let (client, ns) = start().await;
    create(&client, &ns, &large("g")).await;
    make_ready(&client, &ns, "g").await;
    let kubeconfig = Plane::shared().kubeconfig_of(SECOND_USER);
    let mut child = command(&kubeconfig, &ns, &["status", "g", "-o", "json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
