//! What is wrong with the pods of components: one watch of the pods, one of the events about their volumes. A component
//! is woken when it has something else to tell about a pod, never by what else changes in one. Nothing is written here.

pub mod view;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use dynamo_api::{labels, v1alpha1::DynamoComponentDeployment};
use dynamo_kubekit::{
    cache::{Cache, Change, Feed, reference},
    key_of,
    pods::trouble::{FAILED_MOUNT, Trouble},
};
use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Client, Resource,
    runtime::{reflector::store::WriterDropped, watcher},
};

use self::view::{SeenEvent, SeenPod, State};
use crate::wiring::Trigger;

/// A pod that is not ready, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TroubledPod {
    pub name: String,
    /// Which template of its Deployment it was made from.
    pub revision: Option<String>,
    pub created: Option<Time>,
    pub trouble: Trouble,
}

/// The pods as the watches show them.
#[derive(Debug, Clone)]
pub struct Pods {
    pods: Cache<SeenPod>,
    events: Cache<SeenEvent>,
    index: Arc<RwLock<Index>>,
}

impl Pods {
    /// The watches, in `namespace` or everywhere, and the tasks that keep them.
    pub(crate) fn watch(
        client: &Client,
        namespace: Option<&str>,
        components: &Cache<DynamoComponentDeployment>,
        trigger: &Trigger<DynamoComponentDeployment>,
    ) -> (Self, [BoxFuture<'static, ()>; 2]) {
        let of_graphs = watcher::Config::default().labels(labels::GRAPH_NAME);
        let mut pod_feed = Feed::<SeenPod>::new(client.clone(), namespace, of_graphs);
        let fields = format!("reason={FAILED_MOUNT},involvedObject.kind=Pod");
        let of_volumes = watcher::Config::default().fields(&fields);
        let mut event_feed = Feed::<SeenEvent>::new(client.clone(), namespace, of_volumes);
        let pods = Self { pods: pod_feed.cache(), events: event_feed.cache(), index: Arc::default() };

        let (components, trigger) = (components.clone(), trigger.clone());
        let wake = move |namespace: &str, component: &str| {
            if let Some(component) = components.get(namespace, component) {
                trigger.send(reference(&*component));
            }
        };
        let (seen, wake_it) = (pods.clone(), wake.clone());
        pod_feed.on_change(move |change| {
            if seen.note_pod(change) {
                wake_it(&key_of(&**change.object()).0, &change.object().view.component);
            }
        });
        let seen = pods.clone();
        event_feed.on_change(move |change| {
            if let Some(component) = seen.note_event(change) {
                wake(&key_of(&**change.object()).0, &component);
            }
        });
        (pods, [pod_feed.run().boxed(), event_feed.run().boxed()])
    }

    /// Resolves when both are known.
    ///
    /// # Errors
    /// When a watch ended before.
    pub async fn wait_until_ready(&self) -> Result<(), WriterDropped> {
        self.pods.wait_until_ready().await?;
        self.events.wait_until_ready().await
    }

    /// The pods of a component that have a trouble, sorted by name.
    #[must_use]
    pub fn troubled(&self, namespace: &str, component: &str) -> Vec<TroubledPod> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).troubled(namespace, component)
    }

    /// Whether the component of the pod has something else to tell now.
    fn note_pod(&self, change: &Change<SeenPod>) -> bool {
        let now = change.object();
        let (namespace, name) = key_of(&**now);
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if let Change::Applied { before: Some(before), .. } = change
            && before.view.component != now.view.component
        {
            index.remove(&namespace, &before.view.component, &name);
        }
        let told = index.trouble(&namespace, &now.view.component, &name);
        let is_ready = match change {
            Change::Applied { now, .. } => {
                index.insert(&namespace, &name, now);
                now.view.state == State::Ready
            }
            Change::Gone(_) => {
                index.remove(&namespace, &now.view.component, &name);
                false
            }
        };
        // The Deployment counts one more ready pod and wakes the component itself.
        !is_ready && told != index.trouble(&namespace, &now.view.component, &name)
    }

    /// The component that has something else to tell about the pod of the event, if any.
    fn note_event(&self, change: &Change<SeenEvent>) -> Option<String> {
        let event = change.object();
        let (namespace, name) = key_of(&**event);
        let pod = event.view.pod.clone();
        let component = self.pods.get(&namespace, &pod).map(|pod| pod.view.component.clone());
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let told = component.as_ref().and_then(|component| index.trouble(&namespace, component, &pod));
        let key = (namespace, pod);
        let of_pod = index.events.entry(key.clone()).or_default();
        match change {
            Change::Applied { now, .. } => of_pod.insert(name, Arc::clone(now)),
            Change::Gone(_) => of_pod.remove(&name),
        };
        if of_pod.is_empty() {
            index.events.remove(&key);
        }
        let component = component?;
        (told != index.trouble(&key.0, &component, &key.1)).then_some(component)
    }
}

/// What was last seen of the pods that are not ready.
#[derive(Debug, Default)]
struct Index {
    /// By namespace and component, then by name.
    pods: BTreeMap<(String, String), BTreeMap<String, Known>>,
    /// Events by namespace and pod, then by their own name.
    events: BTreeMap<(String, String), BTreeMap<String, Arc<SeenEvent>>>,
}

#[derive(Debug)]
struct Known {
    pod: Arc<SeenPod>,
    /// As it is told: the words of the same trouble stay.
    trouble: Option<Trouble>,
}

impl Index {
    fn insert(&mut self, namespace: &str, name: &str, pod: &Arc<SeenPod>) {
        let trouble = match &pod.view.state {
            State::Ready | State::Leaving => return self.remove(namespace, &pod.view.component, name),
            State::Starting | State::Mounted => None,
            State::Troubled(trouble) => Some((**trouble).clone()),
        };
        let of_component = self.pods.entry((namespace.to_owned(), pod.view.component.clone())).or_default();
        let before = of_component.remove(name).filter(|known| known.pod.meta().uid == pod.meta().uid);
        let trouble = match (trouble, before.and_then(|known| known.trouble)) {
            (Some(trouble), Some(before)) => Some(trouble.after(&before)),
            (trouble, _) => trouble,
        };
        of_component.insert(name.to_owned(), Known { pod: Arc::clone(pod), trouble });
    }

    fn remove(&mut self, namespace: &str, component: &str, name: &str) {
        let key = (namespace.to_owned(), component.to_owned());
        if let Some(of_component) = self.pods.get_mut(&key) {
            of_component.remove(name);
            if of_component.is_empty() {
                self.pods.remove(&key);
            }
        }
    }

    fn trouble(&self, namespace: &str, component: &str, name: &str) -> Option<Trouble> {
        let of_component = self.pods.get(&(namespace.to_owned(), component.to_owned()))?;
        self.told(namespace, name, of_component.get(name)?)
    }

    fn troubled(&self, namespace: &str, component: &str) -> Vec<TroubledPod> {
        let of_component = self.pods.get(&(namespace.to_owned(), component.to_owned()));
        let told = of_component.into_iter().flatten().filter_map(|(name, known)| {
            let trouble = self.told(namespace, name, known)?;
            let view = &known.pod.view;
            let (revision, created) = (view.revision.clone(), view.created.clone());
            Some(TroubledPod { name: name.clone(), revision, created, trouble })
        });
        told.collect()
    }

    /// The trouble of a pod. Of one that starts the events tell what its volumes lack; later they are history.
    fn told(&self, namespace: &str, name: &str, known: &Known) -> Option<Trouble> {
        if known.trouble.is_some() || known.pod.view.state == State::Mounted {
            return known.trouble.clone();
        }
        let events = self.events.get(&(namespace.to_owned(), name.to_owned()))?;
        let of_pod = events.values().filter(|event| event.view.uid == known.pod.meta().uid);
        let troubles = of_pod.filter_map(|event| event.view.trouble.as_ref());
        troubles.min_by_key(|trouble| (trouble.kind, &trouble.detail)).cloned()
    }
}

#[cfg(test)]
mod tests;
