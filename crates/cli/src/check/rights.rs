//! Whether this user may install the platform, asked of the API server right by right.
//! Missing ones are warnings: another user may do the install.

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};

use super::report::Verdict;
use crate::cluster::{Cluster, Error};

/// Group and plural of what the charts make, and whether it lives in the namespace.
const MADE: [(&str, &str, bool); 9] = [
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", false),
    ("apps", "deployments", true),
    ("apps", "statefulsets", true),
    ("", "secrets", true),
    ("", "serviceaccounts", true),
    ("rbac.authorization.k8s.io", "rolebindings", true),
];

/// What this user may not create; empty when an install has all its rights.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    cluster: Vec<&'static str>,
    namespaced: Vec<&'static str>,
}

/// # Errors
/// The API server gives no answer about rights.
pub async fn gather(cluster: &Cluster) -> Result<Missing, Error> {
    let answers = try_join_all(MADE.map(|(group, resource, namespaced)| async move {
        let namespace = namespaced.then(|| cluster.namespace.clone());
        may_create(cluster, group, resource, namespace).await.map(|may| (resource, namespaced, may))
    }));
    let answers = answers.await.map_err(|error| Error::of("ask for this user's rights", &error))?;
    let missing = |wanted: bool| {
        answers
            .iter()
            .filter(|(_, namespaced, may)| *namespaced == wanted && !may)
            .map(|(resource, ..)| *resource)
            .collect()
    };
    Ok(Missing { cluster: missing(false), namespaced: missing(true) })
}

async fn may_create(
    cluster: &Cluster,
    group: &str,
    resource: &str,
    namespace: Option<String>,
) -> Result<bool, kube::Error> {
    let attributes = ResourceAttributes {
        verb: Some("create".to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        namespace,
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), non_resource_attributes: None };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = Api::all(cluster.client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// The verdict on an install into `namespace`.
pub fn judge(missing: &Missing, namespace: &str) -> Verdict {
    let Missing { cluster, namespaced } = missing;
    let mut verdict = if cluster.is_empty() && namespaced.is_empty() {
        Verdict::passed(format!("This user may install the platform in namespace {namespace}"))
    } else {
        Verdict::caution_first("This user may not install everything")
    };
    if !namespaced.is_empty() {
        verdict = verdict.warn(format!(
            "this user may not create {} in namespace {namespace}: ask for the role admin there",
            namespaced.join(", ")
        ));
    }
    if !cluster.is_empty() {
        verdict = verdict.warn(format!(
            "this user may not create {}: an administrator of the cluster must install the CRDs and a cluster-wide \
             operator",
            cluster.join(", ")
        ));
    }
    verdict
}
