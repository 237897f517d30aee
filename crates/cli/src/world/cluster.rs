//! A cluster as it is: what the operator reads before it renders, for one namespace. Only reads.

use std::{collections::BTreeMap, sync::Arc};

use dynamo_api::labels;
use dynamo_operator::{
    copied::Content, flags::NamespacedName, optional_apis::OptionalApis, process::apply_environment,
    registry::Hosts,
};
use dynamo_render::credentials::{Credentials, SecretKeys};
use futures::try_join;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Container, PersistentVolumeClaim, Secret, ServiceAccount},
    },
};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;

use super::{Installation, Live, World};
use crate::{
    cluster::{Cluster, Error as ClusterError},
    error::Error,
};

/// How the chart labels the Deployment of an operator.
const OPERATOR: &str = "control-plane=controller-manager,app.kubernetes.io/name=dynamo-operator";
const REGISTRY: &str = "type=kubernetes.io/dockerconfigjson";

/// Where an operator runs.
#[derive(Debug)]
struct Found {
    deployment: Deployment,
    installation: Installation,
}

/// The world of the graphs in `namespace`; `flags` come after those of the operator that is found, and stand alone where
/// none is.
///
/// # Errors
/// The cluster does not answer, forbids a read, or has no operator for the namespace.
pub async fn world(cluster: &Cluster, namespace: &str, flags: &[String]) -> Result<World, Error> {
    let client = &cluster.client;
    let installation = installation(client, namespace, flags).await?;
    let groups = async {
        client.list_api_groups().await.map_err(|error| ClusterError::of("list the API groups", &error).into())
    };
    let (groups, live, credentials) =
        try_join!(groups, live(client, namespace), credentials(client, namespace, &installation))?;
    Ok(World { installation, apis: OptionalApis::of(&groups), credentials, live })
}

/// The operator that works in `namespace`: one that is restricted to it, else one for all.
async fn installation(client: &Client, namespace: &str, flags: &[String]) -> Result<Installation, Error> {
    let params = ListParams::default().labels(OPERATOR);
    let list = Api::<Deployment>::all(client.clone()).list(&params).await;
    let list = list.map_err(|error| {
        ClusterError::of("look for the operator (list deployments in all namespaces)", &error)
    })?;
    let mut candidates = Vec::new();
    for deployment in list.items {
        let Some(container) = manager(&deployment) else { continue };
        let words = container.args.iter().flatten().chain(flags).cloned();
        let installation = Installation::of_flags(words)?;
        if installation.restricted_to.as_deref().is_none_or(|only| only == namespace) {
            candidates.push(Found { deployment, installation });
        }
    }
    candidates.sort_by_key(|found| found.installation.restricted_to.is_none());
    let Some(Found { deployment, mut installation }) = candidates.into_iter().next() else {
        let text = format!(
            "there is no operator that works in namespace {namespace} (no Deployment with the labels {OPERATOR}): \
             install the platform, or leave --from-cluster out and give the operator's flags with --operator-flag"
        );
        return Err(Error::Usage(text));
    };
    let of_operator = deployment.namespace().unwrap_or_default();
    installation.credentials.namespace.get_or_insert_with(|| of_operator.clone());
    if let Some(container) = manager(&deployment) {
        let variables = variables(client, &of_operator, container).await?;
        let applied = apply_environment(&mut installation.config, |name| variables.get(name).cloned());
        applied.map_err(|error| Error::Usage(format!("the operator's environment: {error}")))?;
    }
    Ok(installation)
}

fn manager(deployment: &Deployment) -> Option<&Container> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == "manager")
}

/// The variables of a container, those of its Secrets included.
async fn variables(
    client: &Client,
    namespace: &str,
    container: &Container,
) -> Result<BTreeMap<String, String>, Error> {
    let mut variables = BTreeMap::new();
    let sources = container.env_from.iter().flatten().filter_map(|source| source.secret_ref.as_ref());
    for name in sources.map(|source| source.name.as_str()) {
        let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
        let what = format!("read secret {namespace}/{name}, from which the operator has settings");
        let secret = secrets.get_opt(name).await.map_err(|error| ClusterError::of(what, &error))?;
        for (key, value) in secret.and_then(|secret| secret.data).unwrap_or_default() {
            variables.insert(key, String::from_utf8_lossy(&value.0).into_owned());
        }
    }
    let own = container.env.iter().flatten();
    variables.extend(own.filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?))));
    Ok(variables)
}

async fn live(client: &Client, namespace: &str) -> Result<Live, Error> {
    let labelled = ListParams::default().labels(&format!("{}=true", labels::COMPONENT_POD));
    let registries = ListParams::default().fields(REGISTRY);
    let all = ListParams::default();
    let (components, adapters, deployments, services, checkpoints, accounts, secrets, claims) = try_join!(
        list(client, namespace, &all),
        list(client, namespace, &all),
        list(client, namespace, &all),
        list(client, namespace, &all),
        list(client, namespace, &all),
        list::<ServiceAccount>(client, namespace, &labelled),
        list::<Secret>(client, namespace, &registries),
        list::<PersistentVolumeClaim>(client, namespace, &all),
    )?;
    let claims = Some(claims.iter().map(|claim| claim.name_any()).collect());
    let mut pull_secrets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for secret in secrets {
        let name = secret.name_any();
        for host in Hosts::from(Arc::unwrap_or_clone(secret)).iter() {
            pull_secrets.entry(host.to_owned()).or_default().push(name.clone());
        }
    }
    let pod_accounts = accounts.iter().map(|account| account.name_any()).collect();
    Ok(Live { components, adapters, deployments, services, checkpoints, pod_accounts, pull_secrets, claims })
}

/// All objects of a kind, sorted by name.
async fn list<K>(client: &Client, namespace: &str, params: &ListParams) -> Result<Vec<Arc<K>>, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let list = Api::<K>::namespaced(client.clone(), namespace).list(params).await;
    let what = || format!("list {} in namespace {namespace}", K::plural(&()));
    let mut items = list.map_err(|error| ClusterError::of(what(), &error))?.items;
    items.sort_by_key(ResourceExt::name_any);
    Ok(items.into_iter().map(Arc::new).collect())
}

/// The Secrets by which pods reach NATS and etcd: the copies in the namespace, and where there are none yet, their
/// sources.
async fn credentials(
    client: &Client,
    namespace: &str,
    installation: &Installation,
) -> Result<Credentials, Error> {
    let mut found = Credentials::new();
    let home = installation.credentials.namespace.clone().unwrap_or_default();
    for (purpose, name) in &installation.credentials.names {
        let places = [namespace.to_owned(), home.clone()]
            .map(|namespace| NamespacedName { namespace, name: name.clone() });
        let mut secret = None;
        for place in &places {
            if secret.is_none() {
                let what = format!("read secret {}/{name}, which pods are given", place.namespace);
                let api = Api::<Secret>::namespaced(client.clone(), &place.namespace);
                secret = api.get_opt(name).await.map_err(|error| ClusterError::of(what, &error))?;
            }
        }
        let secret = secret.ok_or_else(|| {
            Error::Usage(format!(
                "the secret {home}/{name}, which the operator's flags name, does not exist: create it"
            ))
        })?;
        let digests = Content::from(secret).digests().clone();
        found.insert(*purpose, SecretKeys { name: name.clone(), digests });
    }
    Ok(found)
}
