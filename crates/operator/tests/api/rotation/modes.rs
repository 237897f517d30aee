//! The other ways to certificates: no registration yet, a wiped bundle, hook jobs, files, and their hand-over.

use std::{path::Path, sync::atomic::Ordering, time::Duration};

use dynamo_operator::certs::{
    CertificateMetrics, FileKeeper, FileSettings, GenerateSettings, InjectSettings, Serving, generate, inject,
};
use dynamo_testkit::{Balancer, Plane, audit, eventually};
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        core::v1::Secret,
    },
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    Load, SECRET, SERVICE,
    fuse::Fuse,
    register,
    replica::{Replica, Site},
};
use crate::graphs::{aggregated, api};

/// The bundles of all entries.
async fn bundles(client: &Client, site: &Site) -> Vec<Option<ByteString>> {
    let validating: ValidatingWebhookConfiguration =
        Api::all(client.clone()).get(&site.configurations.validating).await.unwrap();
    let mutating: MutatingWebhookConfiguration =
        Api::all(client.clone()).get(&site.configurations.mutating).await.unwrap();
    let validating = validating.webhooks.into_iter().flatten().map(|webhook| webhook.client_config.ca_bundle);
    let mutating = mutating.webhooks.into_iter().flatten().map(|webhook| webhook.client_config.ca_bundle);
    validating.chain(mutating).collect()
}

async fn data(client: &Client, site: &Site, key: &str) -> Option<ByteString> {
    let secret: Secret = api(client, &site.namespace).get(SECRET).await.unwrap();
    secret.data.unwrap_or_default().remove(key)
}

async fn is_admitted(client: &Client, site: &Site) -> bool {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let graph = serde_json::from_value(aggregated("g")).unwrap();
    let graphs: Api<dynamo_api::v1alpha1::DynamoGraphDeployment> = api(client, &site.namespace);
    graphs.create(&params, &graph).await.is_ok()
}

fn requests(plane: &Plane, namespace: &str) -> usize {
    let log = plane.audit_log();
    let all = [audit::writes(&log), audit::reads(&log)].concat();
    all.iter()
        .filter(|line| line.contains(&format!("{namespace}/")) || line.contains(&format!("/{namespace}-")))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keeper_waits_for_the_registration_repairs_a_wiped_bundle_and_is_silent_when_idle() {
    let plane = Plane::shared();
    let client = plane.client().await;
    let ns = plane.namespace(&client).await;
    let site = Site::new(plane, &ns, SECRET, SERVICE);
    let balancer = Balancer::start().await;
    let mut replica = Replica::start(&site, &balancer, Fuse::default()).await;
    eventually("a reason that names what is missing", || async {
        let reason = replica.reason().unwrap_or_default();
        let expected = format!("ValidatingWebhookConfiguration {ns}-validating does not exist yet");
        if reason == expected { Ok(()) } else { Err(reason) }
    })
    .await;
    register(&client, &site, balancer.port()).await;
    replica.ready().await;
    assert!(is_admitted(&client, &site).await);

    let wanted = bundles(&client, &site).await;
    assert!(wanted.iter().all(|bundle| bundle.is_some() && *bundle == wanted[0]));
    let wipe = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
    let wipe = Patch::<()>::Json(serde_json::from_value(wipe).unwrap());
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    validating.patch(&site.configurations.validating, &PatchParams::default(), &wipe).await.unwrap();
    eventually("the bundle again", || async {
        let now = bundles(&client, &site).await;
        if now == wanted { Ok(()) } else { Err("differs".to_owned()) }
    })
    .await;
    assert_eq!(replica.reason(), None);
    assert!(is_admitted(&client, &site).await);

    // The log is written a moment after the answer.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = requests(plane, &ns);
    assert!(before > 0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(requests(plane, &ns), before, "an idle keeper asks");
    replica.stop(&balancer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hook_jobs_make_and_publish_certificates_that_the_operator_takes_over_under_load() {
    let plane = Plane::shared();
    let client = plane.client().await;
    let ns = plane.namespace(&client).await;
    let site = Site::new(plane, &ns, SECRET, SERVICE);
    let settings =
        GenerateSettings { namespace: ns.clone(), secret: SECRET.to_owned(), names: site.names(), days: 365 };
    let injected = |wait: u64| InjectSettings {
        namespace: ns.clone(),
        secret: SECRET.to_owned(),
        configurations: site.configurations.clone(),
        wait: Duration::from_millis(wait),
        pause: Duration::from_millis(50),
    };
    let missing = inject(&client, &injected(100)).await.unwrap_err().to_string();
    assert!(missing.starts_with(&format!("Secret {ns}/{SECRET} not found")), "{missing}");
    assert!(generate(&client, &settings).await.unwrap());
    assert!(!generate(&client, &settings).await.unwrap(), "a good certificate is kept");
    assert_eq!(data(&client, &site, "ca.key").await, None);
    let balancer = Balancer::start().await;
    register(&client, &site, balancer.port()).await;

    // The files of the Secret, as a volume shows them; served only once the bundle is published.
    let folder = plane.folder().join(&ns);
    std::fs::create_dir(&folder).unwrap();
    for key in ["tls.crt", "tls.key"] {
        write(&folder, key, &data(&client, &site, key).await.unwrap());
    }
    let serving = Serving::new(CertificateMetrics::default());
    let (resolver, readiness) = (serving.resolver(), serving.readiness());
    let files = FileSettings {
        directory: folder,
        names: site.names(),
        configurations: Some(site.configurations.clone()),
        poll: Duration::from_millis(100),
    };
    let keeper = tokio::spawn(FileKeeper::new(client.clone(), files, serving).run());
    eventually("a reason", || async {
        let reason = readiness.reason().unwrap_or_default();
        if reason.contains("not accepted by API servers") { Ok(()) } else { Err(reason) }
    })
    .await;
    assert!(resolver.current().is_none());
    inject(&client, &injected(10_000)).await.unwrap();
    let authority = data(&client, &site, "ca.crt").await;
    assert!(bundles(&client, &site).await.iter().all(|bundle| *bundle == authority));
    let mut old = Replica::serve(&site, &balancer, resolver, readiness, keeper, Fuse::default()).await;
    old.ready().await;
    let load = Load::default();
    let loading = tokio::spawn(load.clone().run(plane.client().await, ns.clone()));
    load.goes_on("with the certificates of the jobs").await;

    let mut new = Replica::start(&site, &balancer, Fuse::default()).await;
    new.ready().await;
    eventually("an authority with a key", || async {
        data(&client, &site, "ca.key").await.map(drop).ok_or("none".to_owned())
    })
    .await;
    load.goes_on("after the take-over, beside a replica that still serves the old pair").await;
    old.stop(&balancer).await;
    load.goes_on("with the operator alone").await;
    load.stop.store(true, Ordering::Relaxed);
    loading.await.unwrap();
    assert_eq!(*load.failed.lock().unwrap(), [] as [String; 0]);
    new.stop(&balancer).await;
}

fn write(folder: &Path, name: &str, content: &ByteString) {
    std::fs::write(folder.join(name), &content.0).unwrap();
}
