//! The way to a frontend: which pod it leads to, and what is said when there is none.

use dynamoctl::{cluster::Cluster, forward};
use serde_json::json;

use crate::running::{create, dynamoctl, make_ready, start, worker};

#[tokio::test]
async fn the_way_leads_to_a_ready_pod_of_the_frontend_and_its_port() {
    let (client, ns) = start().await;
    let mut graph = worker("g");
    graph["spec"]["services"]["Front"] = graph["spec"]["services"]["Worker"].clone();
    graph["spec"]["services"]["Front"]["componentType"] = json!("frontend");
    create(&client, &ns, &graph).await;
    for words in [&["port-forward", "g", "0"][..], &["chat", "g", "Hello"]] {
        let early = dynamoctl(&ns, words);
        assert_eq!(early.code, 2, "{early:?}");
        let text = "service Front of graph g has no ready pod: dynamoctl status g tells why";
        assert!(early.err.contains(text), "{}", early.err);
    }
    make_ready(&client, &ns, "g").await;
    let cluster = Cluster { client, namespace: ns.clone() };
    let graph = dynamoctl::graphs::find(&cluster, "g").await.unwrap();
    let to = forward::frontend(&cluster, &graph, None).await.unwrap();
    assert!(to.pod.starts_with("g-front-") && to.port == 8000, "{to:?}");
    let worker = forward::frontend(&cluster, &graph, Some("Worker")).await.unwrap();
    assert!(worker.pod.starts_with("g-worker-"), "{worker:?}");
    let unknown = dynamoctl(&ns, &["port-forward", "g", "--service", "front"]);
    assert!(unknown.code == 2 && unknown.err.contains("did you mean \"Front\"?"), "{unknown:?}");
}

#[tokio::test]
async fn a_graph_without_a_frontend_and_a_port_that_is_taken_are_told_so() {
    let (client, ns) = start().await;
    create(&client, &ns, &worker("g")).await;
    let none = dynamoctl(&ns, &["port-forward", "g"]);
    assert!(none.code == 2 && none.err.contains("name one with --service"), "{none:?}");
    make_ready(&client, &ns, "g").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let answer = dynamoctl(&ns, &["port-forward", "g", &port, "--service", "Worker"]);
    assert!(answer.code == 2 && answer.err.contains("choose another port"), "{answer:?}");
}
