//! Optional APIs come and go while the operator runs, and a cluster that does not answer changes nothing.

use std::{sync::Arc, time::Duration};

use dynamo_kubekit::{client::build, metrics::ApiMetrics};
use dynamo_operator::{
    metrics::OptionalApiMetrics,
    optional_apis::{OptionalApis, Probe, Timing},
};
use dynamo_testkit::{Plane, shared};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use prometheus_client::registry::Registry;
use tokio::{sync::watch, time::timeout};

const LIMIT: Duration = Duration::from_secs(60);

fn quick() -> Timing {
    let pause = Duration::from_millis(200);
    Timing { every: pause, retry: pause, patience: Duration::from_secs(2) }
}

fn gauge(metrics: &OptionalApiMetrics, group: &str) -> Option<String> {
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let start = format!("dynamo_operator_optional_api{{group=\"{group}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start).map(ToOwned::to_owned))
}

async fn until(apis: &mut watch::Receiver<OptionalApis>, want: impl FnMut(&OptionalApis) -> bool) {
    timeout(LIMIT, apis.wait_for(want)).await.expect("no change was told").expect("the probe has ended");
}

/// A client whose requests the tests can cut off: it goes through a listener that can be stopped.
async fn through(plane: &Plane, address: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(plane.operator_kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.tls_server_name = config.cluster_url.host().map(ToOwned::to_owned);
    config.cluster_url = format!("https://{address}").parse().unwrap();
    build(&config, Arc::new(ApiMetrics::default())).unwrap()
}

async fn forward(listener: tokio::net::TcpListener, to: String) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let to = to.clone();
        connections.spawn(async move {
            if let Ok(mut far) = tokio::net::TcpStream::connect(to).await {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

#[tokio::test]
async fn an_api_that_is_installed_and_removed_while_the_operator_runs_is_seen() {
    let Some(folder) = shared::folder("an API that is installed while the operator runs") else { return };
    let plane = Plane::start();
    let client = plane.client().await;
    let metrics = OptionalApiMetrics::default();
    let (probe, mut apis) = Probe::start(client.clone(), metrics.clone(), quick()).await.unwrap();
    assert_eq!(*apis.borrow(), OptionalApis::default());
    assert_eq!(gauge(&metrics, "leaderworkerset.x-k8s.io").as_deref(), Some("0"));
    let running = tokio::spawn(probe.run());

    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("crds/lws")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            let definition: CustomResourceDefinition = serde::Deserialize::deserialize(document).unwrap();
            names.extend(definition.metadata.name.clone());
            definitions.create(&PostParams::default(), &definition).await.unwrap();
        }
    }
    until(&mut apis, |apis| apis.lws).await;
    assert_eq!(*apis.borrow(), OptionalApis { lws: true, ..OptionalApis::default() });
    assert_eq!(gauge(&metrics, "leaderworkerset.x-k8s.io").as_deref(), Some("1"));
    assert_eq!(gauge(&metrics, "grove.io").as_deref(), Some("0"));

    for name in names {
        definitions.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    until(&mut apis, |apis| !apis.lws).await;
    assert_eq!(gauge(&metrics, "leaderworkerset.x-k8s.io").as_deref(), Some("0"));
    running.abort();
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_keeps_the_last_knowledge_and_ends_a_start() {
    let plane = Plane::shared();
    let client = plane.client().await;
    let kubeconfig = Kubeconfig::read_from(plane.operator_kubeconfig()).unwrap();
    let server = kubeconfig.clusters[0].cluster.as_ref().unwrap().server.clone().unwrap();
    let target = server.trim_start_matches("https://").trim_end_matches('/').to_owned();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let proxy = tokio::spawn(forward(listener, target.clone()));

    let metrics = OptionalApiMetrics::default();
    let behind = through(plane, &address).await;
    let (probe, apis) = Probe::start(behind.clone(), metrics.clone(), quick()).await.unwrap();
    let before = *apis.borrow();
    let running = tokio::spawn(probe.run());
    proxy.abort();
    assert!(proxy.await.is_err_and(|error| error.is_cancelled()));
    // Several looks fail meanwhile.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!apis.has_changed().unwrap());
    assert_eq!(*apis.borrow(), before);
    assert!(!running.is_finished());
    assert!(client.list_api_groups().await.is_ok(), "the cluster itself answers");

    let refused = Probe::start(behind, metrics.clone(), quick()).await.err().map(|error| error.to_string());
    assert!(refused.is_some_and(|text| text.contains("GET /apis")));

    let listener = tokio::net::TcpListener::bind(&address).await.unwrap();
    let proxy = tokio::spawn(forward(listener, target));
    let again = through(plane, &address).await;
    assert!(Probe::start(again, metrics, quick()).await.is_ok());
    running.abort();
    proxy.abort();
}
