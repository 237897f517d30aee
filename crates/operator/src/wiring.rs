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
//! | requests, models | nothing: they are counted | |
//! | SSH key of MPI and its copies | graphs that need it | a copy that differs from its source |
//! | DynamoCheckpoint | itself | any change but of its status |
//! | | graphs and components of the namespace that use it | it comes or goes, its phase changes |
//! | Job of a checkpoint, while checkpoints are on | its checkpoint | any change and its end |
//! | claims of restricted operators (`scope`) | all graphs, components and checkpoints of the namespace | the end of the claim |
//!
//! Nothing is reconciled here.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use dynamo_api::{
    foreign::{InferencePool, VirtualService},
    labels,
    v1alpha1::{
        DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest,
        DynamoGraphDeploymentScalingAdapter, DynamoModel,
    },
};
use dynamo_kubekit::{
    Object,
    backoff::jittered,
    cache::{Cache, Change, Feed, Roster, parent_reference, reference},
    client::chain,
    key_of,
    metrics::{self, ReconcileMetrics},
};
use futures::{
    FutureExt, Stream, StreamExt,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    future::{BoxFuture, ready},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::Ingress,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Client,
    runtime::{
        Config,
        controller::{self, Action},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio::sync::watch;
use tracing::{debug, error};

use crate::{
    accounts::{self, Grants},
    checkpoint, component,
    context::{Caches, ClaimName, Context, FailureCounts},
    failure::RESYNC,
    flags::{NamespacedName, RoleNames},
    graph,
    mpi::Keys,
    optional_apis::OptionalApis,
    pods::Pods,
    registry,
};

type Queue<K> = UnboundedReceiver<ObjectRef<Roster<K>>>;

/// Wakes a controller, once it runs: a replica that waits for leadership keeps no backlog, since the first thing a
/// leader does is to look at every object.
pub(crate) struct Trigger<K: Object> {
    queue: UnboundedSender<ObjectRef<Roster<K>>>,
    open: Arc<AtomicBool>,
    counted: metrics::Queue,
}

impl<K: Object> Clone for Trigger<K> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), open: Arc::clone(&self.open), counted: self.counted.clone() }
    }
}

impl<K: Object> Trigger<K> {
    fn new(counted: metrics::Queue) -> (Self, Queue<K>) {
        let (queue, receiver) = unbounded();
        (Self { queue, open: Arc::default(), counted }, receiver)
    }

    pub(crate) fn send(&self, target: ObjectRef<Roster<K>>) {
        if self.open.load(Ordering::Acquire) {
            self.counted.added(target.namespace.as_deref().unwrap_or_default(), &target.name);
            // The other end is gone only while the process shuts down.
            let _ = self.queue.unbounded_send(target);
        }
    }

    /// Wakes everything that `cache` has in a namespace.
    pub(crate) fn send_namespace(&self, cache: &Cache<K>, namespace: &str) {
        for object in cache.in_namespace(namespace) {
            self.send(reference(&*object));
        }
    }

    /// From now on wake-ups count; everything that exists is woken once.
    fn open(&self, cache: &Cache<K>) {
        self.open.store(true, Ordering::Release);
        self.send_all(cache);
    }

    /// Wakes everything.
    fn send_all(&self, cache: &Cache<K>) {
        for object in cache.all() {
            self.send(reference(&*object));
        }
    }
}

/// The watches, their caches, and the queues they fill.
pub struct Wiring {
    pub caches: Caches,
    pub graph_failures: FailureCounts,
    pub component_failures: FailureCounts,
    pub checkpoint_failures: FailureCounts,
    /// One endless task per watch; the process must end when one of them does.
    pub feeds: Vec<BoxFuture<'static, ()>>,
    concurrency: u16,
    graph_trigger: Trigger<DynamoGraphDeployment>,
    graphs: Queue<DynamoGraphDeployment>,
    component_trigger: Trigger<DynamoComponentDeployment>,
    components: Queue<DynamoComponentDeployment>,
    checkpoint_trigger: Trigger<DynamoCheckpoint>,
    checkpoints: Queue<DynamoCheckpoint>,
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
    /// Whether Jobs of checkpoints are watched.
    pub checkpoints: bool,
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
    let (graph_trigger, graphs) = Trigger::new(metrics.queue(graph::CONTROLLER));
    let (component_trigger, components) = Trigger::new(metrics.queue(component::CONTROLLER));
    let (checkpoint_trigger, checkpoints) = Trigger::new(metrics.queue(checkpoint::CONTROLLER));
    let everything = watcher::Config::default();
    let of_graphs = everything.clone().labels(labels::GRAPH_NAME);
    let of_operator = everything.clone().labels(&format!("{}={}", labels::MANAGED_BY, labels::OPERATOR));

    let mut graph_feed = feed::<DynamoGraphDeployment>(client, namespace, &everything);
    wake_itself(&mut graph_feed, &graph_trigger);
    let graph_failures = forget_at_end(&mut graph_feed);
    let mut component_feed = feed::<DynamoComponentDeployment>(client, namespace, &everything);
    wake_itself(&mut component_feed, &component_trigger);
    let component_failures = forget_at_end(&mut component_feed);
    wake_parent(&mut component_feed, &graph_trigger);
    let mut deployment_feed = feed::<Deployment>(client, namespace, &of_graphs);
    wake_parent(&mut deployment_feed, &component_trigger);
    let (pods, pod_feeds) = Pods::watch(client, namespace, &component_feed.cache(), &component_trigger);
    let mut service_feed = feed::<Service>(client, namespace, &of_graphs);
    wake_parent(&mut service_feed, &component_trigger);
    let mut account_feed = feed::<ServiceAccount>(client, namespace, &of_operator);
    wake_parent(&mut account_feed, &graph_trigger);
    let mut role_feed = feed::<Role>(client, namespace, &of_operator);
    wake_parent(&mut role_feed, &graph_trigger);
    let mut binding_feed = feed::<RoleBinding>(client, namespace, &of_operator);
    wake_parent(&mut binding_feed, &graph_trigger);
    let registry_feed = registry::watch(client, namespace, component_feed.cache(), component_trigger.clone());
    let pod_account_feed =
        accounts::fallback::watch(client, namespace, component_feed.cache(), component_trigger.clone());
    let (grants, grant_feeds) = if namespace.is_none() {
        accounts::wake_at_bindings(&mut binding_feed, graph_feed.cache(), graph_trigger.clone());
        Grants::watch(client, &settings.roles, &binding_feed.cache(), &graph_feed.cache(), &graph_trigger)
    } else {
        <_>::default()
    };
    let mut adapter_feed = feed::<DynamoGraphDeploymentScalingAdapter>(client, namespace, &everything);
    wake_parent(&mut adapter_feed, &graph_trigger);
    let mut claim_feed = feed::<ClaimName>(client, namespace, &everything);
    graph::claims::wake_graphs(&mut claim_feed, graph_feed.cache(), graph_trigger.clone());
    let mut picker_config_feed = feed::<ConfigMap>(client, namespace, &of_graphs);
    wake_parent(&mut picker_config_feed, &graph_trigger);
    let mut pool_feed = feed::<InferencePool>(client, namespace, &of_graphs);
    wake_parent(&mut pool_feed, &graph_trigger);
    let mut ingress_feed = feed::<Ingress>(client, namespace, &of_graphs);
    wake_parent(&mut ingress_feed, &component_trigger);
    let mut virtual_service_feed = feed::<VirtualService>(client, namespace, &of_graphs);
    wake_parent(&mut virtual_service_feed, &component_trigger);
    let of_models =
        everything.clone().labels(&format!("{}={}", labels::PRODUCT_MANAGED_BY, labels::OPERATOR));
    let mut model_service_feed = feed::<Service>(client, namespace, &of_models);
    component::models::wake_sharers(&mut component_feed, &mut model_service_feed, &component_trigger);
    let mut checkpoint_feed = feed::<DynamoCheckpoint>(client, namespace, &everything);
    wake_itself(&mut checkpoint_feed, &checkpoint_trigger);
    let checkpoint_failures = forget_at_end(&mut checkpoint_feed);
    checkpoint::wake_users(
        &mut checkpoint_feed,
        (component_feed.cache(), component_trigger.clone()),
        (graph_feed.cache(), graph_trigger.clone()),
    );
    let of_checkpoints = everything.clone().labels(labels::CHECKPOINT_NAME);
    let mut job_feed = feed::<Job>(client, namespace, &of_checkpoints);
    wake_parent(&mut job_feed, &checkpoint_trigger);
    let request_feed = feed::<DynamoGraphDeploymentRequest>(client, namespace, &everything);
    let model_feed = feed::<DynamoModel>(client, namespace, &everything);
    let (keys, key_feeds) =
        Keys::watch(client, namespace, &settings.key, &graph_feed.cache(), &graph_trigger);

    Wiring {
        caches: Caches {
            graphs: graph_feed.cache(),
            components: component_feed.cache(),
            deployments: deployment_feed.cache(),
            pods,
            services: service_feed.cache(),
            accounts: account_feed.cache(),
            roles: role_feed.cache(),
            bindings: binding_feed.cache(),
            registries: registry_feed.cache(),
            pod_accounts: pod_account_feed.cache(),
            grants,
            keys,
            adapters: adapter_feed.cache(),
            claims: claim_feed.cache(),
            picker_configs: picker_config_feed.cache(),
            pools: pool_feed.cache(),
            model_services: model_service_feed.cache(),
            ingresses: ingress_feed.cache(),
            virtual_services: virtual_service_feed.cache(),
            checkpoints: checkpoint_feed.cache(),
            jobs: job_feed.cache(),
            requests: request_feed.cache(),
            models: model_feed.cache(),
        },
        concurrency: settings.concurrency,
        graph_failures,
        component_failures,
        checkpoint_failures,
        feeds: [
            graph_feed.run().boxed(),
            component_feed.run().boxed(),
            deployment_feed.run().boxed(),
            service_feed.run().boxed(),
            account_feed.run().boxed(),
            role_feed.run().boxed(),
            binding_feed.run().boxed(),
            registry_feed.run().boxed(),
            pod_account_feed.run().boxed(),
            adapter_feed.run().boxed(),
            claim_feed.run().boxed(),
            picker_config_feed.run().boxed(),
            pool_feed.run_while(served(apis, |apis| apis.inference_pools)).boxed(),
            model_service_feed.run().boxed(),
            ingress_feed.run().boxed(),
            virtual_service_feed.run_while(served(apis, |apis| apis.istio)).boxed(),
            checkpoint_feed.run().boxed(),
            job_feed.run_while(always(settings.checkpoints)).boxed(),
            request_feed.run().boxed(),
            model_feed.run().boxed(),
        ]
        .into_iter()
        .chain(grant_feeds.into_iter().map(|feed| feed.run().boxed()))
        .chain(pod_feeds)
        .chain(key_feeds.into_iter().map(|feed| feed.run().boxed()))
        .collect(),
        graph_trigger,
        graphs,
        component_trigger,
        components,
        checkpoint_trigger,
        checkpoints,
    }
}

impl Wiring {
    /// Wakes every object of a namespace.
    pub fn waker(&self) -> impl Fn(&str) + Send + use<> {
        let graphs = (self.caches.graphs.clone(), self.graph_trigger.clone());
        let components = (self.caches.components.clone(), self.component_trigger.clone());
        let checkpoints = (self.caches.checkpoints.clone(), self.checkpoint_trigger.clone());
        move |namespace| {
            graphs.1.send_namespace(&graphs.0, namespace);
            components.1.send_namespace(&components.0, namespace);
            checkpoints.1.send_namespace(&checkpoints.0, namespace);
        }
    }

    /// Wakes every object when an optional API comes or goes, for ever.
    pub fn wake_at_apis(&self, mut apis: watch::Receiver<OptionalApis>) -> impl Future<Output = ()> + use<> {
        let graphs = (self.caches.graphs.clone(), self.graph_trigger.clone());
        let components = (self.caches.components.clone(), self.component_trigger.clone());
        apis.mark_unchanged();
        async move {
            while apis.changed().await.is_ok() {
                graphs.1.send_all(&graphs.0);
                components.1.send_all(&components.0);
            }
            std::future::pending().await
        }
    }

    /// Runs the controllers until `stop` turns true; reconciles that run then are finished.
    pub async fn controllers(self, ctx: Arc<Context>, stop: watch::Receiver<bool>) {
        self.graph_trigger.open(&self.caches.graphs);
        self.component_trigger.open(&self.caches.components);
        self.checkpoint_trigger.open(&self.caches.checkpoints);
        let graphs = run(
            graph::CONTROLLER,
            self.caches.graphs.roster(),
            take_until(self.graphs, stop.clone()),
            ctx.clone(),
            |entry, ctx| graph::reconcile(entry, ctx).boxed(),
            graph::error_policy,
            self.concurrency,
        );
        let components = run(
            component::CONTROLLER,
            self.caches.components.roster(),
            take_until(self.components, stop.clone()),
            ctx.clone(),
            |entry, ctx| component::reconcile(entry, ctx).boxed(),
            component::error_policy,
            self.concurrency,
        );
        let checkpoints = run(
            checkpoint::CONTROLLER,
            self.caches.checkpoints.roster(),
            take_until(self.checkpoints, stop),
            ctx,
            |entry, ctx| checkpoint::reconcile(entry, ctx).boxed(),
            checkpoint::error_policy,
            self.concurrency,
        );
        futures::future::join3(graphs, components, checkpoints).await;
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

fn feed<K: Object>(client: &Client, namespace: Option<&str>, config: &watcher::Config) -> Feed<K> {
    Feed::new(client.clone(), namespace, config.clone())
}

/// Whether an optional API is there, now and whenever that changes.
fn served(
    apis: &watch::Receiver<OptionalApis>,
    of: impl Fn(&OptionalApis) -> bool + Send + 'static,
) -> impl Stream<Item = bool> + Send + 'static {
    let mut apis = apis.clone();
    // The first answer is what is known already.
    apis.mark_changed();
    futures::stream::unfold((apis, of), |(mut apis, of)| async {
        apis.changed().await.ok()?;
        let is_served = of(&apis.borrow_and_update());
        Some((is_served, (apis, of)))
    })
}

/// One answer that never changes.
fn always(answer: bool) -> impl Stream<Item = bool> + Send + 'static {
    futures::stream::iter([answer]).chain(futures::stream::pending())
}

/// Wakes the controller of `K` on everything a user or another controller may change, and not on a new status.
fn wake_itself<K: Object>(feed: &mut Feed<K>, trigger: &Trigger<K>) {
    let trigger = trigger.clone();
    feed.on_change(move |change| {
        if let Change::Applied { now, before: Some(before) } = change
            && same_but_for_status(&**now, &**before)
        {
            return;
        }
        trigger.send(reference(&**change.object()));
    });
}

/// Failure counts that end with their object, so that a successor of the same name starts afresh.
fn forget_at_end<K: Object>(feed: &mut Feed<K>) -> FailureCounts {
    let failures = FailureCounts::default();
    let counts = Arc::clone(&failures);
    feed.on_change(move |change| {
        if let Change::Gone(last) = change {
            counts.reset(&key_of(&**last));
        }
    });
    failures
}

fn wake_parent<Parent: Object, Child: Object>(feed: &mut Feed<Child>, trigger: &Trigger<Parent>) {
    let trigger = trigger.clone();
    feed.on_change(move |change| {
        if let Some(parent) = parent_reference::<Parent, Child>(&**change.object()) {
            trigger.send(parent);
        }
        // A child that was taken from its parent leaves a gap there.
        if let Change::Applied { before: Some(before), now } = change
            && before.meta().owner_references != now.meta().owner_references
            && let Some(parent) = parent_reference::<Parent, Child>(&**before)
        {
            trigger.send(parent);
        }
    });
}

fn same_but_for_status<K: Object>(now: &K, before: &K) -> bool {
    let (a, b) = (now.meta(), before.meta());
    a.uid == b.uid
        && a.generation == b.generation
        && a.deletion_timestamp == b.deletion_timestamp
        && a.labels == b.labels
        && a.annotations == b.annotations
        && a.finalizers == b.finalizers
        && a.owner_references == b.owner_references
}

fn take_until<K: Object>(
    queue: Queue<K>,
    mut stop: watch::Receiver<bool>,
) -> impl Stream<Item = ObjectRef<Roster<K>>> {
    queue.take_until(async move {
        // An error means that the process is going away, which is a stop, too.
        let _ = stop.wait_for(|stop| *stop).await;
    })
}

async fn run<K, E>(
    name: &'static str,
    roster: Store<Roster<K>>,
    queue: impl Stream<Item = ObjectRef<Roster<K>>>,
    ctx: Arc<Context>,
    reconcile: impl Fn(Arc<Roster<K>>, Arc<Context>) -> BoxFuture<'static, Result<Action, E>>,
    policy: impl Fn(Arc<Roster<K>>, &E, Arc<Context>) -> Action,
    concurrency: u16,
) where
    K: Object,
    E: std::error::Error + Send + 'static,
{
    let queue = queue.map(Ok::<_, std::convert::Infallible>);
    let config = Config::default().concurrency(concurrency);
    // Asked at each start, since what waits in the queue may have become somebody else's.
    let queued = ctx.metrics.queue(name);
    let waiting = queued.clone();
    let reconcile = move |entry: Arc<Roster<K>>, ctx: Arc<Context>| {
        let (namespace, object) = key_of(&*entry);
        if ctx.scope.passes_over(&namespace) {
            waiting.dropped(&namespace, &object);
            return ready(Ok(Action::requeue(jittered(RESYNC)))).boxed();
        }
        reconcile(entry, ctx)
    };
    ctx.metrics.limit(name, concurrency);
    let outcomes = kube::runtime::applier(reconcile, policy, ctx, roster, queue, config);
    drain(name, queued, outcomes).await;
}

async fn drain<K, E, Q>(
    controller: &'static str,
    queued: metrics::Queue,
    outcomes: impl Stream<Item = Result<(ObjectRef<Roster<K>>, Action), controller::Error<E, Q>>>,
) where
    K: Object,
    E: std::error::Error + 'static,
    Q: std::error::Error + 'static,
{
    let mut outcomes = std::pin::pin!(outcomes);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            // Failed reconciles are reported by the error policy, objects that are gone by nobody.
            Ok(_) | Err(controller::Error::ReconcilerFailed(..)) => {}
            Err(controller::Error::ObjectNotFound(gone)) => {
                queued.dropped(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                debug!(controller, %gone, "skipped, it is gone");
            }
            Err(other) => error!(controller, error = %chain(&other), "queue failed"),
        }
    }
}
