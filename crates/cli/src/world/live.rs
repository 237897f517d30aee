//! The objects of one namespace, as lists. Nothing is asked here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dynamo_api::v1alpha1::{
    DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeploymentScalingAdapter,
};
use dynamo_render::observed::Observed;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::Resource;

/// The objects that rendering looks at; each list is sorted by name.
#[derive(Debug, Clone, Default)]
pub struct Live {
    pub components: Vec<Arc<DynamoComponentDeployment>>,
    pub adapters: Vec<Arc<DynamoGraphDeploymentScalingAdapter>>,
    pub deployments: Vec<Arc<Deployment>>,
    pub services: Vec<Arc<Service>>,
    pub checkpoints: Vec<Arc<DynamoCheckpoint>>,
    pub pod_accounts: Vec<String>,
    pub pull_secrets: BTreeMap<String, Vec<String>>,
    /// Names of the claims that are there; `None` when nobody looked.
    pub claims: Option<BTreeSet<String>>,
}

impl Live {
    /// The Service of a name.
    pub fn service(&self, name: &str) -> Option<Arc<Service>> {
        named(&self.services, name)
    }
}

/// The one of a name.
fn named<K: Resource>(objects: &[Arc<K>], name: &str) -> Option<Arc<K>> {
    objects.iter().find(|object| object.meta().name.as_deref() == Some(name)).cloned()
}

impl Observed for Live {
    fn component(&self, name: &str) -> Option<Arc<DynamoComponentDeployment>> {
        named(&self.components, name)
    }

    fn components(&self) -> Vec<Arc<DynamoComponentDeployment>> {
        self.components.clone()
    }

    fn adapter(&self, name: &str) -> Option<Arc<DynamoGraphDeploymentScalingAdapter>> {
        named(&self.adapters, name)
    }

    fn deployment(&self, name: &str) -> Option<Arc<Deployment>> {
        named(&self.deployments, name)
    }

    fn checkpoint(&self, name: &str) -> Option<Arc<DynamoCheckpoint>> {
        named(&self.checkpoints, name)
    }

    fn checkpoints(&self) -> Vec<Arc<DynamoCheckpoint>> {
        self.checkpoints.clone()
    }

    fn pod_accounts(&self) -> Vec<String> {
        self.pod_accounts.clone()
    }

    fn pull_secrets(&self) -> BTreeMap<String, Vec<String>> {
        self.pull_secrets.clone()
    }
}
