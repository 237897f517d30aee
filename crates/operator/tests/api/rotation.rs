//! Rotation of the webhook's certificates under load: no admission fails (W8 of the reliability guide).
//!
//! The API server reaches the webhook by a Service of type ExternalName, which a control plane without nodes can
//! follow; a balancer stands for the endpoints. Every review is a connection and a handshake of its own.

mod fuse;
mod modes;
mod replica;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Balancer, Plane, eventually};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::{Secret, Service},
};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::{
    fuse::{Crash, Fuse},
    replica::{Replica, Site},
};
use crate::graphs::{aggregated, api, patch};

const SECRET: &str = "webhook-server-cert";
const SERVICE: &str = "webhook-service";
const ROTATE: &str = "nvidia.com/rotate-webhook-certificate";

/// Registers the webhook for one namespace, without a bundle.
async fn register(client: &Client, site: &Site, port: u16) {
    let ns = &site.namespace;
    let service = json!({
        "metadata": {"name": SERVICE}, "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    let service: Service = serde_json::from_value(service).unwrap();
    api(client, ns).create(&PostParams::default(), &service).await.unwrap();
    let entry = |name: &str, path: &str, resource: &str, operations: &[&str]| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 10,
            "failurePolicy": "Fail", "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}},
            "clientConfig": {"service": {"namespace": ns, "name": SERVICE, "path": path, "port": port}},
            "rules": [{"apiGroups": ["nvidia.com"], "apiVersions": ["v1alpha1"], "resources": [resource],
                "operations": operations}],
        })
    };
    let kinds = ["dynamocomponentdeployment", "dynamographdeployment"];
    let entries: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            let path = format!("/validate-nvidia-com-v1alpha1-{kind}");
            entry(&format!("v{kind}.kb.io"), &path, &format!("{kind}s"), &["CREATE", "UPDATE"])
        })
        .collect();
    let validating = json!({"metadata": {"name": site.configurations.validating}, "webhooks": entries});
    let validating: ValidatingWebhookConfiguration = serde_json::from_value(validating).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &validating).await.unwrap();
    let path = "/mutate-nvidia-com-v1alpha1-dynamographdeployment";
    let entries = [entry("mdynamographdeployment.kb.io", path, "dynamographdeployments", &["CREATE"])];
    let mutating = json!({"metadata": {"name": site.configurations.mutating}, "webhooks": entries});
    let mutating: MutatingWebhookConfiguration = serde_json::from_value(mutating).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &mutating).await.unwrap();
}

/// Dry-run creates, 50 a second, until stopped.
#[derive(Clone, Default)]
struct Load {
    stop: Arc<AtomicBool>,
    admitted: Arc<AtomicUsize>,
    failed: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Load {
    async fn run(self, client: Client, namespace: String) {
        let graph: DynamoGraphDeployment = serde_json::from_value(aggregated("load")).unwrap();
        let graphs: Api<DynamoGraphDeployment> = api(&client, &namespace);
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sent = JoinSet::new();
        while !self.stop.load(Ordering::Relaxed) {
            pace.tick().await;
            while sent.len() >= 50 {
                sent.join_next().await;
            }
            let (load, graphs, graph) = (self.clone(), graphs.clone(), graph.clone());
            sent.spawn(async move {
                let params = PostParams { dry_run: true, ..PostParams::default() };
                match graphs.create(&params, &graph).await {
                    Ok(_) => drop(load.admitted.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => load.failed.lock().unwrap().push(error.to_string()),
                }
            });
        }
        sent.join_all().await;
    }

    /// Waits for some more admissions and says that none failed.
    async fn goes_on(&self, when: &str) {
        let before = self.admitted.load(Ordering::Relaxed);
        eventually("admissions go on", || async {
            let failed = self.failed.lock().unwrap().clone();
            assert!(failed.is_empty(), "{when}: {} failed: {:?}", failed.len(), failed.first());
            let more = self.admitted.load(Ordering::Relaxed) - before;
            if more >= 20 { Ok(()) } else { Err(format!("{more} more")) }
        })
        .await;
    }
}

/// What the Secret shows of a rotation.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    leaf: String,
    signer: String,
    is_rotating: bool,
}

async fn shown(client: &Client, namespace: &str) -> Shown {
    let secret: Secret = api(client, namespace).get(SECRET).await.unwrap();
    let data = secret.data.unwrap();
    let text = |key: &str| data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned());
    Shown {
        leaf: text("tls.crt").unwrap(),
        signer: text("ca.key").unwrap(),
        is_rotating: data.contains_key("next-ca.crt"),
    }
}

/// Asks for a rotation; the answer is what was before.
async fn ask(client: &Client, namespace: &str, what: &str) -> Shown {
    let before = shown(client, namespace).await;
    let change = json!({"metadata": {"annotations": {ROTATE: what}}});
    patch::<Secret>(client, namespace, SECRET, change).await;
    before
}

/// Waits until a new leaf is stored and every replica shows it.
async fn rotated(client: &Client, namespace: &str, before: &Shown, replicas: &[&Replica]) -> Shown {
    eventually("the end of the rotation", || async {
        let now = shown(client, namespace).await;
        let is_served = replicas.iter().all(|replica| replica.serves(&now.leaf));
        if now.leaf != before.leaf && !now.is_rotating && is_served {
            Ok(now)
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_admission_fails_while_certificates_change_and_replicas_crash() {
    let plane = Plane::shared();
    let client = plane.client().await;
    let ns = plane.namespace(&client).await;
    let site = Site::new(plane, &ns, SECRET, SERVICE);
    let balancer = Balancer::start().await;
    register(&client, &site, balancer.port()).await;
    let mut first = Replica::start(&site, &balancer, Fuse::default()).await;
    let mut second = Replica::start(&site, &balancer, Fuse::default()).await;
    first.ready().await;
    second.ready().await;
    let load = Load::default();
    let loading = tokio::spawn(load.clone().run(plane.client().await, ns.clone()));
    load.goes_on("at the beginning").await;

    let before = ask(&client, &ns, "leaf").await;
    let after = rotated(&client, &ns, &before, &[&first, &second]).await;
    assert_eq!(after.signer, before.signer);
    load.goes_on("after a new leaf").await;

    let before = ask(&client, &ns, "ca").await;
    let after = rotated(&client, &ns, &before, &[&first, &second]).await;
    assert_ne!(after.signer, before.signer);
    load.goes_on("after a new authority").await;

    first.stop(&balancer).await;
    first = Replica::start(&site, &balancer, Fuse::default()).await;
    first.ready().await;
    load.goes_on("after a restart").await;

    // The writes of a rotation: next authority, two publications, leaf.
    for crash in (1..=4).flat_map(|write| [Crash::Before(write), Crash::After(write)]) {
        first.stop(&balancer).await;
        let fuse = Fuse::default();
        first = Replica::start(&site, &balancer, fuse.clone()).await;
        first.ready().await;
        second.fuse.hold();
        fuse.arm(crash);
        let before = ask(&client, &ns, "ca").await;
        tokio::time::timeout(Duration::from_secs(30), fuse.blown()).await.expect("a crash");
        first.abort_keeper();
        let fresh = Replica::start(&site, &balancer, Fuse::default()).await;
        second.fuse.release();
        let after = rotated(&client, &ns, &before, &[&fresh, &second]).await;
        assert_ne!(after.signer, before.signer, "{crash:?}");
        load.goes_on(&format!("{crash:?}")).await;
        first.stop(&balancer).await;
        first = fresh;
    }
    load.stop.store(true, Ordering::Relaxed);
    loading.await.unwrap();
    let (admitted, reviews) = (load.admitted.load(Ordering::Relaxed), site.reviews.load(Ordering::Relaxed));
    assert_eq!(*load.failed.lock().unwrap(), [] as [String; 0]);
    assert!(reviews >= 2 * admitted, "{reviews} reviews for {admitted} admissions");
    first.stop(&balancer).await;
    second.stop(&balancer).await;
}
