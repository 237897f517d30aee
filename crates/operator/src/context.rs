//! What every reconcile may use: caches, the applier, configuration, metrics and the event recorder.
//! Shared and immutable but for the failure counts.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use dynamo_api::{
    foreign::{InferencePool, VirtualService},
    v1alpha1::{
        DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest,
        DynamoGraphDeploymentScalingAdapter, DynamoModel,
    },
};
use dynamo_kubekit::{
    Object,
    apply::{Applier, ApplyError},
    backoff::Failures,
    cache::Cache,
    debounce::Debounce,
    diff::content_hash,
    fence::refusal,
    key_of,
    metrics::ReconcileMetrics,
    prune::prune,
};
pub use dynamo_render::observed::owner_of;
use dynamo_render::{OperatorConfig, Policy};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        batch::v1::Job,
        core::v1::{ConfigMap, ObjectReference, PersistentVolumeClaim, Service, ServiceAccount},
        networking::v1::Ingress,
        rbac::v1::{Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::{OwnerReference, Time},
    jiff::Timestamp,
};
use kube::{
    Client, Resource,
    core::PartialObjectMeta,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::watch;
use tracing::warn;

use crate::{
    accounts::Grants,
    copied::{Copied, credentials::CredentialCopies},
    optional_apis::OptionalApis,
    pods::Pods,
    registry::RegistrySecret,
    scope::Scope,
    wiring::Wiring,
};

/// Field manager of everything the operator applies. It never changes: the API server keeps ownership under it.
pub const FIELD_MANAGER: &str = "dynamo-operator";

/// A claim that exists.
pub type ClaimName = PartialObjectMeta<PersistentVolumeClaim>;

/// How long a change of counts alone is held back: pods come and go one by one.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// What the watches show.
#[derive(Debug, Clone)]
pub struct Caches {
    pub graphs: Cache<DynamoGraphDeployment>,
    pub components: Cache<DynamoComponentDeployment>,
    pub deployments: Cache<Deployment>,
    pub pods: Pods,
    pub services: Cache<Service>,
    pub accounts: Cache<ServiceAccount>,
    pub roles: Cache<Role>,
    pub bindings: Cache<RoleBinding>,
    pub registries: Cache<RegistrySecret>,
    /// Accounts with the label for pods that name none.
    pub pod_accounts: Cache<ServiceAccount>,
    pub grants: Grants,
    pub keys: Copied,
    pub credentials: CredentialCopies,
    pub adapters: Cache<DynamoGraphDeploymentScalingAdapter>,
    /// Claims of volumes, by name only: what they hold is nobody's business here.
    pub claims: Cache<ClaimName>,
    pub picker_configs: Cache<ConfigMap>,
    pub pools: Cache<InferencePool>,
    pub model_services: Cache<Service>,
    pub ingresses: Cache<Ingress>,
    pub virtual_services: Cache<VirtualService>,
    pub checkpoints: Cache<DynamoCheckpoint>,
    /// Those that make checkpoints; empty while checkpoints are off.
    pub jobs: Cache<Job>,
    /// These two are only counted.
    pub requests: Cache<DynamoGraphDeploymentRequest>,
    pub models: Cache<DynamoModel>,
}

/// Failures in a row by namespace and name; the watch forgets them at the end of an object.
pub type FailureCounts = Arc<Failures<(String, String)>>;

/// Those of each controller.
#[derive(Debug)]
pub struct AllFailures {
    pub graphs: FailureCounts,
    pub components: FailureCounts,
    pub adapters: FailureCounts,
    pub checkpoints: FailureCounts,
}

/// Shared by all reconciles.
pub struct Context {
    pub client: Client,
    pub applier: Applier,
    pub caches: Caches,
    pub config: OperatorConfig,
    pub metrics: ReconcileMetrics,
    pub scope: Scope,
    /// Which optional APIs the cluster serves now.
    pub apis: watch::Receiver<OptionalApis>,
    pub failures: AllFailures,
    /// Statuses of graphs and of components that wait until their change has lasted.
    pub unsaid_of_graphs: Debounce<(String, String)>,
    pub unsaid_of_components: Debounce<(String, String)>,
    recorder: Recorder,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Context {
    /// `client` is the one whose writes ask `scope`.
    #[must_use]
    pub fn new(
        client: Client,
        wiring: &Wiring,
        config: OperatorConfig,
        metrics: ReconcileMetrics,
        scope: Scope,
        apis: watch::Receiver<OptionalApis>,
    ) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: None };
        Self {
            applier: Applier::new(client.clone(), FIELD_MANAGER, metrics.clone()),
            recorder: Recorder::new(client.clone(), reporter),
            client,
            caches: wiring.caches.clone(),
            config,
            metrics,
            scope,
            apis,
            failures: wiring.failures(),
            unsaid_of_graphs: Debounce::new(STATUS_PAUSE),
            unsaid_of_components: Debounce::new(STATUS_PAUSE),
        }
    }

    /// What validation may ask here: not the cluster's APIs, since one that comes or goes must not fail a graph that
    /// runs (`operator-process.md` section 8).
    pub fn policy(&self) -> Policy<'_> {
        Policy { restricted: self.scope.exclusions().is_none(), ..Policy::stateless(&self.config) }
    }

    /// Makes the API server hold every one of `objects`, and takes away what else of their kind `owner` controls. Returns
    /// them as they are then.
    ///
    /// # Errors
    /// [`ApplyError`] of the first that could not be applied; nothing is taken away then.
    pub(crate) async fn apply_all<K: Object>(
        &self,
        cache: &Cache<K>,
        objects: impl IntoIterator<Item = K>,
        owner: &OwnerReference,
    ) -> Result<Vec<Arc<K>>, ApplyError> {
        self.apply_all_seeded(cache, objects, owner, &[]).await
    }

    /// Likewise, for objects whose fields at the JSON pointers `seeded` are ours at their creation only.
    ///
    /// # Errors
    /// As [`Context::apply_all`].
    pub(crate) async fn apply_all_seeded<K: Object>(
        &self,
        cache: &Cache<K>,
        objects: impl IntoIterator<Item = K>,
        owner: &OwnerReference,
        seeded: &[&str],
    ) -> Result<Vec<Arc<K>>, ApplyError> {
        let mut wanted = BTreeSet::new();
        let mut applied = Vec::new();
        for object in objects {
            wanted.extend(object.meta().name.clone());
            applied.push(self.applier.apply_seeded(cache, object, owner, seeded).await?.object);
        }
        prune(&self.client, cache, &owner.uid, &wanted, &self.metrics).await?;
        Ok(applied)
    }

    /// Publishes a warning about `object`. An event that cannot be written is logged, never an error.
    pub async fn warn(&self, object: &ObjectReference, reason: &str, message: &str) {
        self.publish(EventType::Warning, object, reason, message).await;
    }

    /// Publishes that `object` got somewhere. An event that cannot be written is logged, never an error.
    pub async fn tell(&self, object: &ObjectReference, reason: &str, message: &str) {
        self.publish(EventType::Normal, object, reason, message).await;
    }

    async fn publish(&self, type_: EventType, object: &ObjectReference, reason: &str, message: &str) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(dynamo_kubekit::conditions::cut(message.to_owned(), 1000)),
            // The recorder counts up an event of the same action instead of writing its new text.
            action: format!("Reconcile-{}", &content_hash(&message.into())[..8]),
            secondary: None,
        };
        match self.recorder.publish(&event, object).await {
            Ok(()) => {}
            Err(error) if refusal(&error).is_some() => {}
            Err(error) => warn!(reason, %error, "event not written"),
        }
    }
}

/// The error of a request about `object`.
pub(crate) fn failed<K: Resource<DynamicType = ()>>(
    verb: &'static str,
    object: &K,
) -> impl FnOnce(kube::Error) -> ApplyError {
    let kind = K::kind(&()).into_owned();
    let (namespace, name) = key_of(object);
    move |source| ApplyError::Api { verb, kind, namespace, name, source: Box::new(source) }
}

/// The present time to the second, the resolution of the API.
#[must_use]
pub fn now() -> Time {
    let second = Timestamp::now().as_second();
    Time(Timestamp::from_second(second).unwrap_or_default())
}
