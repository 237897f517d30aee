//! The graphs of a cluster: finding one by its name, and what belongs to one by its label.
//! Reads only.

use std::fmt::Debug;

use dynamo_api::{labels, v1alpha1::DynamoGraphDeployment};
use kube::{
    ResourceExt,
    api::{ListParams, ObjectList},
    core::Status,
};
use serde::de::DeserializeOwned;

use crate::{
    cluster::{self, Cluster},
    error::Error,
    suggest::did_you_mean,
};

/// The graph `name` of the namespace.
///
/// # Errors
/// The cluster gives no answer, or there is no such graph; the error then offers the nearest name.
pub async fn find(cluster: &Cluster, name: &str) -> Result<DynamoGraphDeployment, Error> {
    let graphs = cluster.api::<DynamoGraphDeployment>();
    let what = || format!("read graph {name:?} in namespace {:?}", cluster.namespace);
    match graphs.get(name).await {
        Ok(graph) => Ok(graph),
        Err(kube::Error::Api(status)) if is_absent(&status, name) => {
            // Without the right to list there is nothing to offer, and the answer is the same.
            let known = graphs.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
            let names: Vec<String> = known.iter().map(ResourceExt::name_any).collect();
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            let namespace = &cluster.namespace;
            let text = match hint.is_empty() {
                true => {
                    format!("there is no graph {name:?} in namespace {namespace:?}: name another with -n")
                }
                false => format!("there is no graph {name:?} in namespace {namespace:?}{hint}"),
            };
            Err(Error::Usage(text))
        }
        Err(error) => Err(cluster::Error::of(what(), &error).into()),
    }
}

/// Whether the object is missing, and not its kind, which is a 404, too.
fn is_absent(status: &Status, name: &str) -> bool {
    status.code == 404 && status.message.contains(&format!("{name:?} not found"))
}

/// All objects of a kind that carry the label of `graph`, in one request.
///
/// # Errors
/// Those of the API server.
pub async fn children<K>(cluster: &Cluster, graph: &str) -> kube::Result<ObjectList<K>>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    cluster.api::<K>().list(&ListParams::default().labels(&format!("{}={graph}", labels::GRAPH_NAME))).await
}

/// The service of `graph` with exactly this name.
///
/// # Errors
/// There is none; the error offers the nearest name.
pub fn service_of<'a>(graph: &'a DynamoGraphDeployment, name: &str) -> Result<&'a str, Error> {
    let services = || graph.spec.services.keys().map(String::as_str);
    services().find(|service| *service == name).ok_or_else(|| {
        let hint = did_you_mean(name, services());
        Error::Usage(format!("graph {:?} has no service {name:?}{hint}", graph.name_any()))
    })
}
