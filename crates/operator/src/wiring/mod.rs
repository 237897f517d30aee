//! Every watch of the operator and what it wakes, on one screen.
//!
//! | watched | wakes | on |
//! |---|---|---|
//! | DynamoGraphDeployment | itself | any change but of its status |
//! | DynamoComponentDeployment | itself | any change but of its status |
//! | | its graph | any change, status included, and its end |
//! | Deployment | its component | any change, status included, and its end |
//! | pod of a graph, event `FailedMount` of one | its component | what keeps the pod from being ready is another thing |
//! | Service | its component | any change and its end |
//! | ServiceAccount, Role, RoleBinding | its graph | any change and its end |
//! | accounts and bindings handed out | graphs of the namespace | the end; of a binding any change |
//! | ServiceAccount for pods without one | components of the namespace | another one comes first |
//! | Ingress, VirtualService | its component | any change and its end |
//! | Service of a model | components that serve the model | any change and its end |
//! | component that serves a model | the others of the namespace that serve it | it comes, goes, or changes its model |
//! | ConfigMap and InferencePool of a picker, scaling adapter | its graph | any change and its end |
//! | claim of a volume | graphs of the namespace that list it | it comes or goes |
//! | optional APIs | all graphs and components | one comes or goes |
//! | registry Secret | components with an image of the host | a host comes or goes |
//! | scaling adapter | itself | any change but of its status |
//! | graph | scaling adapters of its services | any change, status included, and its end |
//! | requests, models | nothing: they are counted | |
//! | SSH key of MPI and its copies | graphs that need it | a copy that differs from its source |
//! | Secrets for NATS and etcd and their copies | graphs and components that get them | another content, the end of a copy |
//! | DynamoCheckpoint | itself | any change but of its status |
//! | | graphs and components of the namespace that use it | it comes or goes, its phase changes |
//! | Job of a checkpoint, while checkpoints are on | its checkpoint | any change and its end |
//! | claims of restricted operators (`scope`) | all graphs, components and checkpoints of the namespace | the end of the claim |
//!
//! Nothing is reconciled here.

mod rules;
mod seat;
mod trigger;

use std::{collections::BTreeMap, sync::Arc};

use dynamo_api::{
    foreign::{InferencePool, VirtualService},
    labels,
    v1alpha1::{
        DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest,
        DynamoGraphDeploymentScalingAdapter, DynamoModel,
    },
};
use dynamo_kubekit::metrics::ReconcileMetrics;
use dynamo_render::credentials::Purpose;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::Ingress,
    rbac::v1::{Role, RoleBinding},
};
use kube::{Client, runtime::watcher};
use tokio::sync::watch;

use rules::{Feeds, always, served, wake_parent};
use seat::Seat;
pub(crate) use trigger::Trigger;

use crate::{
    accounts::{self, Grants},
    adapter, checkpoint, component,
    context::{AllFailures, Caches, ClaimName, Context},
    copied::{credentials::CredentialCopies, mpi},
    flags::{NamespacedName, RoleNames},
    graph,
    optional_apis::OptionalApis,
    pods::Pods,
    registry,
};

/// The watches, their caches, and the queues they fill.
pub struct Wiring {
    pub caches: Caches,
    /// One endless task per watch; the process must end when one of them does.
    pub feeds: Vec<BoxFuture<'static, ()>>,
    concurrency: u16,
    graphs: Seat<DynamoGraphDeployment>,
    components: Seat<DynamoComponentDeployment>,
    adapters: Seat<DynamoGraphDeploymentScalingAdapter>,
    checkpoints: Seat<DynamoCheckpoint>,
}

impl std::fmt::Debug for Wiring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wiring").field("feeds", &self.feeds.len()).finish_non_exhaustive()
    }
}

/// What decides which watches there are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The only namespace of a restricted operator.
    pub namespace: Option<String>,
    /// What a cluster-wide operator hands out; without effect in a restricted one.
    pub roles: RoleNames,
    /// The SSH key of MPI.
    pub key: NamespacedName,
    /// Secrets with the credentials and CAs of NATS and etcd.
    pub credentials: BTreeMap<Purpose, NamespacedName>,
    /// Whether Jobs of checkpoints are watched.
    pub checkpoints: bool,
    /// Whether VirtualServices are made, where their API is there.
    pub has_gateway: bool,
    /// Reconciles of one controller that run at once.
    pub concurrency: u16,
}

/// Sets up every watch.
#[must_use]
pub fn connect(
    client: &Client,
    settings: &Settings,
    apis: &watch::Receiver<OptionalApis>,
    metrics: &ReconcileMetrics,
) -> Wiring {
    let namespace = settings.namespace.as_deref();
    let mut feeds = Feeds { client, namespace, tasks: Vec::new() };
    let everything = watcher::Config::default();
    let with = |label: &str| everything.clone().labels(label);
    let (of_graphs, of_checkpoints) = (with(labels::GRAPH_NAME), with(labels::CHECKPOINT_NAME));
    let of_operator = with(&format!("{}={}", labels::MANAGED_BY, labels::OPERATOR));
    let of_models = with(&format!("{}={}", labels::PRODUCT_MANAGED_BY, labels::OPERATOR));

    let mut graph_feed = feeds.feed::<DynamoGraphDeployment>(&everything);
    let graphs = Seat::new(graph::CONTROLLER, &mut graph_feed, metrics);
    let mut component_feed = feeds.feed::<DynamoComponentDeployment>(&everything);
    let components = Seat::new(component::CONTROLLER, &mut component_feed, metrics);
    wake_parent(&mut component_feed, &graphs.trigger);
    let mut adapter_feed = feeds.feed::<DynamoGraphDeploymentScalingAdapter>(&everything);
    let adapters = Seat::new(adapter::CONTROLLER, &mut adapter_feed, metrics);
    wake_parent(&mut adapter_feed, &graphs.trigger);
    adapter::wake_at_graphs(&mut graph_feed, adapters.cache.clone(), adapters.trigger.clone());
    let mut checkpoint_feed = feeds.feed::<DynamoCheckpoint>(&everything);
    let checkpoints = Seat::new(checkpoint::CONTROLLER, &mut checkpoint_feed, metrics);
    checkpoint::wake_users(
        &mut checkpoint_feed,
        (components.cache.clone(), components.trigger.clone()),
        (graphs.cache.clone(), graphs.trigger.clone()),
    );
    let mut model_service_feed = feeds.feed::<Service>(&of_models);
    component::models::wake_sharers(&mut component_feed, &mut model_service_feed, &components.trigger);
    let mut claim_feed = feeds.feed::<ClaimName>(&everything);
    graph::claims::wake_graphs(&mut claim_feed, graphs.cache.clone(), graphs.trigger.clone());
    let mut binding_feed = feeds.feed::<RoleBinding>(&of_operator);
    wake_parent(&mut binding_feed, &graphs.trigger);
    let (grants, grant_feeds) = if namespace.is_none() {
        accounts::wake_at_bindings(&mut binding_feed, graphs.cache.clone(), graphs.trigger.clone());
        Grants::watch(client, &settings.roles, &binding_feed.cache(), &graphs.cache, &graphs.trigger)
    } else {
        <_>::default()
    };
    let registries = registry::watch(client, namespace, components.cache.clone(), components.trigger.clone());
    let pod_accounts =
        accounts::fallback::watch(client, namespace, components.cache.clone(), components.trigger.clone());
    let (pods, pod_feeds) = Pods::watch(client, namespace, &components.cache, &components.trigger);
    let (keys, mut secret_feeds) =
        mpi::watch(client, namespace, &settings.key, graphs.cache.clone(), graphs.trigger.clone());
    let (credentials, credential_feeds) = CredentialCopies::watch(
        client,
        namespace,
        &settings.credentials,
        &(graphs.cache.clone(), graphs.trigger.clone()),
        &(components.cache.clone(), components.trigger.clone()),
    );
    secret_feeds.extend(credential_feeds);
    let (routes, has_gateway) = (served(apis, |apis| apis.istio), settings.has_gateway);
    let routes = routes.map(move |is_served| is_served && has_gateway);

    let caches = Caches {
        graphs: feeds.run(graph_feed),
        components: feeds.run(component_feed),
        deployments: feeds.children::<_, Deployment>(&of_graphs, &components.trigger),
        pods,
        services: feeds.children::<_, Service>(&of_graphs, &components.trigger),
        accounts: feeds.children::<_, ServiceAccount>(&of_operator, &graphs.trigger),
        roles: feeds.children::<_, Role>(&of_operator, &graphs.trigger),
        bindings: feeds.run(binding_feed),
        registries: feeds.run(registries),
        pod_accounts: feeds.run(pod_accounts),
        grants,
        keys,
        credentials,
        adapters: feeds.run(adapter_feed),
        claims: feeds.run(claim_feed),
        picker_configs: feeds.children::<_, ConfigMap>(&of_graphs, &graphs.trigger),
        pools: feeds.children_while::<_, InferencePool>(
            &of_graphs,
            &graphs.trigger,
            served(apis, |apis| apis.inference_pools),
        ),
        model_services: feeds.run(model_service_feed),
        ingresses: feeds.children::<_, Ingress>(&of_graphs, &components.trigger),
        virtual_services: feeds.children_while::<_, VirtualService>(&of_graphs, &components.trigger, routes),
        checkpoints: feeds.run(checkpoint_feed),
        jobs: feeds.children_while::<_, Job>(
            &of_checkpoints,
            &checkpoints.trigger,
            always(settings.checkpoints),
        ),
        requests: feeds.counted::<DynamoGraphDeploymentRequest>(),
        models: feeds.counted::<DynamoModel>(),
    };
    let mut tasks = feeds.tasks;
    tasks.extend(grant_feeds.into_iter().map(|feed| feed.run().boxed()));
    tasks.extend(secret_feeds.into_iter().map(|feed| feed.run().boxed()));
    tasks.extend(pod_feeds);
    Wiring {
        caches,
        feeds: tasks,
        concurrency: settings.concurrency,
        graphs,
        components,
        adapters,
        checkpoints,
    }
}

impl Wiring {
    /// Failures in a row of each controller.
    pub(crate) fn failures(&self) -> AllFailures {
        AllFailures {
            graphs: Arc::clone(&self.graphs.failures),
            components: Arc::clone(&self.components.failures),
            adapters: Arc::clone(&self.adapters.failures),
            checkpoints: Arc::clone(&self.checkpoints.failures),
        }
    }

    /// Wakes every object of a namespace.
    pub fn waker(&self) -> impl Fn(&str) + Send + use<> {
        let (graphs, components) = (self.graphs.waker(), self.components.waker());
        let (adapters, checkpoints) = (self.adapters.waker(), self.checkpoints.waker());
        move |namespace| {
            graphs.wake_namespace(namespace);
            components.wake_namespace(namespace);
            adapters.wake_namespace(namespace);
            checkpoints.wake_namespace(namespace);
        }
    }

    /// Wakes every object when an optional API comes or goes, for ever.
    pub fn wake_at_apis(&self, mut apis: watch::Receiver<OptionalApis>) -> impl Future<Output = ()> + use<> {
        let (graphs, components) = (self.graphs.waker(), self.components.waker());
        apis.mark_unchanged();
        async move {
            while apis.changed().await.is_ok() {
                graphs.wake_all();
                components.wake_all();
            }
            std::future::pending::<()>().await;
        }
    }

    /// Runs the controllers until `stop` turns true; reconciles that run then are finished.
    pub async fn controllers(self, ctx: Arc<Context>, stop: watch::Receiver<bool>) {
        let Self { graphs, components, adapters, checkpoints, concurrency, .. } = self;
        let graphs = graphs.run(
            ctx.clone(),
            stop.clone(),
            |entry, ctx| graph::reconcile(entry, ctx).boxed(),
            graph::error_policy,
            concurrency,
        );
        let components = components.run(
            ctx.clone(),
            stop.clone(),
            |entry, ctx| component::reconcile(entry, ctx).boxed(),
            component::error_policy,
            concurrency,
        );
        let adapters = adapters.run(
            ctx.clone(),
            stop.clone(),
            |entry, ctx| adapter::reconcile(entry, ctx).boxed(),
            adapter::error_policy,
            concurrency,
        );
        let checkpoints = checkpoints.run(
            ctx,
            stop,
            |entry, ctx| checkpoint::reconcile(entry, ctx).boxed(),
            checkpoint::error_policy,
            concurrency,
        );
        futures::join!(graphs, components, adapters, checkpoints);
    }
}

impl Caches {
    /// Resolves when every cache holds its first list.
    ///
    /// # Errors
    /// When a watch ended before.
    pub async fn wait_until_ready(&self) -> Result<(), kube::runtime::reflector::store::WriterDropped> {
        // Destructured so that a new cache cannot be forgotten here.
        let Self {
            graphs,
            components,
            deployments,
            pods,
            services,
            accounts,
            roles,
            bindings,
            registries,
            pod_accounts,
            grants,
            keys,
            credentials,
            adapters,
            claims,
            picker_configs,
            pools,
            model_services,
            ingresses,
            virtual_services,
            checkpoints,
            jobs,
            requests,
            models,
        } = self;
        graphs.wait_until_ready().await?;
        components.wait_until_ready().await?;
        deployments.wait_until_ready().await?;
        pods.wait_until_ready().await?;
        services.wait_until_ready().await?;
        accounts.wait_until_ready().await?;
        roles.wait_until_ready().await?;
        bindings.wait_until_ready().await?;
        registries.wait_until_ready().await?;
        pod_accounts.wait_until_ready().await?;
        grants.wait_until_ready().await?;
        keys.wait_until_ready().await?;
        credentials.wait_until_ready().await?;
        adapters.wait_until_ready().await?;
        claims.wait_until_ready().await?;
        picker_configs.wait_until_ready().await?;
        pools.wait_until_ready().await?;
        model_services.wait_until_ready().await?;
        ingresses.wait_until_ready().await?;
        virtual_services.wait_until_ready().await?;
        checkpoints.wait_until_ready().await?;
        jobs.wait_until_ready().await?;
        requests.wait_until_ready().await?;
        models.wait_until_ready().await
    }
}
