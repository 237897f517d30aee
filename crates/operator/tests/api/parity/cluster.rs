//! The cluster of the recording: an API server without controllers, so that nothing becomes ready, and one operator with
//! the flags of the recording. A manifest has a namespace of its own.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_testkit::{Operator, Plane, nodes};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, PersistentVolumeClaim, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use serde_json::{Value, json};

use super::record::{self, Objects};
use crate::{PROGRAM, graphs::api};

/// The kinds of the recording that such a cluster has: group, version, kind, plural.
const KINDS: [(&str, &str, &str, &str); 12] = [
    ("apps", "v1", "Deployment", "deployments"),
    ("", "v1", "Service", "services"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("nvidia.com", "v1alpha1", "DynamoComponentDeployment", "dynamocomponentdeployments"),
    ("nvidia.com", "v1alpha1", "DynamoGraphDeploymentScalingAdapter", "dynamographdeploymentscalingadapters"),
    ("", "v1", "Secret", "secrets"),
    ("batch", "v1", "Job", "jobs"),
];

const GRAPHS: (&str, &str, &str, &str) =
    ("nvidia.com", "v1alpha1", "DynamoGraphDeployment", "dynamographdeployments");

const POLL: Duration = Duration::from_millis(250);

/// Polls that must find the same before a namespace counts as quiet.
const QUIET: usize = 4;

pub struct Cluster {
    client: Client,
    namespaces: AtomicU32,
    /// In this order: the operator ends before its cluster.
    _operator: Operator,
    _plane: Plane,
}

impl Cluster {
    pub async fn start() -> Self {
        let plane = Plane::without_controllers();
        let client = plane.client().await;
        let operator_namespace = "dynamo-system";
        create_namespace(&client, operator_namespace).await;
        let key = json!({"metadata": {"name": "mpi-run-ssh-key"},
            "stringData": {"private.key": "private", "private.key.pub": "public"}});
        let key: Secret = serde_json::from_value(key).unwrap();
        api(&client, operator_namespace).create(&PostParams::default(), &key).await.unwrap();
        let args = ["--dgdr-profiling-cluster-role-name=dgdr-profiling"];
        let operator = Operator::start(PROGRAM, &plane, &args);
        Self { client, namespaces: AtomicU32::new(0), _operator: operator, _plane: plane }
    }

    async fn list(
        &self,
        namespace: &str,
        (group, version, kind, plural): (&str, &str, &str, &str),
    ) -> Vec<Value> {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let list = api.list(&ListParams::default()).await.unwrap_or_else(|error| panic!("{plural}: {error}"));
        let objects = list.items.into_iter().map(|object| {
            let mut object = serde_json::to_value(object).unwrap();
            // Lists of built-in kinds do not repeat it.
            object["apiVersion"] = json!(resource.api_version);
            object["kind"] = json!(kind);
            object
        });
        objects.collect()
    }
}

async fn create_namespace(client: &Client, name: &str) {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
}

/// The namespace of one manifest.
pub struct Space<'a> {
    cluster: &'a Cluster,
    namespace: String,
}

impl<'a> Space<'a> {
    /// Creates the graphs of a manifest, and before them the claims that they expect to find.
    pub async fn create(cluster: &'a Cluster, documents: &[Value]) -> Self {
        // No name may be part of another one: it is replaced in texts.
        let namespace = format!("parity-{:03}", cluster.namespaces.fetch_add(1, Ordering::Relaxed));
        create_namespace(&cluster.client, &namespace).await;
        let graphs: Vec<&Value> =
            documents.iter().filter(|document| document["kind"] == "DynamoGraphDeployment").collect();
        let claims = graphs.iter().flat_map(|graph| graph["spec"]["pvcs"].as_array().into_iter().flatten());
        for claim in claims.filter(|claim| claim["create"] != true) {
            let claim: PersistentVolumeClaim = serde_json::from_value(json!({
                "metadata": {"name": claim["name"]},
                "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
            }))
            .unwrap();
            match api(&cluster.client, &namespace).create(&PostParams::default(), &claim).await {
                Ok(_) => {}
                // Two graphs of one manifest share it.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("claim: {error}"),
            }
        }
        for graph in graphs {
            crate::graphs::create(&cluster.client, &namespace, graph).await;
        }
        Self { cluster, namespace }
    }

    /// Waits until the operator has seen every graph and component and nothing changes any more, then a little for
    /// `is_expected`; returns what there is.
    pub async fn settled(&self, is_expected: impl Fn(&Objects) -> bool) -> Objects {
        const DEADLINE: Duration = Duration::from_secs(60);
        const LENIENCE: Duration = Duration::from_secs(5);
        let start = Instant::now();
        let (mut known, mut quiet, mut since) = (Vec::new(), 0, None);
        loop {
            let (seen, objects) = self.look().await;
            quiet = if seen.is_some() && seen == Some(known) { quiet + 1 } else { 0 };
            known = seen.unwrap_or_default();
            if quiet >= QUIET {
                let since: Instant = *since.get_or_insert_with(Instant::now);
                if is_expected(&objects) || since.elapsed() > LENIENCE {
                    return objects;
                }
            }
            assert!(start.elapsed() < DEADLINE, "{} never becomes quiet: {known:?}", self.namespace);
            tokio::time::sleep(POLL).await;
        }
    }

    /// All objects as they are compared.
    pub async fn objects(&self) -> Objects {
        self.look().await.1
    }

    /// The versions of all objects, once the operator has said something of each of its own; and the objects.
    async fn look(&self) -> (Option<Vec<String>>, Objects) {
        let (mut versions, mut objects, mut is_reported) = (Vec::new(), Objects::new(), true);
        for graph in self.cluster.list(&self.namespace, GRAPHS).await {
            let name = graph["metadata"]["name"].as_str().unwrap();
            is_reported &=
                graph["status"]["conditions"][0]["observedGeneration"] == graph["metadata"]["generation"];
            versions.push(graph["metadata"]["resourceVersion"].to_string());
            let graph = record::in_no_namespace(&graph, &self.namespace);
            let metadata = &graph["metadata"];
            record::insert_status(
                &mut objects,
                name,
                &metadata["annotations"],
                &metadata["finalizers"],
                &graph["status"],
            );
        }
        for kind in KINDS {
            for object in self.cluster.list(&self.namespace, kind).await {
                versions.push(object["metadata"]["resourceVersion"].to_string());
                is_reported &= kind.2 != "DynamoComponentDeployment" || object["status"].is_object();
                record::insert(&mut objects, record::normalised(object, &self.namespace));
            }
        }
        (is_reported.then_some(versions), objects)
    }

    /// Stands in for the controllers of Deployments until every graph that has not failed is ready and says so. Returns
    /// the number of those graphs, and what is wrong with their statuses at the end.
    pub async fn make_ready(&self) -> (usize, Vec<String>) {
        const DEADLINE: Duration = Duration::from_secs(60);
        let client = &self.cluster.client;
        let start = Instant::now();
        loop {
            let deployments: Vec<Deployment> =
                api(client, &self.namespace).list(&ListParams::default()).await.unwrap().items;
            for deployment in &deployments {
                nodes::roll_out(client, deployment).await;
            }
            let graphs: Vec<DynamoGraphDeployment> =
                api(client, &self.namespace).list(&ListParams::default()).await.unwrap().items;
            let (mut ready, mut failures) = (0, Vec::new());
            for graph in graphs {
                let status = serde_json::to_value(graph.status.as_ref().unwrap()).unwrap();
                if status["state"] != "failed" {
                    ready += 1;
                    failures.extend(unready(&graph.name_any(), &status, &deployments));
                }
            }
            if failures.is_empty() || start.elapsed() > DEADLINE {
                return (ready, failures);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// How the status of a graph differs from that of a ready one.
fn unready(graph: &str, status: &Value, deployments: &[Deployment]) -> Option<String> {
    let condition = &status["conditions"][0];
    let got = json!([
        status["state"],
        condition["status"],
        condition["reason"],
        condition["message"],
        status["services"]
    ]);
    let want = json!([
        "successful",
        "True",
        "all_resources_are_ready",
        "All resources are ready",
        services(graph, deployments)
    ]);
    (got != want).then(|| format!("{graph}: want {want} got {got}"))
}

/// What the status of a graph says of its services, by what their Deployments say.
fn services(graph: &str, deployments: &[Deployment]) -> Value {
    let mut services = serde_json::Map::new();
    for deployment in deployments {
        let labels = deployment.labels();
        if labels["nvidia.com/dynamo-graph-deployment-name"] != graph {
            continue;
        }
        let status = deployment.status.clone().unwrap_or_default();
        let entry = json!({
            "componentKind": "Deployment",
            "componentName": deployment.name_any(),
            "replicas": status.replicas.unwrap_or_default(),
            "updatedReplicas": status.updated_replicas.unwrap_or_default(),
            "readyReplicas": status.ready_replicas.unwrap_or_default(),
            "availableReplicas": status.available_replicas.unwrap_or_default(),
        });
        services.insert(labels["nvidia.com/dynamo-component"].clone(), entry);
    }
    Value::Object(services)
}
