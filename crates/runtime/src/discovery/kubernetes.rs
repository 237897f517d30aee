//! Discovery through the Kubernetes API: the own object and the two watches (runtime.md 5.1).
//! It must not decide what is visible (see `view`) and never ends the process.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::record::Registry;
use super::view::{View, without_removed};
use super::{DiscoveryError, Snapshot};
use crate::identity::PodIdentity;

/// Label on the slices of the platform's Services; Kubernetes copies it from the Service.
const SLICE_LABEL: &str = "nvidia.com/dynamo-discovery-enabled=true";
const FIELD_MANAGER: &str = "dynamo-worker";
/// A request to the API server that takes longer is given up and reported.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// Additions are gathered until nothing new came for this long …
const QUIET: Duration = Duration::from_millis(100);
/// … but never longer than this.
const DEBOUNCE_LIMIT: Duration = Duration::from_millis(500);

pub(super) struct Kubernetes {
    client: Client,
    identity: PodIdentity,
    own: Mutex<Registry>,
    /// Writes one after the other, so that the last state is the one that stays.
    writing: tokio::sync::Mutex<()>,
    watching: OnceLock<Watching>,
}

struct Watching {
    visible: watch::Receiver<Arc<Snapshot>>,
    _task: AbortOnDropHandle<()>,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Kubernetes").field("identity", &self.identity).finish_non_exhaustive()
    }
}

fn metadata_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("nvidia.com", "v1alpha1", "DynamoWorkerMetadata");
    ApiResource::from_gvk_with_plural(&kind, "dynamoworkermetadatas")
}

fn metadata_api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &metadata_resource())
}

impl Kubernetes {
    pub(super) fn new(client: Client, identity: PodIdentity) -> Self {
        Self {
            client,
            identity,
            own: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            watching: OnceLock::new(),
        }
    }

    fn own(&self) -> Registry {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn own_metadata(&self) -> Value {
        self.own().to_data()
    }

    /// Changes the own registry and writes it; on failure the change is undone.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<(), DiscoveryError>,
    ) -> Result<(), DiscoveryError> {
        let _turn = self.writing.lock().await;
        let mut changed = self.own();
        change(&mut changed)?;
        self.write(&changed).await?;
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = changed;
        Ok(())
    }

    pub(super) async fn clear_stale(&self) -> Result<(), DiscoveryError> {
        let _turn = self.writing.lock().await;
        let api = metadata_api(&self.client, &self.identity.namespace);
        let found = self.bounded("read", api.get_opt(&self.identity.name)).await?;
        let empty = Registry::default();
        let stale = found.is_some_and(|object| {
            object.data.get("spec").and_then(|spec| spec.get("data")) != Some(&empty.to_data())
        });
        if stale {
            tracing::info!("clearing what an earlier container of this pod published");
            self.write(&self.own()).await?;
        }
        Ok(())
    }

    async fn write(&self, registry: &Registry) -> Result<(), DiscoveryError> {
        let PodIdentity { name, namespace, uid, .. } = &self.identity;
        let object = json!({
            "apiVersion": "nvidia.com/v1alpha1",
            "kind": "DynamoWorkerMetadata",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid,
                                     "controller": true, "blockOwnerDeletion": false}],
            },
            "spec": {"data": registry.to_data()},
        });
        let api = metadata_api(&self.client, namespace);
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&object);
        self.bounded("applied", api.patch(name, &parameters, &patch)).await.map(drop)
    }

    async fn bounded<T>(
        &self,
        verb: &'static str,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, DiscoveryError> {
        let PodIdentity { name, namespace, .. } = &self.identity;
        match tokio::time::timeout(CALL_LIMIT, call).await {
            Ok(outcome) => outcome.map_err(|source| DiscoveryError::Publish {
                verb,
                namespace: namespace.clone(),
                name: name.clone(),
                source: Box::new(source),
            }),
            Err(_) => Err(DiscoveryError::Timeout {
                verb,
                namespace: namespace.clone(),
                name: name.clone(),
                seconds: CALL_LIMIT.as_secs(),
            }),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        let watching = self.watching.get_or_init(|| {
            let (sender, visible) = watch::channel(Arc::new(Snapshot::default()));
            let task = tokio::spawn(observe(self.client.clone(), self.identity.namespace.clone(), sender));
            Watching { visible, _task: AbortOnDropHandle::new(task) }
        });
        watching.visible.clone()
    }
}

/// Follows both watches until the process ends.
async fn observe(client: Client, namespace: String, visible: watch::Sender<Arc<Snapshot>>) {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &namespace);
    let slices = watcher(slices, watcher::Config::default().labels(SLICE_LABEL)).default_backoff();
    let objects = metadata_api(&client, &namespace);
    let objects = watcher(objects, watcher::Config::default()).default_backoff();
    follow(slices, objects, &namespace, &visible).await;
}

#[derive(Default)]
struct Progress {
    seen: HashSet<String>,
    complete: bool,
}

async fn follow(
    slices: impl Stream<Item = watcher::Result<watcher::Event<EndpointSlice>>>,
    objects: impl Stream<Item = watcher::Result<watcher::Event<DynamicObject>>>,
    namespace: &str,
    visible: &watch::Sender<Arc<Snapshot>>,
) {
    let (mut slices, mut objects) = (pin!(slices), pin!(objects));
    let mut view = View::default();
    let (mut slices_seen, mut objects_seen) = (Progress::default(), Progress::default());
    let mut pending: Option<(Instant, Instant)> = None;
    loop {
        let due = pending.map(|(first, last)| (first + DEBOUNCE_LIMIT).min(last + QUIET));
        tokio::select! {
            event = slices.next() => match event {
                Some(Ok(event)) => take_slice(&mut view, &mut slices_seen, event),
                Some(Err(error)) => report(&error, "endpointslices.discovery.k8s.io", namespace),
                None => return,
            },
            event = objects.next() => match event {
                Some(Ok(event)) => take_object(&mut view, &mut objects_seen, event),
                Some(Err(error)) => report(&error, "dynamoworkermetadatas.nvidia.com", namespace),
                None => return,
            },
            () = sleep_until(due), if due.is_some() => {
                pending = None;
                let target = view.snapshot();
                show(visible, target);
                continue;
            }
        }
        if !(slices_seen.complete && objects_seen.complete) {
            continue;
        }
        let target = view.snapshot();
        let current = visible.borrow().clone();
        if !current.synced {
            show(visible, target);
            continue;
        }
        let reduced = without_removed(&current, &target);
        let additions = reduced != target;
        show(visible, reduced);
        let now = Instant::now();
        pending = additions.then(|| (pending.map_or(now, |(first, _)| first), now));
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn show(visible: &watch::Sender<Arc<Snapshot>>, snapshot: Snapshot) {
    visible.send_if_modified(|shown| {
        let changed = **shown != snapshot;
        if changed {
            *shown = Arc::new(snapshot);
        }
        changed
    });
}

fn take_slice(view: &mut View, progress: &mut Progress, event: watcher::Event<EndpointSlice>) {
    match event {
        watcher::Event::Init => progress.seen.clear(),
        watcher::Event::InitApply(slice) => {
            progress.seen.insert(slice.name_any());
            view.put_slice(&slice);
        }
        watcher::Event::InitDone => {
            view.keep_slices(&progress.seen);
            progress.complete = true;
        }
        watcher::Event::Apply(slice) => view.put_slice(&slice),
        watcher::Event::Delete(slice) => view.remove_slice(&slice.name_any()),
    }
}

fn take_object(view: &mut View, progress: &mut Progress, event: watcher::Event<DynamicObject>) {
    match event {
        watcher::Event::Init => progress.seen.clear(),
        watcher::Event::InitApply(object) => {
            progress.seen.insert(object.name_any());
            view.put_object(&object);
        }
        watcher::Event::InitDone => {
            view.keep_objects(&progress.seen);
            progress.complete = true;
        }
        watcher::Event::Apply(object) => view.put_object(&object),
        watcher::Event::Delete(object) => view.remove_object(&object.name_any()),
    }
}

/// The watcher tries again by itself with growing delays; the log line says what to repair.
fn report(error: &watcher::Error, resource: &str, namespace: &str) {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.code,
        watcher::Error::WatchError(status) => status.code,
        _ => 0,
    };
    match code {
        403 => tracing::error!(
            "watching {resource} in namespace {namespace} is forbidden; give the pod's ServiceAccount the \
             verbs get, list and watch on it (trying again)"
        ),
        404 => tracing::error!(
            "the API server does not know {resource}; install the platform's CRDs (trying again)"
        ),
        410 => tracing::debug!("the watch of {resource} starts over: {error}"),
        _ => tracing::warn!("the watch of {resource} in namespace {namespace} failed, trying again: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::mpsc::{UnboundedSender, unbounded};
    use kube::runtime::watcher::Event;

    fn slice(ready: bool) -> EndpointSlice {
        let object = json!({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": [
            {"addresses": ["198.18.0.9"], "conditions": {"ready": ready},
             "targetRef": {"kind": "Pod", "name": "a", "uid": "ua"}}]});
        serde_json::from_value(object).unwrap()
    }

    fn object(port: u16) -> DynamicObject {
        let record = json!({"type": "Endpoint", "namespace": "ns", "component": "b", "endpoint": "g",
            "instance_id": 1, "transport": {"tcp": format!("198.18.0.9:{port}/1/g")}});
        serde_json::from_value(json!({
            "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoWorkerMetadata", "metadata": {"name": "a"},
            "spec": {"data": {"endpoints": {"ns/b/g/1": record}, "model_cards": {}, "event_channels": {}}}}))
        .unwrap()
    }

    type Events<K> = UnboundedSender<watcher::Result<Event<K>>>;

    fn watched() -> (Events<EndpointSlice>, Events<DynamicObject>, watch::Receiver<Arc<Snapshot>>) {
        let (slices, slice_events) = unbounded();
        let (objects, object_events) = unbounded();
        let (sender, visible) = watch::channel(Arc::new(Snapshot::default()));
        tokio::spawn(async move { follow(slice_events, object_events, "ns", &sender).await });
        (slices, objects, visible)
    }

    fn send<K>(events: &Events<K>, list: Vec<Event<K>>) {
        for event in list {
            events.unbounded_send(Ok(event)).unwrap();
        }
    }

    #[tokio::test]
    async fn nothing_is_shown_before_both_watches_are_complete() {
        let (slices, objects, mut visible) = watched();
        send(&slices, vec![Event::Init, Event::InitApply(slice(true)), Event::InitDone]);
        send(&objects, vec![Event::Init, Event::InitApply(object(1))]);
        tokio::task::yield_now().await;
        assert!(!visible.borrow().synced);
        send(&objects, vec![Event::InitDone]);
        let first = visible.wait_for(|snapshot| snapshot.synced).await.unwrap();
        assert_eq!(first.instances.len(), 1, "the first view is whole");
    }

    #[tokio::test]
    async fn removals_changes_and_errors_are_followed() {
        let (slices, objects, mut visible) = watched();
        send(&slices, vec![Event::Init, Event::InitDone]);
        send(&objects, vec![Event::Init, Event::InitDone]);
        visible.wait_for(|snapshot| snapshot.synced).await.unwrap();
        send(&slices, vec![Event::Apply(slice(true))]);
        send(&objects, vec![Event::Apply(object(1))]);
        visible.wait_for(|snapshot| snapshot.instances.len() == 1).await.unwrap();
        objects.unbounded_send(Err(watcher::Error::NoResourceVersion)).unwrap();
        send(&objects, vec![Event::Apply(object(2))]);
        visible.wait_for(|snapshot| snapshot.instances.is_empty()).await.unwrap();
        let back = visible.wait_for(|snapshot| snapshot.instances.len() == 1).await.unwrap().clone();
        let transport = &back.instances["ns/b/g/1"].transport;
        assert_eq!(*transport, crate::Transport::Tcp("198.18.0.9:2/1/g".to_owned()));
        send(&slices, vec![Event::Apply(slice(false))]);
        visible.wait_for(|snapshot| snapshot.instances.is_empty()).await.unwrap();
    }
}
