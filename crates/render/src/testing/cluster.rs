//! Random installations, and what a random cluster knows of graphs: the other inputs of rendering.
//! They fit the graphs of the module beside this one; nothing here is part of a manifest.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use proptest::{collection::vec, prelude::*};

use super::graphs::one_of;
use crate::{
    config::{
        CheckpointConfig, CheckpointStorage, DiscoveryBackend, IngressDefaults, OperatorConfig, RouteDefaults,
    },
    credentials::{Credentials, Purpose, SecretKeys},
    facts::{Facts, FoundCheckpoint, GraphFacts, LiveComponent, Origin},
};

/// What an operator was told: everything, or what a chart says by default.
pub fn installation() -> BoxedStrategy<OperatorConfig> {
    let some = |text: &'static str| prop::option::of(Just(text.to_owned()));
    let addresses =
        (some("nats://nats:4222"), some("etcd:2379"), some("http://express:1"), some("http://prometheus:1"));
    let routes =
        (some("nginx"), some("cert"), some("example.com"), some("istio-system/gateway"), any::<bool>());
    let storage =
        prop::sample::select(vec![CheckpointStorage::Pvc, CheckpointStorage::S3, CheckpointStorage::Oci]);
    (addresses, routes, prop::option::of(storage), any::<(bool, bool)>())
        .prop_map(|(addresses, routes, storage, (is_etcd, restricted_security))| {
            let (nats_address, etcd_address, model_express_url, prometheus_endpoint) = addresses;
            let (class_name, tls_secret_name, host_suffix, virtual_service_gateway, is_secure) = routes;
            OperatorConfig {
                nats_address,
                etcd_address,
                model_express_url,
                prometheus_endpoint,
                discovery_backend: if is_etcd {
                    DiscoveryBackend::Etcd
                } else {
                    DiscoveryBackend::Kubernetes
                },
                ingress: IngressDefaults {
                    class_name,
                    tls_secret_name,
                    host_suffix,
                    virtual_service_gateway,
                    annotations: [("example.com/timeout".to_owned(), "60".to_owned())].into(),
                    virtual_service_supports_https: is_secure,
                    route: RouteDefaults {
                        timeout: is_secure.then(|| Duration::from_secs(60)),
                        retry_attempts: is_secure.then_some(2),
                        retry_per_try_timeout: is_etcd.then(|| Duration::from_millis(1500)),
                        retry_on: is_secure.then(|| "connect-failure".to_owned()),
                    },
                },
                checkpoint: storage.map(checkpoints_in),
                restricted_security,
                ..OperatorConfig::default()
            }
        })
        .boxed()
}

/// The flags of an operator that keeps checkpoints.
pub fn checkpoints_in(storage: CheckpointStorage) -> CheckpointConfig {
    CheckpointConfig {
        storage,
        signal_host_path: "/var/lib/chrek/signals".to_owned(),
        pvc_name: "chrek-pvc".to_owned(),
        pvc_base_path: "/checkpoints".to_owned(),
        s3_uri: "s3://bucket/checkpoints".to_owned(),
        s3_credentials_secret: "s3".to_owned(),
        oci_uri: "oci://registry.example/checkpoints".to_owned(),
        oci_credentials_secret: "oci".to_owned(),
        init_container_image: "busybox:latest".to_owned(),
        ready_file: "/tmp/ready-for-checkpoint".to_owned(),
        restore_marker_file: "/tmp/dynamo-restored".to_owned(),
    }
}

/// What a cluster may know of the graphs made here, and of their namespace.
pub fn facts() -> BoxedStrategy<(GraphFacts, Facts)> {
    const SERVICES: &[&str] = &["Frontend", "Worker", "worker", "A", "b-c", "B2"];
    fn by_service<T: std::fmt::Debug + 'static>(
        value: BoxedStrategy<T>,
    ) -> BoxedStrategy<BTreeMap<String, T>> {
        prop::collection::btree_map(one_of(SERVICES), value, 0..4).boxed()
    }
    let component = (prop::option::of(one_of(&["1", "again", "old"])), any::<bool>())
        .prop_map(|(restarted_at, ready)| LiveComponent { restarted_at, ready });
    let checkpoint = any::<bool>().prop_map(|ready| FoundCheckpoint {
        name: "saved".to_owned(),
        hash: "0123456789abcdef".to_owned(),
        ready,
    });
    let secrets = prop::collection::btree_map(
        one_of(&["example.com", "nvcr.io"]),
        vec(one_of(&["one", "two"]), 0..3),
        0..3,
    );
    let account = prop::option::of(one_of(&["labelled"]));
    let sharer = OwnerReference {
        api_version: "nvidia.com/v1alpha1".to_owned(),
        kind: "DynamoComponentDeployment".to_owned(),
        name: "other-worker".to_owned(),
        uid: "00000000-0000-0000-0000-000000000001".to_owned(),
        ..OwnerReference::default()
    };
    let sharers = (prop::option::of(Just(sharer)), credentials());
    let origin = prop::option::of(prop::option::of(one_of(&["0.9.0", "0.9.0+dynamo-rs"])));
    let of_graph = (
        by_service(component.boxed()),
        by_service((0..100i32).boxed()),
        by_service(checkpoint.boxed()),
        origin,
    );
    (of_graph, secrets, account, sharers)
        .prop_map(|(of_graph, pull_secrets, component_account, (sharer, credentials))| {
            let (components, adapter_replicas, checkpoints, origin) = of_graph;
            let graph_facts = GraphFacts {
                components,
                origin: origin.map(Origin),
                adapter_replicas,
                checkpoints: checkpoints.clone(),
                pull_secrets: pull_secrets.clone(),
                component_account: component_account.clone(),
                credentials: credentials.clone(),
            };
            let facts = Facts {
                pull_secrets,
                component_account,
                model_sharers: sharer.into_iter().collect(),
                checkpoint: checkpoints.into_values().next(),
                credentials,
            };
            (graph_facts, facts)
        })
        .boxed()
}

/// Secrets for NATS and etcd, with keys of every kind.
fn credentials() -> BoxedStrategy<Credentials> {
    const KEYS: &[&str] = &[
        "username",
        "password",
        "token",
        "nkey",
        "creds",
        "ca.crt",
        "tls.crt",
        "tls.key",
        "NATS_AUTH_TOKEN",
        "x",
    ];
    let purpose =
        prop::sample::select(vec![Purpose::NatsAuth, Purpose::NatsCa, Purpose::EtcdCa, Purpose::EtcdAuth]);
    let secret = prop::collection::btree_map(one_of(KEYS), one_of(&["1", "2"]), 0..6)
        .prop_map(|digests| SecretKeys { name: "shared".to_owned(), digests });
    prop::collection::btree_map(purpose, secret, 0..4).boxed()
}
