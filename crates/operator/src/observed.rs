//! The objects of a namespace as the watches show them, for `dynamo_render::observed`. Reads of caches only.

use std::{collections::BTreeMap, sync::Arc};

use dynamo_api::v1alpha1::{
    DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeploymentScalingAdapter,
};
use dynamo_kubekit::key_of;
use dynamo_render::observed::Observed;
use k8s_openapi::api::apps::v1::Deployment;

use crate::{context::Caches, registry};

/// One namespace of the caches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Namespace<'a> {
    pub(crate) caches: &'a Caches,
    pub(crate) name: &'a str,
}

impl Observed for Namespace<'_> {
    fn component(&self, name: &str) -> Option<Arc<DynamoComponentDeployment>> {
        self.caches.components.get(self.name, name)
    }

    fn components(&self) -> Vec<Arc<DynamoComponentDeployment>> {
        self.caches.components.in_namespace(self.name)
    }

    fn adapter(&self, name: &str) -> Option<Arc<DynamoGraphDeploymentScalingAdapter>> {
        self.caches.adapters.get(self.name, name)
    }

    fn deployment(&self, name: &str) -> Option<Arc<Deployment>> {
        self.caches.deployments.get(self.name, name)
    }

    fn checkpoint(&self, name: &str) -> Option<Arc<DynamoCheckpoint>> {
        self.caches.checkpoints.get(self.name, name)
    }

    fn checkpoints(&self) -> Vec<Arc<DynamoCheckpoint>> {
        self.caches.checkpoints.in_namespace(self.name)
    }

    fn pod_accounts(&self) -> Vec<String> {
        self.caches.pod_accounts.in_namespace(self.name).iter().map(|account| key_of(&**account).1).collect()
    }

    fn pull_secrets(&self) -> BTreeMap<String, Vec<String>> {
        registry::pull_secrets(&self.caches.registries, self.name)
    }
}
